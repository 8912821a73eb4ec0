//! The files of the journal: `journal/<position>.segment`, each a header and then frames. A position
//! is a count of bytes over all segments (headers left out), so a record's place in its file is a
//! subtraction. Only the last segment may end in a torn frame.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::JournalError;
use super::frame::{self, Kind, NoFrame};

/// Bytes before the first frame: magic with version, base position, CRC-32 of both.
pub(crate) const SEGMENT_HEADER: u64 = 20;
const MAGIC: &[u8; 8] = b"tandemj1";

/// Where a segment lies and what it begins with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Segment {
    pub(crate) base: u64,
    pub(crate) path: PathBuf,
}

/// What was cut off at the end of the journal when it was opened: records that were being written
/// when the machine or the process stopped, and that nobody had been told were safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The journal ends here now.
    pub position: u64,
    /// How many bytes were cut off.
    pub bytes: u64,
}

impl Segment {
    pub(crate) fn at(directory: &Path, base: u64) -> Segment {
        Segment { base, path: directory.join(format!("{base:020}.segment")) }
    }

    /// How long its file is if the next segment begins at `next`.
    pub(crate) fn length(base: u64, next: u64) -> u64 {
        offset(base, next)
    }

    /// Makes the file with its header, both on disk when this returns.
    pub(crate) fn create(&self) -> io::Result<File> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&self.path)?;
        file.write_all_at(&header(self.base), 0)?;
        file.sync_all()?;
        sync_directory(self.path.parent().unwrap_or(Path::new(".")))?;
        Ok(file)
    }

    /// Opens for reading and checks the header; `None` if the file ends within it.
    pub(crate) fn open_to_read(&self) -> Result<Option<File>, JournalError> {
        let file = File::open(&self.path).map_err(|e| JournalError::io(&self.path, e))?;
        let mut found = [0; SEGMENT_HEADER as usize];
        match file.read_exact_at(&mut found, 0) {
            Ok(()) if found == header(self.base) => Ok(Some(file)),
            Ok(()) => Err(self.damaged(self.base, "its header is not what was written")),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(e) => Err(JournalError::io(&self.path, e)),
        }
    }

    fn damaged(&self, position: u64, what: &'static str) -> JournalError {
        JournalError::Damaged { path: self.path.clone(), position, what }
    }
}

/// The file offset of a position.
pub(crate) fn offset(base: u64, position: u64) -> u64 {
    position - base + SEGMENT_HEADER
}

fn header(base: u64) -> [u8; SEGMENT_HEADER as usize] {
    let mut bytes = [0; SEGMENT_HEADER as usize];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..16].copy_from_slice(&base.to_le_bytes());
    let crc = crc32fast::hash(&bytes[..16]);
    bytes[16..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// So that a created, renamed or removed name survives a power cut.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// All segments in order.
pub(crate) fn list(directory: &Path) -> Result<Vec<Segment>, JournalError> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(directory).map_err(|e| JournalError::io(directory, e))? {
        let path = entry.map_err(|e| JournalError::io(directory, e))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(base) = name.strip_suffix(".segment").and_then(|base| base.parse().ok()) {
            segments.push(Segment { base, path });
        }
    }
    segments.sort();
    Ok(segments)
}

/// Where the oldest segment begins; `None` if there is none.
pub(crate) fn first_position(directory: &Path) -> Result<Option<u64>, JournalError> {
    Ok(list(directory)?.first().map(|segment| segment.base))
}

/// The last segment, ready for appending, as `open_last` leaves it.
pub(crate) struct Last {
    pub(crate) segments: Vec<Segment>,
    pub(crate) file: File,
    pub(crate) end: u64,
    pub(crate) torn: Option<TornTail>,
}

/// Opens the journal for appending: makes the first segment if there is none, cuts off a torn tail,
/// refuses damage to what was acknowledged.
pub(crate) fn open_last(directory: &Path) -> Result<Last, JournalError> {
    let mut segments = list(directory)?;
    // A segment whose header was still being written holds nothing.
    while let Some(last) = segments.last() {
        if last.open_to_read()?.is_some() || segments.len() == 1 {
            break;
        }
        fs::remove_file(&last.path).map_err(|e| JournalError::io(&last.path, e))?;
        segments.pop();
    }
    let Some(last) = segments.last().cloned() else {
        let first = Segment::at(directory, 0);
        let file = first.create().map_err(|e| JournalError::io(&first.path, e))?;
        return Ok(Last { segments: vec![first], file, end: 0, torn: None });
    };
    let io = |e| JournalError::io(&last.path, e);
    for pair in segments.windows(2) {
        let length =
            fs::metadata(&pair[0].path).map_err(|e| JournalError::io(&pair[0].path, e))?.len();
        if length != offset(pair[0].base, pair[1].base) {
            return Err(pair[0].damaged(pair[1].base, "its length does not fit the next segment"));
        }
    }
    if last.open_to_read()?.is_none() {
        let file = last.create().map_err(io)?;
        return Ok(Last { end: last.base, segments, file, torn: None });
    }
    let file = OpenOptions::new().read(true).write(true).open(&last.path).map_err(io)?;
    let mut bytes = Vec::new();
    (&file).read_to_end(&mut bytes).map_err(io)?;
    let frames = &bytes[SEGMENT_HEADER as usize..];
    let good = good_length(&last, frames)?;
    let end = last.base + good as u64;
    let mut torn = None;
    if good < frames.len() {
        torn = Some(TornTail { position: end, bytes: (frames.len() - good) as u64 });
        file.set_len(offset(last.base, end)).map_err(io)?;
    }
    // What the process before us wrote but did not sync is about to be built upon.
    file.sync_all().map_err(io)?;
    Ok(Last { segments, file, end, torn })
}

/// How many bytes of whole frames there are. What follows must be a torn tail: if a later mark says
/// that the bad place had been on disk, it is damage and an error.
fn good_length(segment: &Segment, frames: &[u8]) -> Result<usize, JournalError> {
    let mut at = 0;
    while at < frames.len() {
        match frame::read(&frames[at..], segment.base + at as u64) {
            Ok(frame) => at += frame.length(),
            Err(NoFrame::Short | NoFrame::Bad) => break,
        }
    }
    let bad = segment.base + at as u64;
    for later in at + 1..frames.len() {
        if let Ok(found) = frame::read(&frames[later..], segment.base + later as u64)
            && found.durable().is_some_and(|durable| durable > bad)
        {
            return Err(segment.damaged(bad, "a record that had been on disk is damaged"));
        }
    }
    Ok(at)
}

/// Reads records in order, from any position, while the journal may still be growing.
pub struct Tail {
    directory: PathBuf,
    position: u64,
    open: Option<(File, Segment)>,
    buffer: Vec<u8>,
}

impl Tail {
    /// Reads the journal in `directory` from `position`, which must be where a record begins.
    pub fn new(directory: &Path, position: u64) -> Tail {
        Tail { directory: directory.to_owned(), position, open: None, buffer: Vec::new() }
    }

    /// The next record begins here.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Hands up to about `bytes_max` of records to `each`, with the position of each one's end,
    /// never going beyond `until`. Returns whether there was anything. An incomplete frame is the
    /// end for now; a bad one before `until` is an error.
    pub fn read(
        &mut self,
        until: u64,
        bytes_max: usize,
        each: &mut dyn FnMut(u64, &[u8]),
    ) -> Result<bool, JournalError> {
        if self.position >= until {
            return Ok(false);
        }
        let length = self.fill(until, bytes_max)?;
        let before = self.position;
        let mut at = 0;
        while at < length && before + (at as u64) < until {
            match frame::read(&self.buffer[at..length], before + at as u64) {
                Ok(frame) => {
                    at += frame.length();
                    self.position = before + at as u64;
                    if frame.kind == Kind::Record {
                        each(self.position, frame.payload);
                    }
                }
                Err(NoFrame::Short) => break,
                // Whoever reads without knowing what is durable finds a torn tail, not damage.
                Err(NoFrame::Bad) if until == u64::MAX && self.is_torn()? => break,
                Err(NoFrame::Bad) => return Err(self.bad()),
            }
        }
        Ok(self.position > before)
    }

    /// Is the bad frame here the torn tail of the last segment?
    fn is_torn(&self) -> Result<bool, JournalError> {
        let Some((_, segment)) = &self.open else { return Ok(false) };
        if list(&self.directory)?.last() != Some(segment) {
            return Ok(false);
        }
        let bytes = fs::read(&segment.path).map_err(|e| JournalError::io(&segment.path, e))?;
        let frames = bytes.get(SEGMENT_HEADER as usize..).unwrap_or_default();
        good_length(segment, frames).map(|good| segment.base + good as u64 == self.position)
    }

    fn bad(&self) -> JournalError {
        let path = self.open.as_ref().map_or(self.directory.clone(), |(_, s)| s.path.clone());
        JournalError::Damaged { path, position: self.position, what: "a record does not check" }
    }

    /// Fills the buffer from the current position; moves to the next segment where one begins here.
    fn fill(&mut self, until: u64, bytes_max: usize) -> Result<usize, JournalError> {
        loop {
            if self.open.is_none() {
                self.open = Some(self.find()?);
            }
            let (file, segment) = self.open.as_ref().expect("opened above");
            // Room for the longest record at least, so that one read is always progress.
            let room = bytes_max.max(frame::FRAME_HEADER + frame::PAYLOAD_MAX);
            let wish = usize::try_from(until - self.position).unwrap_or(usize::MAX).min(room);
            if self.buffer.len() < wish {
                self.buffer.resize(wish, 0);
            }
            let start = offset(segment.base, self.position);
            let length = read_up_to(file, &mut self.buffer[..wish], start)
                .map_err(|e| JournalError::io(&segment.path, e))?;
            if length > 0 || segment.base == self.position {
                return Ok(length);
            }
            // The end of this segment. If the next one is there, with its header, go on in it.
            let next = Segment::at(&self.directory, self.position);
            if !next.path.exists() {
                return Ok(0);
            }
            match next.open_to_read()? {
                Some(file) => self.open = Some((file, next)),
                None => return Ok(0),
            }
        }
    }

    fn find(&self) -> Result<(File, Segment), JournalError> {
        let segments = list(&self.directory)?;
        let segment = segments
            .iter()
            .rev()
            .find(|segment| segment.base <= self.position)
            .ok_or(JournalError::Missing { position: self.position })?;
        let length = fs::metadata(&segment.path).map_or(0, |file| file.len());
        if offset(segment.base, self.position) > length.max(SEGMENT_HEADER) {
            return Err(JournalError::Missing { position: self.position });
        }
        match segment.open_to_read()? {
            Some(file) => Ok((file, segment.clone())),
            None => Err(JournalError::Missing { position: self.position }),
        }
    }
}

fn read_up_to(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read_at(&mut buffer[length..], offset + length as u64) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(length)
}
