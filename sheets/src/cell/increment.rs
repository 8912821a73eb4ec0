//! Billing increments: `60/60`, `1/1/1`, `30+6`, `first 60 s then 1`, `per second`.

/// First and next increment and the least that is billed, in seconds (R1, R5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Increments {
    pub(crate) first: u32,
    pub(crate) next: u32,
    pub(crate) minimum: u32,
}

const SECOND: [&str; 14] = [
    "s", "sec", "secs", "second", "seconds", "seg", "segundo", "segundos", "sek", "sekunde",
    "sekunden", "seconde", "secondes", "secondi",
];
const MINUTE: [&str; 10] =
    ["m", "min", "mins", "minute", "minutes", "minuto", "minutos", "minuten", "minuti", "mn"];
const FILLER: [&str; 46] = [
    "first",
    "initial",
    "then",
    "next",
    "and",
    "after",
    "thereafter",
    "following",
    "subsequent",
    "additional",
    "per",
    "billing",
    "billed",
    "increment",
    "increments",
    "interval",
    "intervals",
    "every",
    "each",
    "by",
    "in",
    "of",
    "full",
    "pulse",
    "rounding",
    "x",
    "a",
    "the",
    "is",
    "are",
    "steps",
    "step",
    "blocks",
    "block",
    "erste",
    "dann",
    "je",
    "premiere",
    "puis",
    "primero",
    "luego",
    "takt",
    "taktung",
    "minimum",
    "with",
    "charging",
];

/// Reads increments; the error says how to write them.
pub(crate) fn read(text: &str) -> Result<Increments, String> {
    let unclear =
        || format!("{text:?} are no increments; write first/next in seconds, such as 60/1");
    let mut numbers: Vec<u32> = Vec::new();
    // A number whose unit may still come.
    let mut pending: Option<u32> = None;
    for token in tokens(text) {
        if let Ok(number) = token.parse::<u32>() {
            numbers.extend(pending.take());
            pending = Some(number);
            continue;
        }
        let word = token.to_lowercase();
        let unit = if SECOND.contains(&word.as_str()) {
            1
        } else if MINUTE.contains(&word.as_str()) {
            60
        } else if FILLER.contains(&word.as_str()) {
            continue;
        } else {
            return Err(unclear());
        };
        // "per minute" has no number; "60 seconds" has.
        numbers.push(pending.take().unwrap_or(1).checked_mul(unit).ok_or_else(unclear)?);
    }
    numbers.extend(pending);
    match numbers[..] {
        [every] => Ok(Increments { first: every, next: every, minimum: 0 }),
        [first, next] => Ok(Increments { first, next, minimum: 0 }),
        [minimum, first, next] => {
            // 1/1/1 says nothing that 1/1 does not.
            let minimum = if minimum <= first { 0 } else { minimum };
            Ok(Increments { first, next, minimum })
        }
        _ => Err(unclear()),
    }
}

/// Numbers and words; `60.0` is one number, `60s` a number and a word.
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let is_break = |c: char| !c.is_alphanumeric() && c != '.';
    text.split(is_break).flat_map(|part| {
        let part = part.trim_matches('.');
        let digits = part.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
        let (number, word) = part.split_at(digits);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let number = if fraction.bytes().all(|byte| byte == b'0') { whole } else { number };
        [number, word].into_iter().filter(|token| !token.is_empty())
    })
}

/// Increments inside a note, such as `Mobile; billing 30/6`. Nothing if there are none.
pub(crate) fn find(note: &str) -> Option<Increments> {
    let lower = note.to_lowercase();
    let marks = ["billing", "increment", "pulse", "takt", "then", "per second", "per minute"];
    let is_about = marks.iter().any(|mark| lower.contains(mark));
    // The stretch that reads: parts between semicolons, brackets and sentences.
    let parts = note.split([';', '(', ')', '[', ']', '|', '\n']);
    parts
        .filter_map(|part| read(part.trim().trim_end_matches(['.', ','])).ok())
        .find(|found| (is_about || lower.contains('/')) && found.first > 0 && found.next > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<(u32, u32, u32)>) {
        let read = read(text).ok().map(|read| (read.first, read.next, read.minimum));
        assert_eq!(read, expected, "{text}");
    }

    #[test]
    fn increments_are_read_in_figures_and_in_words() {
        check("60/60", Some((60, 60, 0)));
        check("1/1/1", Some((1, 1, 0)));
        check("30/6/6", Some((6, 6, 30)));
        check("0/60/1", Some((60, 1, 0)));
        check("30+6", Some((30, 6, 0)));
        check("60-1", Some((60, 1, 0)));
        check("60", Some((60, 60, 0)));
        check("60.0/1.0", Some((60, 1, 0)));
        check("60s/1s", Some((60, 1, 0)));
        check("first 60 s then 1", Some((60, 1, 0)));
        check("First minute, then per second", Some((60, 1, 0)));
        check("per second", Some((1, 1, 0)));
        check("per minute", Some((60, 60, 0)));
        check("1 min + 1 sec", Some((60, 1, 0)));
        check("6 second increments", Some((6, 6, 0)));
        check("30 seconds initial, 6 seconds thereafter", Some((30, 6, 0)));
        check("erste 60 Sekunden, dann je 30", Some((60, 30, 0)));
        check("Mobile", None);
        check("", None);
        check("1/2/3/4", None);
        check("1.5/1", None);
    }

    #[test]
    fn notes_may_have_increments() {
        assert_eq!(find("Mobile; billing 30/6").map(|i| (i.first, i.next)), Some((30, 6)));
        assert_eq!(find("(first 60 s then 1)").map(|i| (i.first, i.next)), Some((60, 1)));
        assert_eq!(find("CLI guaranteed"), None);
        assert_eq!(find("12"), None);
    }
}
