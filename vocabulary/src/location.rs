//! Where a call goes, beyond the number that was called: where a ported number is served, and whether
//! the call leaves its state (T7).

use crate::Number;

/// Whether a call stays within one state, for those who price calls by that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Jurisdiction {
    /// From one state to another.
    Inter,
    /// Within one state.
    Intra,
    /// The state of the caller or of the called number is not known.
    Undetermined,
}

impl Jurisdiction {
    /// All of them.
    pub const ALL: [Jurisdiction; 3] =
        [Jurisdiction::Inter, Jurisdiction::Intra, Jurisdiction::Undetermined];

    /// The word in the database and on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Jurisdiction::Inter => "inter",
            Jurisdiction::Intra => "intra",
            Jurisdiction::Undetermined => "undetermined",
        }
    }

    /// The jurisdiction with this word.
    pub fn from_word(word: &str) -> Option<Jurisdiction> {
        Jurisdiction::ALL.into_iter().find(|jurisdiction| jurisdiction.word() == word)
    }
}

/// Where a call goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Location {
    /// The location routing number of the called number (RFC 4694): where it is served since it was
    /// ported. `None`: it was not ported, or nobody has asked.
    pub lrn: Option<Number>,
    /// `None`: calls to such numbers have none.
    pub jurisdiction: Option<Jurisdiction>,
}
