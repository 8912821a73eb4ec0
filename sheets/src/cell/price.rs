//! Prices: `0.0123`, `0,0123`, `$ 1'234.50`, `1.2E-05`. Exact: what does not fit is refused or, where
//! the layout says so, rounded.

use billing::Price;
use serde::{Deserialize, Serialize};

/// What stands before the decimals of a column of prices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecimalSign {
    /// As the column shows.
    #[default]
    Guess,
    /// `0.0123`
    Point,
    /// `0,0123`
    Comma,
}

/// What becomes of the tenth decimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExcessDecimals {
    /// The row is rejected.
    #[default]
    Reject,
    /// Up to nine decimals.
    RoundUp,
    /// To the nearest, the middle up.
    RoundHalfUp,
}

/// How a price is to be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PriceForm {
    /// `Guess`: a comma may be either.
    pub(crate) sign: DecimalSign,
    pub(crate) excess: ExcessDecimals,
    /// 60 where prices are per second, else 1.
    pub(crate) times: u32,
    /// 2 where prices are in cents, else 0.
    pub(crate) shift: u32,
}

/// A price that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PriceCell {
    Price(Price, Option<String>),
    /// Words that say that calls there are refused.
    Blocked,
    Empty,
}

const NANO_DECIMALS: i32 = 9;
const DIGITS_MAX: usize = 30;
const BLOCKED: [&str; 9] = [
    "blocked",
    "block",
    "closed",
    "barred",
    "not available",
    "unavailable",
    "suspended",
    "gesperrt",
    "bloqueado",
];

/// Evidence in one cell of what its column puts before the decimals.
pub(crate) fn evidence(text: &str) -> Option<DecimalSign> {
    let (dot, comma) = (text.rfind('.'), text.rfind(','));
    match (dot, comma) {
        (Some(dot), Some(comma)) if dot > comma => Some(DecimalSign::Point),
        (Some(_), Some(_)) => Some(DecimalSign::Comma),
        (Some(at), None) if is_decimals(text, at) => Some(DecimalSign::Point),
        (None, Some(at)) if is_decimals(text, at) => Some(DecimalSign::Comma),
        _ => None,
    }
}

/// Can what is behind this sign only be decimals?
fn is_decimals(text: &str, at: usize) -> bool {
    let digits = |part: &str| part.bytes().filter(u8::is_ascii_digit).count();
    let whole: String = text[..at].chars().filter(char::is_ascii_digit).collect();
    digits(&text[at + 1..]) != 3 || whole.is_empty() || whole.starts_with('0') || whole.len() > 3
}

/// Reads a price.
pub(crate) fn read(text: &str, form: PriceForm) -> Result<PriceCell, String> {
    if let Some(nanos) = plain(text, form) {
        let price = Price::from_nanos(nanos).ok_or_else(|| too_large(text))?;
        return Ok(PriceCell::Price(price, None));
    }
    if text.is_empty() {
        return Ok(PriceCell::Empty);
    }
    let bare = bare(text);
    if BLOCKED.contains(&bare.to_lowercase().trim()) {
        return Ok(PriceCell::Blocked);
    }
    let number = number(text, &bare, form.sign)?;
    let note = number.exponent.map(|_| format!("{text} is {}", number.plain()));
    let (price, rounded) = number.price(text, form)?;
    Ok(PriceCell::Price(price, rounded.or(note)))
}

/// The usual case, quickly: digits, at most one point, at most nine decimals.
fn plain(text: &str, form: PriceForm) -> Option<i64> {
    let sign = if form.sign == DecimalSign::Comma { b',' } else { b'.' };
    if form.times != 1 || form.shift != 0 || text.is_empty() || text.len() > 18 {
        return None;
    }
    let (mut value, mut decimals, mut digits) = (0_i64, None, 0);
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9' => {
                value = value * 10 + i64::from(byte - b'0');
                digits += 1;
                decimals = decimals.map(|count: u32| count + 1);
            }
            _ if byte == sign && decimals.is_none() => decimals = Some(0),
            _ => return None,
        }
    }
    let places = 9_u32.checked_sub(decimals.unwrap_or(0))?;
    if digits == 0 {
        return None;
    }
    value.checked_mul(10_i64.pow(places))
}

/// Without currency signs and words around it.
fn bare(text: &str) -> String {
    let is_sign = |c: char| {
        c.is_whitespace() || matches!(c, '$' | '€' | '£' | '¥' | '₽' | '₹' | '₺' | '\u{a0}')
    };
    let mut text = text.trim_matches(is_sign);
    for word in ["USD", "EUR", "GBP", "CHF", "US$", "PLN", "CZK", "AUD", "CAD", "SEK"] {
        text = text.strip_prefix(word).unwrap_or(text).trim_matches(is_sign);
        text = text.strip_suffix(word).unwrap_or(text).trim_matches(is_sign);
    }
    for unit in ["/min", "/minute", "per min", "per minute", "p/min", "pm"] {
        text = text.strip_suffix(unit).unwrap_or(text).trim_matches(is_sign);
    }
    text.to_owned()
}

struct Number {
    digits: String,
    /// How many of the digits are decimals, the exponent counted in.
    decimals: i32,
    exponent: Option<i32>,
}

fn number(text: &str, bare: &str, sign: DecimalSign) -> Result<Number, String> {
    let not =
        || format!("{text:?} is not a price; write digits with one decimal point, or `blocked`");
    let (mantissa, exponent) = match bare.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => {
            let exponent = exponent.trim_start_matches('+').parse::<i32>().map_err(|_| not())?;
            (mantissa, Some(exponent).filter(|e| e.abs() <= 30).ok_or_else(not)?)
        }
        None => (bare, 0),
    };
    let has_exponent = bare.len() != mantissa.len();
    if mantissa.starts_with('-') && mantissa.bytes().any(|byte| byte.is_ascii_digit()) {
        return Err(format!("the price {text} is negative; write 0 or more"));
    }
    let mark = decimal_mark(text, mantissa, sign)?;
    let (whole, fraction) = match mark {
        Some(at) => (&mantissa[..at], &mantissa[at + 1..]),
        None => (mantissa, ""),
    };
    let mut digits = String::with_capacity(mantissa.len());
    let mut group = 0;
    for c in whole.chars() {
        match c {
            '0'..='9' => {
                digits.push(c);
                group += 1;
            }
            ',' | '.' | ' ' | '\'' | '’' | '\u{a0}' | '\u{202f}' if !digits.is_empty() => {
                if digits.len() > 3 && group != 3 {
                    return Err(not());
                }
                group = 0;
            }
            _ => return Err(not()),
        }
    }
    let is_grouped = digits.len() != group;
    if (is_grouped && group != 3) || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(not());
    }
    digits.push_str(fraction);
    if digits.is_empty() || digits.len() > DIGITS_MAX + 10 {
        return Err(not());
    }
    let decimals = fraction.len() as i32 - exponent;
    Ok(Number { digits, decimals, exponent: has_exponent.then_some(exponent) })
}

/// Where the decimals begin.
fn decimal_mark(text: &str, mantissa: &str, sign: DecimalSign) -> Result<Option<usize>, String> {
    let (dot, comma) = (mantissa.rfind('.'), mantissa.rfind(','));
    let single = |mark: char| mantissa.matches(mark).count() == 1;
    match sign {
        DecimalSign::Point if single('.') && comma < dot => Ok(dot),
        DecimalSign::Comma if single(',') && dot < comma => Ok(comma),
        DecimalSign::Point | DecimalSign::Comma if dot.is_none() && comma.is_none() => Ok(None),
        DecimalSign::Point if dot.is_none() => Ok(None),
        DecimalSign::Comma if comma.is_none() => Ok(None),
        DecimalSign::Guess => match (dot, comma) {
            (Some(_), Some(_)) => Ok(dot.max(comma)),
            (Some(at), None) if single('.') => Ok(Some(at)),
            (None, Some(at)) if single(',') && is_decimals(mantissa, at) => Ok(Some(at)),
            (None, Some(_)) if single(',') => Err(format!(
                "{text:?} may have decimals or thousands behind its comma; set `decimal_sign` in the \
                 layout"
            )),
            _ => Ok(None),
        },
        _ => Err(format!("{text:?} has its decimal sign where the other prices have thousands")),
    }
}

fn too_large(text: &str) -> String {
    format!("the price {text} is above 1,000,000,000")
}

impl Number {
    fn plain(&self) -> String {
        let digits = self.digits.trim_start_matches('0');
        match usize::try_from(self.decimals) {
            Ok(0) => digits.to_owned(),
            Ok(places) if digits.len() > places => {
                let at = digits.len() - places;
                format!("{}.{}", &digits[..at], &digits[at..])
            }
            Ok(places) => format!("0.{digits:0>places$}"),
            Err(_) => format!("{digits}{}", "0".repeat(self.decimals.unsigned_abs() as usize)),
        }
    }

    /// Exactly, or rounded once at the end.
    fn price(&self, text: &str, form: PriceForm) -> Result<(Price, Option<String>), String> {
        let digits = self.digits.trim_start_matches('0');
        if digits.len() > DIGITS_MAX {
            return Err(too_large(text));
        }
        let mut value: i128 =
            if digits.is_empty() { 0 } else { digits.parse().map_err(|_| too_large(text))? };
        value *= i128::from(form.times);
        let decimals = self.decimals + form.shift as i32;
        let places = NANO_DECIMALS - decimals;
        if places >= 0 {
            let factor = 10_i128.checked_pow(places.unsigned_abs());
            let nanos = factor.and_then(|factor| value.checked_mul(factor));
            let price = nanos.and_then(|nanos| Price::from_nanos(i64::try_from(nanos).ok()?));
            return Ok((price.ok_or_else(|| too_large(text))?, None));
        }
        let factor = 10_i128.checked_pow(places.unsigned_abs()).unwrap_or(i128::MAX);
        let (nanos, rest) = (value / factor, value % factor);
        let up = match form.excess {
            _ if rest == 0 => 0,
            ExcessDecimals::Reject => {
                return Err(format!(
                    "the price {text} has more than nine decimals; shorten it, or set \
                     `excess_decimals` in the layout"
                ));
            }
            ExcessDecimals::RoundUp => 1,
            ExcessDecimals::RoundHalfUp => i128::from(rest >= factor - rest),
        };
        let price = i64::try_from(nanos + up).ok().and_then(Price::from_nanos);
        let price = price.ok_or_else(|| too_large(text))?;
        Ok((price, (rest != 0).then(|| format!("{text} is rounded to {price}"))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: PriceForm =
        PriceForm { sign: DecimalSign::Guess, excess: ExcessDecimals::Reject, times: 1, shift: 0 };

    #[track_caller]
    fn check(text: &str, form: PriceForm, expected: Result<&str, &str>) {
        match (read(text, form), expected) {
            (Ok(PriceCell::Price(price, _)), Ok(expected)) => {
                assert_eq!(price.to_string(), expected, "{text}");
            }
            (Ok(PriceCell::Blocked), Ok(expected)) => assert_eq!(expected, "blocked"),
            (Ok(PriceCell::Empty), Ok(expected)) => assert_eq!(expected, ""),
            (Err(what), Err(part)) => assert!(what.contains(part), "{what}"),
            (read, expected) => panic!("{text}: {read:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn prices_are_read_with_any_signs_or_refused() {
        check("0.0123", FORM, Ok("0.0123"));
        check("0,0123", FORM, Ok("0.0123"));
        check("$ 1,234.50", FORM, Ok("1234.5"));
        check("1.234,50 €", FORM, Ok("1234.5"));
        check("1'234.5 CHF", FORM, Ok("1234.5"));
        check("USD0.01", FORM, Ok("0.01"));
        check("0.02/min", FORM, Ok("0.02"));
        check(".5", FORM, Ok("0.5"));
        check("1.2E-05", FORM, Ok("0.000012"));
        check("1E2", FORM, Ok("100"));
        check("0,012", FORM, Ok("0.012"));
        check("1,234", FORM, Err("decimals or thousands"));
        check("1,234", PriceForm { sign: DecimalSign::Comma, ..FORM }, Ok("1.234"));
        check("1,234", PriceForm { sign: DecimalSign::Point, ..FORM }, Ok("1234"));
        check("1.234,5", PriceForm { sign: DecimalSign::Point, ..FORM }, Err("decimal sign"));
        check("Blocked", FORM, Ok("blocked"));
        check("", FORM, Ok(""));
        check("n/a", FORM, Err("not a price"));
        check("-", FORM, Err("not a price"));
        check("-0.1", FORM, Err("negative"));
        check("1.2.3", FORM, Err("not a price"));
        check("12,34,567", FORM, Err("not a price"));
        check("1000000001", FORM, Err("above"));
        check(&"9".repeat(60), FORM, Err("not a price"));
    }

    #[test]
    fn the_tenth_decimal_is_refused_or_rounded_as_the_layout_says() {
        let up = PriceForm { excess: ExcessDecimals::RoundUp, ..FORM };
        let half = PriceForm { excess: ExcessDecimals::RoundHalfUp, ..FORM };
        check("0.0000000001", FORM, Err("more than nine decimals"));
        check("0.0120000000000", FORM, Ok("0.012"));
        check("0.0000000001", up, Ok("0.000000001"));
        check("0.0000000001", half, Ok("0"));
        check("0.0000000005", half, Ok("0.000000001"));
        assert!(matches!(read("0.0000000005", half), Ok(PriceCell::Price(_, Some(_)))));
    }

    #[test]
    fn prices_per_second_and_in_cents_become_prices_per_minute() {
        check("0.0002", PriceForm { times: 60, ..FORM }, Ok("0.012"));
        check("1.2", PriceForm { shift: 2, ..FORM }, Ok("0.012"));
        check("0.00000000001", PriceForm { times: 60, ..FORM }, Err("nine decimals"));
        check("0.000000000050", PriceForm { times: 60, ..FORM }, Ok("0.000000003"));
    }

    #[test]
    fn a_column_shows_its_decimal_sign() {
        assert_eq!(evidence("0,012"), Some(DecimalSign::Comma));
        assert_eq!(evidence("1,5"), Some(DecimalSign::Comma));
        assert_eq!(evidence("1.234,5"), Some(DecimalSign::Comma));
        assert_eq!(evidence("1,234.5"), Some(DecimalSign::Point));
        assert_eq!(evidence("1.25"), Some(DecimalSign::Point));
        assert_eq!(evidence("1,234"), None);
        assert_eq!(evidence("12"), None);
    }
}
