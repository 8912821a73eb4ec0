//! What kind of number an E.164 number is, and where: from libphonenumber's metadata, by
//! `classes.txt` (`xtask/number_classes.py` writes it anew).

use std::sync::LazyLock;

use vocabulary::Number;

use super::shape::Shape;

/// The kinds that numbering plans tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NumberClass {
    /// A line.
    Fixed,
    /// A mobile phone.
    Mobile,
    /// One of the two: the plan does not tell them apart.
    FixedOrMobile,
    /// The callee pays.
    TollFree,
    /// Dear to the caller.
    Premium,
    /// Caller and callee share the cost.
    SharedCost,
    /// VoIP without a place.
    Voip,
    /// A person, wherever that is.
    Personal,
    /// A pager.
    Pager,
    /// A company's one number (universal access).
    Uan,
    /// A mailbox.
    Voicemail,
}

impl NumberClass {
    /// All of them.
    pub const ALL: [NumberClass; 11] = [
        NumberClass::Fixed,
        NumberClass::Mobile,
        NumberClass::FixedOrMobile,
        NumberClass::TollFree,
        NumberClass::Premium,
        NumberClass::SharedCost,
        NumberClass::Voip,
        NumberClass::Personal,
        NumberClass::Pager,
        NumberClass::Uan,
        NumberClass::Voicemail,
    ];

    /// The word in lists and the API.
    pub fn word(self) -> &'static str {
        match self {
            NumberClass::Fixed => "fixed",
            NumberClass::Mobile => "mobile",
            NumberClass::FixedOrMobile => "fixed_or_mobile",
            NumberClass::TollFree => "toll_free",
            NumberClass::Premium => "premium",
            NumberClass::SharedCost => "shared_cost",
            NumberClass::Voip => "voip",
            NumberClass::Personal => "personal",
            NumberClass::Pager => "pager",
            NumberClass::Uan => "uan",
            NumberClass::Voicemail => "voicemail",
        }
    }

    /// The class with this word.
    pub fn from_word(word: &str) -> Option<NumberClass> {
        NumberClass::ALL.into_iter().find(|class| class.word() == word)
    }
}

/// What the numbering plans say of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Classified {
    /// Its class.
    pub class: NumberClass,
    /// Two letters of ISO 3166, or `001` for a number of no country.
    pub region: &'static str,
}

/// The class of an E.164 number; `None` if no numbering plan has it, as with short numbers.
pub fn classify(number: &Number) -> Option<Classified> {
    let digits = number.as_bytes();
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let (plans, national) = plans_of(digits)?;
    let is_alone = plans.regions.len() == 1;
    plans.regions.iter().find_map(|region| match &region.lead {
        Some(lead) if !is_alone => lead.begins(national).then(|| region.classify(national)),
        _ => region.classify(national).map(Some),
    })?
}

/// The calling code that an E.164 number begins with, such as `1` or `49`; `None` if there is no such.
pub(crate) fn calling_code(number: &Number) -> Option<&'static str> {
    plans_of(number.as_bytes()).map(|(plans, _)| plans.code)
}

/// No calling code is the beginning of another.
fn plans_of(digits: &[u8]) -> Option<(&'static Plans, &[u8])> {
    (1..=digits.len().min(3)).find_map(|length| {
        let (code, national) = digits.split_at(length);
        let place = PLANS.binary_search_by(|plans| plans.code.as_bytes().cmp(code)).ok()?;
        Some((&PLANS[place], national))
    })
}

/// Whether a numbering plan has this region.
pub(crate) fn is_region(text: &str) -> bool {
    PLANS.iter().flat_map(|plans| &plans.regions).any(|region| region.name == text)
}

/// The table, read when it is first asked for.
static PLANS: LazyLock<Vec<Plans>> =
    LazyLock::new(|| read(include_str!("classes.txt")).expect("the table is tested"));

/// Those that share a calling code.
struct Plans {
    code: &'static str,
    regions: Vec<Region>,
}

struct Region {
    name: &'static str,
    /// What its national numbers begin with, where the plan says so.
    lead: Option<Shape>,
    /// All its national numbers are so.
    any: Option<Shape>,
    /// In the order in which they are asked.
    shapes: Vec<(NumberClass, Shape)>,
}

impl Region {
    fn classify(&self, national: &[u8]) -> Option<Classified> {
        let has = |class| {
            self.shapes.iter().any(|(its, shape)| *its == class && shape.is_whole(national))
        };
        let (class, _) = self.shapes.iter().find(|(_, shape)| shape.is_whole(national))?;
        if !self.any.as_ref().is_none_or(|shape| shape.is_whole(national)) {
            return None;
        }
        let class = match class {
            NumberClass::Fixed if has(NumberClass::Mobile) => NumberClass::FixedOrMobile,
            other => *other,
        };
        Some(Classified { class, region: self.name })
    }
}

/// `CODE REGION LEAD` begins a region, ` CLASS SHAPE` belongs to the one above, ` any SHAPE` too.
fn read(text: &'static str) -> Option<Vec<Plans>> {
    let mut all: Vec<Plans> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some(line) = line.strip_prefix(' ') {
            let (class, shape) = line.split_once(' ')?;
            let (region, shape) = (all.last_mut()?.regions.last_mut()?, Shape::parse(shape)?);
            match class {
                "any" => region.any = Some(shape),
                class => region.shapes.push((NumberClass::from_word(class)?, shape)),
            }
            continue;
        }
        let mut words = line.split(' ');
        let (code, name, lead) = (words.next()?, words.next()?, words.next()?);
        let lead = if lead == "-" { None } else { Some(Shape::parse(lead)?) };
        if all.last().is_none_or(|plans| plans.code != code) {
            all.push(Plans { code, regions: Vec::new() });
        }
        all.last_mut()?.regions.push(Region { name, lead, any: None, shapes: Vec::new() });
    }
    all.sort_by_key(|plans| plans.code);
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_classes_that_libphonenumber_gives_them() {
        let mut faults = Vec::new();
        let samples = include_str!("../../tests/number_classes.txt");
        for line in samples.lines() {
            let mut words = line.split(' ');
            let (number, class) = (words.next().unwrap(), words.next().unwrap());
            let region = words.next().unwrap();
            let found = classify(&number.parse().unwrap());
            let found = found.map_or(("-", "-"), |found| (found.class.word(), found.region));
            if found != (class, region) {
                faults.push(format!("{line}: {found:?}"));
            }
        }
        assert!(samples.lines().count() > 4_000);
        assert!(
            faults.is_empty(),
            "{} faults, such as {:?}",
            faults.len(),
            &faults[..5.min(faults.len())]
        );
    }

    #[test]
    fn what_is_no_e164_number_has_no_class() {
        for number in ["112", "*100#", "0", "999", "1", "49", "4930", "2101234567"] {
            assert_eq!(classify(&number.parse().unwrap()), None, "{number}");
        }
    }

    #[test]
    fn classes_have_words() {
        for class in NumberClass::ALL {
            assert_eq!(NumberClass::from_word(class.word()), Some(class));
        }
    }
}
