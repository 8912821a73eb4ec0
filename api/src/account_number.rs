//! Account numbers: ten digits that are drawn, chosen, or the end of a phone number.

use store::directory::{Change, NUMBER_DIGITS};
use vocabulary::Number;

use crate::Problem;

const DRAWS_MAX: usize = 100;

/// What a command says about the number.
pub(crate) enum NumberWanted {
    /// Any that nobody has.
    Random,
    /// This one.
    This(String),
}

/// `random`, ten digits, or a phone number with its plus, of which the last ten digits count.
pub(crate) fn read(text: &str) -> Result<NumberWanted, Problem> {
    if text == "random" {
        return Ok(NumberWanted::Random);
    }
    let Some(phone) = text.strip_prefix('+') else {
        return Ok(NumberWanted::This(text.to_owned()));
    };
    let what = "write a phone number of at least ten digits, such as +12056055576";
    let number: Number = phone.parse().map_err(|_| Problem::invalid("number", what))?;
    let digits = number.as_str();
    match digits.len().checked_sub(NUMBER_DIGITS) {
        Some(before) => Ok(NumberWanted::This(digits[before..].to_owned())),
        None => Err(Problem::invalid("number", what)),
    }
}

/// Ten digits of which the first is not 0, that no account has.
pub(crate) async fn draw(change: &mut Change) -> Result<String, Problem> {
    for _ in 0..DRAWS_MAX {
        let number = format!("{}{}", random_digits(1, b"123456789"), random_digits(9, DIGITS));
        if change.is_number_free(&number).await? {
            return Ok(number);
        }
    }
    Err(Problem::new(500, "internal", "no account number is free; give one"))
}

/// The ten digits.
pub(crate) const DIGITS: &[u8] = b"0123456789";

/// So many signs of an alphabet of at most 128, each as likely as another.
pub(crate) fn random_digits(length: usize, alphabet: &[u8]) -> String {
    let fair = 256 / alphabet.len() * alphabet.len();
    let mut text = String::with_capacity(length);
    while text.len() < length {
        let mut bytes = [0; 64];
        getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
        let fair = bytes.iter().map(|byte| usize::from(*byte)).filter(|byte| *byte < fair);
        text.extend(fair.map(|byte| char::from(alphabet[byte % alphabet.len()])));
    }
    text.truncate(length);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let read = read(text).ok().map(|wanted| match wanted {
            NumberWanted::Random => "random".to_owned(),
            NumberWanted::This(number) => number,
        });
        assert_eq!(read.as_deref(), expected, "{text}");
    }

    #[test]
    fn a_number_is_drawn_chosen_or_the_end_of_a_phone_number() {
        //
        check("random", Some("random"));
        check("1234567890", Some("1234567890"));
        check("+12056055576", Some("2056055576"));
        check("+493023125101", Some("3023125101"));
        check("+44 1", None);
        check("+4930", None);
    }

    #[test]
    fn signs_are_drawn_from_the_alphabet_only() {
        let drawn = random_digits(2_000, b"abc");
        assert_eq!(drawn.len(), 2_000);
        for sign in ['a', 'b', 'c'] {
            let share = drawn.matches(sign).count();
            assert!((500..850).contains(&share), "{sign}: {share} of 2,000");
        }
    }
}
