//! A carrier's call records in several layouts against ours (O13): every row has a result, and the
//! results add up.
#![allow(clippy::unwrap_used)] // a test may

use std::time::Duration;

use sheets::{
    Comparison, FileForm, OurCall, Statement, StatementLayout, compare_statement, read_statement,
    write_table,
};
use vocabulary::Utc;

/// 2026-12-01T08:00:00Z
const NOON: i64 = 1_796_112_000;

fn at(second: i64) -> Utc {
    Utc((NOON + second) * 1_000_000)
}

/// A call of `talked` seconds at 0.06 a minute, billed by the second, that rang for five.
fn ours(second: i64, number: &str, talked: u64) -> OurCall {
    OurCall {
        started_at: at(second),
        answered_at: (talked > 0).then(|| at(second + 5)),
        ended_at: at(second + 5 + talked.cast_signed()),
        cli: "4930111".into(),
        numbers: [number.into(), number.into()],
        talked: Duration::from_millis(talked * 1_000),
        billed: Duration::from_secs(talked),
        price_nanos: Some(60_000_000),
        cost_nanos: talked.cast_signed() * 1_000_000,
    }
}

fn compared(text: &str, layout: &StatementLayout, ours: &[OurCall]) -> (Statement, Comparison) {
    let statement = read_statement(text.as_bytes(), layout, "EUR").unwrap();
    let (calls, rejected) = (statement.calls.len() as u64, statement.rejected.len() as u64);
    assert_eq!(statement.lines, calls + rejected + statement.others, "{statement:?}");
    let span = (at(0), at(86_400));
    let comparison = compare_statement(&statement.calls, ours, layout, span);
    assert_eq!(comparison.pairs.len() + comparison.theirs_only.len(), statement.calls.len());
    (statement, comparison)
}

#[test]
fn each_row_is_matched_differing_theirs_only_or_rejected() {
    let calls = [
        ours(0, "493012345", 61),
        ours(100, "493012345", 30),
        ours(200, "33123456", 60),
        ours(300, "33123456", 60),
        ours(400, "44200000", 10),
        ours(500, "44200000", 0),
        ours(600, "48200000", 10),
    ];
    let text = "Statement of November\r\n\
        \r\n\
        Start Time;A-Number;B-Number;Duration;Rate;Amount;Currency\r\n\
        2026-12-01 08:00:04;+49 30 111;+49 30 12345;61;0,06;0,061;EUR\r\n\
        2026-12-01 08:01:45;4930111;493012345;45;0,06;0,045;EUR\r\n\
        2026-12-01 08:03:20;4930111;0033123456;60;0,07;0,07;EUR\r\n\
        2026-12-01 08:05:00;4930111;33123456;1:00;0,06;0,0601;EUR\r\n\
        2026-12-01 08:06:45;4930111;39061234;12;0,06;0,012;EUR\r\n\
        2026-12-01 08:08:20;4930111;44200000;6;0,06;0,006;EUR\r\n\
        yesterday;4930111;44200000;6;0,06;0,006;EUR\r\n\
        2026-12-01 08:08:20;4930111;4.42E+08;6;0,06;0,006;EUR\r\n\
        2026-12-01 08:08:20;4930111;44200000;soon;0,06;0,006;EUR\r\n\
        2026-12-01 08:08:20;4930111;44200000;6;0,06;-1;EUR\r\n\
        2026-12-01 08:08:20;4930111;44200000;6;0,06;0,006;USD\r\n\
        Total;;;190;;0,2\r\n";
    let (statement, found) = compared(text, &StatementLayout::default(), &calls);
    let lines =
        |calls: &[usize]| calls.iter().map(|at| statement.calls[*at].line).collect::<Vec<_>>();
    let pairs: Vec<_> = found
        .pairs
        .iter()
        .map(|pair| {
            let differs = pair.differences;
            let line = statement.calls[pair.theirs].line;
            (line, pair.ours, [differs.duration, differs.price, differs.amount])
        })
        .collect();
    let expected = [
        (4, 0, [false, false, false]),
        (5, 1, [true, false, true]),
        (6, 2, [false, true, true]),
        (7, 3, [false, false, true]),
        // They bill a call that was never answered.
        (9, 5, [true, false, true]),
    ];
    assert_eq!(pairs, expected);
    assert_eq!(lines(&found.theirs_only), [8]);
    // Only answered ones are missed.
    assert_eq!(found.ours_only, [4, 6]);
    let told: Vec<_> = statement.rejected.iter().map(|row| (row.line, row.why.as_str())).collect();
    for ((line, why), (expected, part)) in told.iter().zip([
        (10, "\"Start Time\": \"yesterday\" is not a date"),
        (11, "\"B-Number\": \"4.42E+08\" is no telephone number"),
        (12, "\"Duration\": \"soon\" is no duration"),
        (13, "\"Amount\": the price -1 is negative"),
        (14, "booked in EUR"),
    ]) {
        assert_eq!(*line, expected);
        assert!(why.contains(part), "{why}");
    }
    assert_eq!((told.len(), statement.lines, statement.others), (5, 15, 4));
}

#[test]
fn date_and_time_in_columns_of_their_own_and_minutes_are_read_in_the_carriers_zone() {
    // Berlin is an hour ahead in winter, and numbers come with a technical prefix.
    let layout = StatementLayout {
        time_zone: "Europe/Berlin".into(),
        strip: vec!["77#".into()],
        ..StatementLayout::default()
    };
    let rows = [
        ["Date", "Time", "From", "To", "Minutes", "Cost (cents)"],
        ["01.12.2026", "09:00:05", "", "77#493012345", "1.5", "9"],
        ["01.12.2026", "09:10:00", "", "77#493012345", "0.5", "3"],
    ];
    let rows = rows.map(|row| row.map(str::to_owned).to_vec());
    let file = write_table("Calls", FileForm::Xlsx, rows).unwrap();
    let statement = read_statement(&file, &layout, "EUR").unwrap();
    let calls = [ours(0, "493012345", 90), ours(595, "493012345", 30)];
    let found = compare_statement(&statement.calls, &calls, &layout, (at(0), at(86_400)));
    assert_eq!(found.pairs.len(), 2, "{statement:?}");
    assert!(found.pairs.iter().all(|pair| !pair.differences.any()), "{found:?}");
    assert_eq!(found.better_shift, None);
}

#[test]
fn a_wrong_time_zone_is_noticed() {
    let calls: Vec<_> = (0..20).map(|n| ours(n * 60, &format!("4930{n:04}"), 20)).collect();
    let mut text = "timestamp,dst,billsec\n".to_owned();
    for n in 0..20 {
        // Unix time, of a clock that is an hour and a half ahead.
        text += &format!("{},4930{n:04},20\n", NOON + n * 60 + 5_400);
    }
    let layout = StatementLayout::default();
    let (_, found) = compared(&text, &layout, &calls);
    assert_eq!((found.pairs.len(), found.better_shift), (0, Some(-5_400)));
}

#[test]
fn the_nearest_in_time_and_duration_are_paired_and_each_once() {
    let calls = [ours(0, "49301", 10), ours(8, "49301", 300), ours(16, "49301", 10)];
    let text = "time,number,duration\n\
        2026-12-01 08:00:20,49301,10\n\
        2026-12-01 08:00:20,49301,300\n\
        2026-12-01 08:00:20,49301,10\n\
        2026-12-01 08:00:20,49301,10\n";
    let (_, found) = compared(text, &StatementLayout::default(), &calls);
    let pairs: Vec<_> = found.pairs.iter().map(|pair| (pair.theirs, pair.ours)).collect();
    assert_eq!(pairs, [(0, 2), (1, 1), (2, 0)]);
    assert_eq!((found.theirs_only, found.ours_only), (vec![3], vec![]));
}

#[test]
fn a_column_is_what_the_layout_says() {
    let text = "begin,answer time,x,duration\n\
        2026-12-01 07:00:00,2026-12-01 08:00:05,49301,10\n";
    let said = r#"{"columns": {"answer time": "time", "x": "cld"}, "time_of": "answer"}"#;
    let layout: StatementLayout = serde_json::from_str(said).unwrap();
    let (_, found) = compared(text, &layout, &[ours(0, "49301", 10)]);
    assert_eq!(found.pairs.len(), 1);
    let refused = |text: &str, layout: StatementLayout| {
        read_statement(text.as_bytes(), &layout, "EUR").unwrap_err().to_string()
    };
    assert!(refused(text, StatementLayout::default()).contains("columns"));
    let second = StatementLayout { header_row: Some(2), ..StatementLayout::default() };
    assert!(refused(text, second).contains("row 2 is no header"));
}
