//! Lists of codecs, by the names that session descriptions have for them.

use std::fmt;
use std::str::FromStr;

/// So many codecs are on one list at most.
const CODECS_MAX: usize = 32;
/// The longest name of a codec, in bytes.
const NAME_MAX: usize = 32;

/// The codecs that may be used, the most wanted first: encoding names of RTP payload formats (the
/// registry of RFC 4855), such as `PCMA`, `G729` or `opus`. Upper and lower case are alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Codecs(Box<[Box<str>]>);

/// Why that is no list of codecs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodecError {
    /// Nothing is on it.
    Empty,
    /// More are on it than a list may have.
    TooMany,
    /// This is no name of a codec.
    NoName(String),
    /// This one is on it twice.
    Twice(String),
    /// This is not for the list to say: it always passes.
    AlwaysPasses(String),
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CodecError::Empty => {
                write!(f, "the list is empty; name codecs, or take the list away to allow all")
            }
            CodecError::TooMany => write!(f, "write at most {CODECS_MAX} codecs"),
            CodecError::NoName(text) => write!(
                f,
                "{text:?} is no name of a codec; write it as in a=rtpmap, without its clock: PCMA, G729"
            ),
            CodecError::Twice(name) => write!(f, "{name} is there twice; leave one out"),
            CodecError::AlwaysPasses(name) => {
                write!(f, "{name} always passes with the codec it goes with; leave it out")
            }
        }
    }
}

impl std::error::Error for CodecError {}

impl Codecs {
    /// A list of these, the most wanted first.
    ///
    /// # Errors
    /// It is empty or too long, or a name is none, is there twice, or is not for the list to say.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Codecs, CodecError> {
        let mut list: Vec<Box<str>> = Vec::new();
        for name in names {
            let is_token = |b: u8| b.is_ascii_alphanumeric() || b"-_.+".contains(&b);
            if name.is_empty() || name.len() > NAME_MAX || !name.bytes().all(is_token) {
                return Err(CodecError::NoName(name.to_owned()));
            }
            if always_passes(name.as_bytes()) {
                return Err(CodecError::AlwaysPasses(name.to_owned()));
            }
            if list.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                return Err(CodecError::Twice(name.to_owned()));
            }
            list.push(name.into());
        }
        match list.len() {
            0 => Err(CodecError::Empty),
            1..=CODECS_MAX => Ok(Codecs(list.into())),
            _ => Err(CodecError::TooMany),
        }
    }

    /// Their names, the most wanted first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|name| &**name)
    }

    /// How wanted a codec is, 0 the most; `None`: it may not be used.
    pub(super) fn rank(&self, name: &[u8]) -> Option<usize> {
        self.0.iter().position(|known| known.as_bytes().eq_ignore_ascii_case(name))
    }
}

impl FromStr for Codecs {
    type Err = CodecError;

    /// Names with commas between them.
    fn from_str(text: &str) -> Result<Codecs, CodecError> {
        Codecs::new(text.split(',').map(str::trim))
    }
}

impl fmt::Display for Codecs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

/// What goes along with a codec and is none: digits (RFC 4733), comfort noise (RFC 3389), and
/// retransmissions (RFC 4588), which pass with the codec that they are of.
pub(super) fn always_passes(name: &[u8]) -> bool {
    [&b"telephone-event"[..], b"CN", b"rtx"].iter().any(|one| one.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_and_written() {
        let codecs: Codecs = "PCMA, g729,opus".parse().unwrap();
        assert_eq!(codecs.to_string(), "PCMA,g729,opus");
        assert_eq!(codecs.rank(b"pcma"), Some(0));
        assert_eq!(codecs.rank(b"G729"), Some(1));
        assert_eq!(codecs.rank(b"PCMU"), None);
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert!(text.parse::<Codecs>().unwrap_err().to_string().contains(expected));
    }

    #[test]
    fn what_is_wrong_is_named() {
        check("PCMA,,G729", "\"\" is no name");
        check("PCMA/8000", "without its clock");
        check("PCMA,pcma", "pcma is there twice");
        check("PCMA,telephone-event", "always passes");
        assert_eq!(Codecs::new([]), Err(CodecError::Empty));
        let many: Vec<String> = (0..33).map(|n| format!("codec{n}")).collect();
        assert_eq!(Codecs::new(many.iter().map(String::as_str)), Err(CodecError::TooMany));
    }
}
