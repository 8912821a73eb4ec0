//! In which state a number is, by its first digits, and with it whether a call leaves its state (T7).
//! The operator brings the table; whoever it is bought from says how it may be used.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use vocabulary::{Jurisdiction, Number};

/// Of a prefix; longer ones say nothing of states.
pub const PREFIX_MAX: usize = 15;

/// A line of the table: numbers that begin so are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JurisdictionRow {
    /// E.164 digits without `+`, 1 to [`PREFIX_MAX`].
    pub prefix: Box<str>,
    /// Such as `NY`. `None`: calls to such numbers have a jurisdiction, but their state is not known.
    pub state: Option<Box<str>>,
    /// The local access and transport area; it is told and decides nothing.
    pub lata: Option<u32>,
}

/// Where a number is: a state, and an area of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The place in `names`; 0 is not known.
    state: u16,
    lata: u32,
}

/// The table. Half a million prefixes take some 15 MB; it is shared by snapshots until it changes.
#[derive(Clone, Debug, PartialEq)]
pub struct Jurisdictions {
    /// By the digits as a number with a 1 before them, so that zeros in front count.
    places: HashMap<u64, Place, FixedState>,
    /// The first is empty.
    names: Vec<Box<str>>,
    /// Bit n is set if there are prefixes of n digits.
    lengths: u32,
}

impl Default for Jurisdictions {
    fn default() -> Jurisdictions {
        let places = HashMap::with_hasher(FixedState::default());
        Jurisdictions { places, names: vec!["".into()], lengths: 0 }
    }
}

fn key(digits: &[u8]) -> Option<u64> {
    let is_prefix = digits.len() <= PREFIX_MAX && digits.iter().all(u8::is_ascii_digit);
    is_prefix.then(|| digits.iter().fold(1, |key, digit| key * 10 + u64::from(digit - b'0')))
}

impl Jurisdictions {
    /// Rows whose prefix is none are left out; of two with one prefix the later counts.
    pub fn new(rows: impl IntoIterator<Item = JurisdictionRow>) -> Jurisdictions {
        let mut table = Jurisdictions::default();
        let mut states: HashMap<Box<str>, u16, FixedState> =
            HashMap::with_hasher(FixedState::default());
        for JurisdictionRow { prefix, state, lata } in rows {
            let Some(key) = key(prefix.as_bytes()) else { continue };
            let state = match state {
                None => 0,
                Some(name) => *states.entry(name).or_insert_with_key(|name| {
                    table.names.push(name.clone());
                    u16::try_from(table.names.len() - 1).unwrap_or_default()
                }),
            };
            table.lengths |= 1 << prefix.len();
            table.places.insert(key, Place { state, lata: lata.unwrap_or_default() });
        }
        table
    }

    /// How many prefixes there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// None at all?
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Where a number is, by the longest prefix of it that is in the table.
    pub(crate) fn place(&self, number: &Number) -> Option<Place> {
        if self.places.is_empty() {
            return None;
        }
        let digits = number.as_bytes();
        let lengths = (0..=digits.len().min(PREFIX_MAX)).rev();
        let mut lengths = lengths.filter(|length| self.lengths & (1 << length) != 0);
        lengths.find_map(|length| self.places.get(&key(&digits[..length])?).copied())
    }

    /// What a call between these is.
    pub(crate) fn between(&self, caller: Option<Place>, called: Place) -> Jurisdiction {
        match caller {
            Some(caller) if caller.state != 0 && called.state != 0 => {
                if caller.state == called.state { Jurisdiction::Intra } else { Jurisdiction::Inter }
            }
            _ => Jurisdiction::Undetermined,
        }
    }

    /// The state's name with its area, if it is known.
    pub(crate) fn name(&self, place: Place) -> Option<String> {
        let name = self.names.get(usize::from(place.state)).filter(|name| !name.is_empty())?;
        Some(match place.lata {
            0 => name.to_string(),
            lata => format!("{name} (LATA {lata})"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Jurisdictions {
        let rows = [
            ("1", None, None),
            ("1212", Some("NY"), Some(132)),
            ("1202", Some("DC"), Some(236)),
            ("1716", Some("NY"), None),
            // A block of numbers of the other state.
            ("12125559", Some("NJ"), None),
            ("44", Some("GB"), None),
        ];
        Jurisdictions::new(rows.map(|(prefix, state, lata)| JurisdictionRow {
            prefix: prefix.into(),
            state: state.map(Box::from),
            lata,
        }))
    }

    #[track_caller]
    fn check(caller: Option<&str>, called: &str, expected: Option<Jurisdiction>) {
        let table = table();
        let place = |text: &str| table.place(&text.parse().unwrap());
        let caller = caller.and_then(place);
        assert_eq!(place(called).map(|called| table.between(caller, called)), expected);
    }

    #[test]
    fn states_make_jurisdictions() {
        use Jurisdiction::{Inter, Intra, Undetermined};
        // T7
        check(Some("12125550100"), "12025550100", Some(Inter));
        check(Some("12125550100"), "17165550100", Some(Intra));
        check(Some("12125559100"), "12125550100", Some(Inter));
        check(Some("442079460000"), "12125550100", Some(Inter));
        check(Some("13055550100"), "12125550100", Some(Undetermined));
        check(Some("12125550100"), "13055550100", Some(Undetermined));
        check(Some("493012345"), "12125550100", Some(Undetermined));
        check(None, "12125550100", Some(Undetermined));
        // Two that are not known are not the same.
        check(Some("13055550100"), "13055550101", Some(Undetermined));
        // Not in the table: no matter of states at all.
        check(Some("12125550100"), "493012345", None);
        check(Some("12125550100"), "*1", None);
    }

    #[test]
    fn areas_are_told() {
        let table = table();
        let name = |text: &str| table.name(table.place(&text.parse().unwrap()).unwrap());
        assert_eq!(name("12125550100").as_deref(), Some("NY (LATA 132)"));
        assert_eq!(name("17165550100").as_deref(), Some("NY"));
        assert_eq!(name("13055550100"), None);
        assert_eq!(table.len(), 6);
    }

    #[test]
    fn a_row_that_is_no_prefix_is_left_out() {
        let row = |prefix: &str| JurisdictionRow {
            prefix: prefix.into(),
            state: Some("NY".into()),
            lata: None,
        };
        assert!(Jurisdictions::new([row("1x"), row("1234567890123456")]).is_empty());
    }
}
