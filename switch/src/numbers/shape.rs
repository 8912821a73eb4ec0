//! The part of regular expressions that numbering plans are written in: digits, `\d`, `[13-5]`,
//! `(?:a|b)`, `?`, `{4}`, `{3,12}`. All ways through a number are followed at once, a bit for each
//! place in it, so that no number takes long.

/// A set of places in a number, a bit each: 0 is before the first digit.
type Places = u32;

/// More digits than this no number has that is looked at.
const DIGITS_MAX: usize = 31;

/// One expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// One digit out of a set, a bit each.
    Digit(u16),
    /// One after the other.
    Sequence(Box<[Shape]>),
    /// Any one of them.
    Choice(Box<[Shape]>),
    /// So many times at least and at most.
    Repeat(Box<Shape>, u8, u8),
}

impl Shape {
    /// `None` if the text holds something that this dialect has not.
    pub(super) fn parse(text: &str) -> Option<Shape> {
        let mut rest = text.as_bytes();
        let shape = choice(&mut rest)?;
        rest.is_empty().then_some(shape)
    }

    /// Whether the whole number is so.
    pub(super) fn is_whole(&self, digits: &[u8]) -> bool {
        digits.len() <= DIGITS_MAX && self.after(digits, 1) & 1 << digits.len() != 0
    }

    /// Whether the number begins so.
    pub(super) fn begins(&self, digits: &[u8]) -> bool {
        digits.len() <= DIGITS_MAX && self.after(digits, 1) != 0
    }

    /// Where one may be after this, from these places.
    fn after(&self, digits: &[u8], from: Places) -> Places {
        match self {
            Shape::Digit(set) => {
                let (mut after, mut rest) = (0, from);
                while rest != 0 {
                    let place = rest.trailing_zeros();
                    rest &= rest - 1;
                    let digit = digits.get(place as usize);
                    if digit.is_some_and(|digit| set & 1 << (digit - b'0') != 0) {
                        after |= 2 << place;
                    }
                }
                after
            }
            Shape::Sequence(shapes) => {
                let mut places = from;
                for shape in shapes {
                    places = shape.after(digits, places);
                    if places == 0 {
                        break;
                    }
                }
                places
            }
            Shape::Choice(shapes) => {
                shapes.iter().fold(0, |after, shape| after | shape.after(digits, from))
            }
            Shape::Repeat(shape, least, most) => {
                let mut after = if *least == 0 { from } else { 0 };
                let mut places = from;
                for times in 1..=*most {
                    places = shape.after(digits, places);
                    if places == 0 {
                        break;
                    }
                    if times >= *least {
                        after |= places;
                    }
                }
                after
            }
        }
    }
}

fn take(rest: &mut &[u8], sign: u8) -> bool {
    let is_there = rest.first() == Some(&sign);
    if is_there {
        *rest = &rest[1..];
    }
    is_there
}

fn choice(rest: &mut &[u8]) -> Option<Shape> {
    let mut shapes = vec![sequence(rest)?];
    while take(rest, b'|') {
        shapes.push(sequence(rest)?);
    }
    match shapes.len() {
        1 => shapes.pop(),
        _ => Some(Shape::Choice(shapes.into())),
    }
}

fn sequence(rest: &mut &[u8]) -> Option<Shape> {
    let mut shapes = Vec::new();
    while !matches!(rest.first(), None | Some(b'|' | b')')) {
        let shape = one(rest)?;
        shapes.push(repeated(rest, shape)?);
    }
    match shapes.len() {
        1 => shapes.pop(),
        _ => Some(Shape::Sequence(shapes.into())),
    }
}

fn one(rest: &mut &[u8]) -> Option<Shape> {
    let (sign, after) = rest.split_first()?;
    *rest = after;
    match sign {
        b'0'..=b'9' => Some(Shape::Digit(1 << (sign - b'0'))),
        b'\\' => take(rest, b'd').then_some(Shape::Digit(0x3FF)),
        b'[' => digits(rest),
        b'(' => {
            let opened = take(rest, b'?') && take(rest, b':');
            let shape = choice(rest).filter(|_| opened)?;
            take(rest, b')').then_some(shape)
        }
        _ => None,
    }
}

/// Up to the closing bracket.
fn digits(rest: &mut &[u8]) -> Option<Shape> {
    let mut set = 0;
    while !take(rest, b']') {
        let from = digit(rest)?;
        let till = if take(rest, b'-') { digit(rest)? } else { from };
        set |= (from..=till).fold(0, |set: u16, digit| set | 1 << digit);
    }
    (set != 0).then_some(Shape::Digit(set))
}

fn digit(rest: &mut &[u8]) -> Option<u8> {
    let (sign, after) = rest.split_first()?;
    *rest = after;
    sign.is_ascii_digit().then(|| sign - b'0')
}

fn repeated(rest: &mut &[u8], shape: Shape) -> Option<Shape> {
    if take(rest, b'?') {
        return Some(Shape::Repeat(Box::new(shape), 0, 1));
    }
    if !take(rest, b'{') {
        return Some(shape);
    }
    let least = count(rest)?;
    let most = if take(rest, b',') { count(rest)? } else { least };
    (take(rest, b'}') && least <= most).then(|| Shape::Repeat(Box::new(shape), least, most))
}

fn count(rest: &mut &[u8]) -> Option<u8> {
    let length = rest.iter().take_while(|sign| sign.is_ascii_digit()).count();
    let (text, after) = rest.split_at(length);
    *rest = after;
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, fit: &[&str], unfit: &[&str]) {
        let shape = Shape::parse(text).unwrap();
        for (numbers, expected) in [(fit, true), (unfit, false)] {
            for number in numbers {
                assert_eq!(shape.is_whole(number.as_bytes()), expected, "{text} {number}");
            }
        }
    }

    #[test]
    fn shapes_are_matched_whole() {
        check(
            "16(?:4\\d{1,3}|[89]\\d?)",
            &["1641", "164123", "168", "1690"],
            &["164", "1641234", "1670"],
        );
        check("(?:1|2[3-57])?9", &["9", "19", "239", "249", "279"], &["29", "269", "99"]);
        check("(?:12?){2}3", &["113", "1213", "12123"], &["13", "1223", "11123"]);
        check("0|00", &["0", "00"], &["", "000"]);
        check("", &[""], &["1"]);
        let shape = Shape::parse("26[48]").unwrap();
        assert!(shape.begins(b"26812") && !shape.begins(b"2612") && !shape.begins(b"26"));
        assert!(!Shape::parse("\\d{1,31}").unwrap().is_whole(&[b'1'; 32]));
    }

    #[test]
    fn what_is_not_of_the_dialect_is_no_shape() {
        for text in
            ["a", "(1)", "[", "[]", "[1", "1{", "1{2", "1{3,2}", "1*", "(?:1", "1)", "^1", "\\w"]
        {
            assert_eq!(Shape::parse(text), None, "{text}");
        }
    }
}
