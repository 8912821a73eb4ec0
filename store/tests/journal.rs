//! The journal's files against torn tails, flipped bits, rotation and crashes.
#![allow(clippy::unwrap_used)] // a test may

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use store::journal::{JournalError, JournalFiles, JournalOptions, JournalState, Tail};

fn open(directory: &Path) -> JournalFiles {
    JournalFiles::open(directory, JournalOptions::default()).unwrap().0
}

/// Appends and waits until all is on disk; the end of each record.
fn write(journal: &JournalFiles, records: &[Vec<u8>]) -> Vec<u64> {
    let ends: Vec<u64> =
        records.iter().map(|r| journal.append_with(|b| b.extend_from_slice(r))).collect();
    journal.wait_durable(*ends.last().unwrap_or(&0));
    ends
}

fn read(directory: &Path, from: u64) -> Result<Vec<(u64, Vec<u8>)>, JournalError> {
    let mut found = Vec::new();
    let mut tail = Tail::new(directory, from);
    while tail.read(u64::MAX, 4096, &mut |end, bytes| found.push((end, bytes.to_vec())))? {}
    Ok(found)
}

fn segments(directory: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for path in segments(from) {
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

fn sample(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|i| format!("record {i} {}", "x".repeat(i % 50)).into_bytes()).collect()
}

#[test]
fn records_come_back_in_order_from_any_position() {
    let dir = tempfile::tempdir().unwrap();
    let records = sample(300);
    let ends = write(&open(dir.path()), &records);
    assert!(ends.windows(2).all(|pair| pair[0] < pair[1]));
    let all = read(dir.path(), 0).unwrap();
    assert_eq!(all.iter().map(|(_, bytes)| bytes.clone()).collect::<Vec<_>>(), records);
    assert_eq!(all.iter().map(|(end, _)| *end).collect::<Vec<_>>(), ends);
    for (index, end) in ends.iter().enumerate() {
        assert_eq!(read(dir.path(), *end).unwrap(), all[index + 1..]);
    }
}

#[test]
fn a_reopened_journal_goes_on_where_it_ended() {
    let dir = tempfile::tempdir().unwrap();
    let first = write(&open(dir.path()), &sample(3));
    let journal = open(dir.path());
    assert_eq!(journal.durable(), first[2]);
    let second = write(&journal, &sample(2));
    assert!(second[0] > first[2]);
    assert_eq!(read(dir.path(), 0).unwrap().len(), 5);
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_off_and_the_rest_kept() {
    let dir = tempfile::tempdir().unwrap();
    let ends = write(&open(dir.path()), &sample(5));
    let whole = fs::read(&segments(dir.path())[0]).unwrap();
    let last_starts = whole.len() - (ends[4] - ends[3]) as usize;
    for length in last_starts..whole.len() {
        let torn = tempfile::tempdir().unwrap();
        fs::write(torn.path().join("00000000000000000000.segment"), &whole[..length]).unwrap();
        let (journal, tail) = JournalFiles::open(torn.path(), JournalOptions::default()).unwrap();
        assert_eq!(journal.end(), ends[3]);
        assert_eq!(tail.map_or(0, |t| t.bytes), (length - last_starts) as u64);
        write(&journal, &[b"new".to_vec()]);
        let texts: Vec<_> = read(torn.path(), 0).unwrap().into_iter().map(|(_, b)| b).collect();
        assert_eq!(texts[..4], sample(4));
        assert_eq!(texts[4..], [b"new".to_vec()]);
    }
}

#[test]
fn a_header_torn_at_any_byte_is_an_empty_segment() {
    for length in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        drop(open(dir.path()));
        let path = segments(dir.path())[0].clone();
        fs::write(&path, &fs::read(&path).unwrap()[..length]).unwrap();
        write(&open(dir.path()), &sample(2));
        assert_eq!(read(dir.path(), 0).unwrap().len(), 2);
    }
}

#[test]
fn a_flipped_bit_in_what_was_durable_is_refused_never_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    let durable = *write(&journal, &sample(4)).last().unwrap();
    write(&journal, &sample(1));
    drop(journal);
    let path = segments(dir.path())[0].clone();
    let whole = fs::read(&path).unwrap();
    for bit in 0..(20 + durable as usize) * 8 {
        let mut bad = whole.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, bad).unwrap();
        let opened = JournalFiles::open(dir.path(), JournalOptions::default());
        assert!(matches!(opened, Err(JournalError::Damaged { .. })), "bit {bit}");
    }
}

#[test]
fn rotation_keeps_the_sequence_and_released_segments_go() {
    let dir = tempfile::tempdir().unwrap();
    let options = JournalOptions { segment_bytes: 200, ..JournalOptions::default() };
    let (journal, _) = JournalFiles::open(dir.path(), options).unwrap();
    let records = sample(40);
    let mut ends = Vec::new();
    for record in &records {
        ends.extend(write(&journal, std::slice::from_ref(record)));
    }
    assert!(segments(dir.path()).len() > 4);
    assert_eq!(read(dir.path(), 0).unwrap().len(), 40);
    assert_eq!(read(dir.path(), ends[19]).unwrap().len(), 20);

    let before = segments(dir.path()).len();
    journal.release_below(ends[19]);
    write(&journal, &[b"more".to_vec()]);
    drop(journal);
    assert!(segments(dir.path()).len() < before);
    assert_eq!(read(dir.path(), ends[19]).unwrap().len(), 21);
    assert!(matches!(read(dir.path(), 0), Err(JournalError::Missing { position: 0 })));

    let (journal, torn) = JournalFiles::open(dir.path(), options).unwrap();
    assert_eq!(torn, None);
    write(&journal, &[b"after".to_vec()]);
    assert_eq!(read(dir.path(), ends[19]).unwrap().len(), 22);
}

#[test]
fn a_missing_middle_segment_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let options = JournalOptions { segment_bytes: 100, ..JournalOptions::default() };
    let (journal, _) = JournalFiles::open(dir.path(), options).unwrap();
    for record in sample(20) {
        write(&journal, &[record]);
    }
    drop(journal);
    fs::remove_file(&segments(dir.path())[1]).unwrap();
    let opened = JournalFiles::open(dir.path(), options);
    assert!(matches!(opened, Err(JournalError::Damaged { .. })));
}

#[test]
fn wakers_hear_of_durability_and_tasks_can_wait() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    let seen = Arc::new(AtomicU64::new(0));
    let heard = Arc::clone(&seen);
    journal.on_durable(Arc::new(move |position| heard.store(position, Ordering::SeqCst)));
    let end = journal.append_with(|b| b.extend_from_slice(b"one"));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(journal.durable_at(end));
    journal.close();
    assert_eq!(seen.load(Ordering::SeqCst), end);
}

#[test]
fn the_heartbeat_beats_without_being_asked() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    let mut watch = journal.watch();
    journal.start_heartbeat(|| vocabulary::Utc(7));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async { watch.changed().await.unwrap() });
    let mut beat = vec![1];
    billing::Record::Heartbeat { at: vocabulary::Utc(7) }.encode(&mut beat);
    assert_eq!(read(dir.path(), 0).unwrap()[0].1, beat);
}

#[test]
fn too_much_unwritten_is_behind_and_then_ready_again() {
    let dir = tempfile::tempdir().unwrap();
    let options = JournalOptions {
        buffer_bytes_max: 1000,
        write_delay: Duration::from_secs(3600),
        ..JournalOptions::default()
    };
    let (journal, _) = JournalFiles::open(dir.path(), options).unwrap();
    let mut end = 0;
    let mut was_behind = false;
    for record in sample(2000) {
        end = journal.append_with(|b| b.extend_from_slice(&record));
        was_behind |= journal.state() == JournalState::Behind;
    }
    assert!(was_behind);
    journal.wait_durable(end);
    journal.close();
    assert_eq!(journal.state(), JournalState::Ready);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 25, ..ProptestConfig::default() })]

    /// Whatever the records, the segment size and the byte at which the disk stops: what was
    /// durable is there, what is there is a prefix, and the journal can be written on.
    #[test]
    fn a_copy_cut_anywhere_holds_a_prefix(
        sizes in prop::collection::vec((0usize..400, any::<bool>()), 1..60),
        segment_bytes in 100u64..2000,
        cut in 0.0f64..1.0,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let options = JournalOptions { segment_bytes, ..JournalOptions::default() };
        let (journal, _) = JournalFiles::open(dir.path(), options).unwrap();
        let mut records = Vec::new();
        for (index, (size, waits)) in sizes.iter().enumerate() {
            let record = vec![index as u8; *size];
            let end = journal.append_with(|b| b.extend_from_slice(&record));
            if *waits {
                journal.wait_durable(end);
            }
            records.push(record);
        }
        journal.close();
        let crashed = tempfile::tempdir().unwrap();
        copy(dir.path(), crashed.path());
        let last = segments(crashed.path()).pop().unwrap();
        let bytes = fs::read(&last).unwrap();
        fs::write(&last, &bytes[..(bytes.len() as f64 * cut) as usize]).unwrap();

        let (journal, _) = JournalFiles::open(crashed.path(), options).unwrap();
        let kept: Vec<_> = read(crashed.path(), 0).unwrap().into_iter().map(|(_, b)| b).collect();
        prop_assert!(records.starts_with(&kept));
        write(&journal, &[b"on".to_vec()]);
        let after: Vec<_> = read(crashed.path(), 0).unwrap().into_iter().map(|(_, b)| b).collect();
        prop_assert_eq!(&after[..kept.len()], &kept[..]);
        prop_assert_eq!(after.len(), kept.len() + 1);
    }
}
