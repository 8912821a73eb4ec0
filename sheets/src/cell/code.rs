//! Codes: `49152, 49162, 49172-49174`, with `+`, `00`, blanks, apostrophes, and as Excel spoils them.

use crate::prefix::{DIGITS_MAX, Prefix};
use crate::table::{Cell, CellKind};

/// A range is written out up to so many codes, and covered by shorter ones beyond.
const RANGE_WRITTEN_MAX: u64 = 100;
/// Codes in one cell at most.
const CODES_MAX: usize = 20_000;
/// Excel keeps so many digits of a number.
const DIGITS_TRUE: usize = 15;

/// What had to be done to a cell to read it.
pub(crate) type Repair = Option<String>;

/// Adds the codes of a cell, each behind `before`. An error names what is wrong and how to mend it.
pub(crate) fn read(
    cell: Cell<'_>,
    before: Prefix,
    out: &mut Vec<Prefix>,
) -> Result<Repair, String> {
    let text = cell.text;
    // The usual case first: digits and nothing else.
    if text.len() <= DIGITS_TRUE && !text.starts_with("00") && is_digits(text) {
        out.push(joined(before, text)?);
        return Ok(None);
    }
    if matches!(text.to_ascii_lowercase().as_str(), "*" | "all" | "any" | "default" | "other") {
        out.push(before);
        return Ok(None);
    }
    let mut repair = None;
    let separators = [',', ';', '\n', '|', '&'];
    let has_separator = text.contains(separators) || text.contains('/');
    let is_fraction = text.split_once(',').is_some_and(|(_, f)| f.bytes().all(|b| b == b'0'));
    if (!has_separator || is_fraction)
        && let Some(whole) = spoilt_number(cell, &mut repair)?
    {
        out.push(joined(before, &whole)?);
        return Ok(repair);
    }
    if is_grouped(text) {
        return Err(format!(
            "{text:?} may be one number or two; write it without commas, or a blank behind each comma"
        ));
    }
    let parts: Vec<&str> = if has_separator {
        text.split(separators).flat_map(|part| part.split('/')).collect()
    } else if is_list_of_blanks(text) {
        repair = Some("read as a list of codes between blanks".to_owned());
        text.split_whitespace().collect()
    } else {
        vec![text]
    };
    let mut previous = String::new();
    for part in parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty()) {
        read_part(part, before, out, &mut repair, &mut previous)?;
        if out.len() > CODES_MAX {
            return Err(format!("has more than {CODES_MAX} codes; divide it into several rows"));
        }
    }
    if out.is_empty() {
        Err("has no code; write * for every number".to_owned())
    } else {
        Ok(repair)
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn joined(before: Prefix, digits: &str) -> Result<Prefix, String> {
    let too_long = || format!("{before}{digits} is not at most {DIGITS_MAX} digits");
    before.join(digits).ok_or_else(too_long)
}

/// `1,684`: one number with a comma between thousands, or two codes.
fn is_grouped(text: &str) -> bool {
    let mut groups = text.split(',');
    let first = groups.next().unwrap_or_default();
    let mut rest = groups.peekable();
    first.len() < 3
        && is_digits(first)
        && rest.peek().is_some()
        && rest.all(|group| group.len() == 3 && is_digits(group))
}

/// `49151 49152` is a list, `49 151` one code in two parts.
fn is_list_of_blanks(text: &str) -> bool {
    let mut tokens = text.split_whitespace();
    let Some(first) = tokens.next() else { return false };
    let mut rest = tokens.peekable();
    let is_alike = |token: &str| {
        is_digits(token) && token.len() == first.len() && token.as_bytes()[0] == first.as_bytes()[0]
    };
    first.len() >= 4 && rest.peek().is_some() && is_alike(first) && rest.all(is_alike)
}

/// `49.0` and `4.9E+11`: digits that a spreadsheet took for a quantity. Repaired when every digit is
/// there, refused when some are lost.
fn spoilt_number(cell: Cell<'_>, repair: &mut Repair) -> Result<Option<String>, String> {
    let text = cell.text;
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => match exponent.trim_start_matches('+').parse::<i32>() {
            Ok(exponent) => (mantissa, exponent),
            Err(_) => return Ok(None),
        },
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once(['.', ',']).unwrap_or((mantissa, ""));
    let is_plain = fraction.is_empty() && exponent == 0;
    if !is_digits(whole) || !(fraction.is_empty() || is_digits(fraction)) {
        return Ok(None);
    }
    if is_plain {
        if cell.kind == CellKind::Number && whole.len() > DIGITS_TRUE {
            return Err(format!(
                "{text} was kept as a number, which has {DIGITS_TRUE} true digits; format the column \
                 as text and enter the code again"
            ));
        }
        return Ok(None);
    }
    // A group of three behind a comma may be thousands: a list or a number, decided elsewhere.
    if exponent == 0 && mantissa.contains(',') && fraction.bytes().any(|byte| byte != b'0') {
        return Ok(None);
    }
    let significant = fraction.trim_end_matches('0').len() as i32;
    if exponent == 0 && significant == 0 {
        *repair = Some(format!("{text} is {whole}"));
        return Ok(Some(whole.to_owned()));
    }
    if exponent <= 0 || significant > exponent {
        return Err(format!("{text} is not a whole number"));
    }
    let shown = fraction.len() as i32;
    if shown < exponent {
        return Err(format!(
            "{text} has lost its last {} digits; format the column as text in the spreadsheet and \
             save it again",
            exponent - shown
        ));
    }
    let digits = format!("{whole}{}", &fraction[..exponent as usize]);
    *repair = Some(format!("{text} is {digits}"));
    Ok(Some(digits))
}

/// Digits without what people put between them.
fn bare(text: &str, repair: &mut Repair) -> Option<String> {
    let text = text.trim_start_matches(['\'', '`', '’', '"', '=', '#']);
    let text = text.trim_end_matches(['\'', '"', '*', '.']);
    let is_plus = text.starts_with('+');
    let text = text.trim_start_matches('+');
    let mut digits = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '0'..='9' => digits.push(c),
            ' ' | '\u{a0}' | '\u{202f}' | '(' | ')' | '.' => {}
            _ => return None,
        }
    }
    if !is_plus && digits.len() > 2 && digits.starts_with("00") {
        *repair = Some(format!("{digits} is {}", &digits[2..]));
        digits.drain(..2);
    }
    (!digits.is_empty()).then_some(digits)
}

fn read_part(
    part: &str,
    before: Prefix,
    out: &mut Vec<Prefix>,
    repair: &mut Repair,
    previous: &mut String,
) -> Result<(), String> {
    let unreadable = || format!("{part:?} is neither a code nor a range such as 49172-49174");
    let lower = part.to_ascii_lowercase();
    let ends = [" - ", "-", "–", "—", " to ", "..", ":"]
        .iter()
        .find_map(|mark| lower.split_once(mark))
        .map(|(from, till)| (from.trim(), till.trim()));
    let Some((from, till)) = ends else {
        let digits = bare(part, repair).ok_or_else(unreadable)?;
        out.push(joined(before, &digits)?);
        *previous = digits;
        return Ok(());
    };
    let from = bare(from, repair).ok_or_else(unreadable)?;
    let till = bare(till, repair).ok_or_else(unreadable)?;
    let (from, till) = match range(part, from, till, repair)? {
        Range::From(from, till) => (from, till),
        Range::One(digits) => {
            out.push(joined(before, &digits)?);
            return Ok(());
        }
    };
    write_range(&from, &till, before, out, repair)
}

enum Range {
    From(String, String),
    One(String),
}

/// What a dash between two numbers means.
fn range(part: &str, from: String, till: String, repair: &mut Repair) -> Result<Range, String> {
    let ambiguous = || format!("{part:?} is unclear; write both ends in full, such as 49172-49174");
    match till.len().cmp(&from.len()) {
        std::cmp::Ordering::Equal => {
            let spans_countries = from.len() <= 3 && from.as_bytes()[0] != till.as_bytes()[0];
            if till < from || spans_countries {
                return Err(ambiguous());
            }
            Ok(Range::From(from, till))
        }
        // 49172-74: the end leaves out what it shares with the start.
        std::cmp::Ordering::Less => {
            let full = format!("{}{till}", &from[..from.len() - till.len()]);
            if from.len() <= 3 || full <= from {
                return Err(ambiguous());
            }
            *repair = Some(format!("{part} is {from}-{full}"));
            Ok(Range::From(from, full))
        }
        // 4917-49179 runs from 49170; 1-684 is country and area.
        std::cmp::Ordering::Greater if till.starts_with(&from) => {
            let padded = format!("{from}{}", "0".repeat(till.len() - from.len()));
            *repair = Some(format!("{part} is {padded}-{till}"));
            Ok(Range::From(padded, till))
        }
        std::cmp::Ordering::Greater if from.len() <= 3 => {
            *repair = Some(format!("{part} is {from}{till}"));
            Ok(Range::One(format!("{from}{till}")))
        }
        std::cmp::Ordering::Greater => Err(ambiguous()),
    }
}

/// All codes of a range of equally long ends.
fn write_range(
    from: &str,
    till: &str,
    before: Prefix,
    out: &mut Vec<Prefix>,
    repair: &mut Repair,
) -> Result<(), String> {
    let too_long = || format!("the range {from}-{till} is too long; write shorter codes");
    let (low, high) = (from.parse::<u64>(), till.parse::<u64>());
    let (Ok(low), Ok(high)) = (low, high) else { return Err(too_long()) };
    let width = from.len();
    if high - low < RANGE_WRITTEN_MAX {
        for code in low..=high {
            out.push(joined(before, &format!("{code:0width$}"))?);
        }
        return Ok(());
    }
    let first = out.len();
    cover(low, high, width, before, out)?;
    *repair = Some(format!("{} codes folded into {}", high - low + 1, out.len() - first));
    Ok(())
}

/// The fewest prefixes that cover a range of numbers of `width` digits.
fn cover(
    mut low: u64,
    high: u64,
    width: usize,
    before: Prefix,
    out: &mut Vec<Prefix>,
) -> Result<(), String> {
    while low <= high {
        let (mut size, mut dropped) = (1_u64, 0);
        while dropped + 1 < width {
            let wider = size * 10;
            if !low.is_multiple_of(wider) || wider - 1 > high - low {
                break;
            }
            size = wider;
            dropped += 1;
        }
        let digits = width - dropped;
        out.push(joined(before, &format!("{:0digits$}", low / size))?);
        let Some(next) = low.checked_add(size) else { break };
        low = next;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_kind(text: &str, kind: CellKind, expected: Result<(&str, bool), &str>) {
        let mut out = Vec::new();
        let read = read(Cell { text, kind }, Prefix::ALL, &mut out);
        let codes: Vec<String> = out.iter().map(Prefix::to_string).collect();
        match (read, expected) {
            (Ok(repair), Ok((expected, is_repaired))) => {
                assert_eq!(
                    (codes.join(" ").as_str(), repair.is_some()),
                    (expected, is_repaired),
                    "{repair:?}"
                );
            }
            (Err(what), Err(part)) => assert!(what.contains(part), "{what}"),
            (read, expected) => panic!("{text}: {read:?} {codes:?} instead of {expected:?}"),
        }
    }

    #[track_caller]
    fn check(text: &str, expected: Result<(&str, bool), &str>) {
        check_kind(text, CellKind::Text, expected);
    }

    #[test]
    fn codes_are_read_as_people_write_them() {
        check("49152", Ok(("49152", false)));
        check("+49 152", Ok(("49152", false)));
        check("'49152", Ok(("49152", false)));
        check("(1) 684", Ok(("1684", false)));
        check("0049152", Ok(("49152", true)));
        check("*", Ok(("", false)));
        check("49x", Err("neither a code nor a range"));
        check("-", Err("neither a code nor a range"));
    }

    #[test]
    fn lists_and_ranges_are_written_out() {
        check("49152, 49162, 49172-49174", Ok(("49152 49162 49172 49173 49174", false)));
        check("49151;49152/49153", Ok(("49151 49152 49153", false)));
        check("49151 49152", Ok(("49151 49152", true)));
        check("881,882,883", Ok(("881 882 883", false)));
        check("49172 – 49173", Ok(("49172 49173", false)));
        check("49172-74", Ok(("49172 49173 49174", true)));
        check("4917-49172", Ok(("49170 49171 49172", true)));
        check("1-684", Ok(("1684", true)));
        check("4915-4499", Err("unclear"));
        check("44-77", Err("unclear"));
        check("420-60", Err("unclear"));
        check("49174-49172", Err("unclear"));
        check("1,684", Err("one number or two"));
    }

    #[test]
    fn large_ranges_become_the_fewest_prefixes() {
        check("4915000-4916999", Ok(("4915 4916", true)));
        check("491500-491699", Ok(("4915 4916", true)));
        check("100-399", Err("unclear"));
        check(
            "4915001-4915199",
            Ok((
                "4915001 4915002 4915003 4915004 4915005 4915006 4915007 4915008 4915009 491501 491502 491503 491504 491505 491506 491507 491508 491509 49151",
                true,
            )),
        );
    }

    #[test]
    fn what_a_spreadsheet_spoilt_is_repaired_or_refused() {
        check("49.0", Ok(("49", true)));
        check("49,00", Ok(("49", true)));
        check("4.9152E+4", Ok(("49152", true)));
        check("4.9E+11", Err("lost its last 10 digits"));
        check("4.5", Err("not a whole number"));
        check_kind("490000000000", CellKind::Number, Ok(("490000000000", false)));
        check_kind("4915212345678901", CellKind::Number, Err("15 true digits"));
    }

    #[test]
    fn area_codes_stand_behind_their_country() {
        let mut out = Vec::new();
        let cell = Cell { text: "151, 160-162", kind: CellKind::Text };
        read(cell, "49".parse().unwrap(), &mut out).unwrap();
        let codes: Vec<String> = out.iter().map(Prefix::to_string).collect();
        assert_eq!(codes, ["49151", "49160", "49161", "49162"]);
    }
}
