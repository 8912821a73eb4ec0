//! The words of vendors: what they call their columns, in several languages, and their states.

use serde::{Deserialize, Serialize};

macro_rules! roles {
    ($($(#[$doc:meta])* $role:ident = $word:literal [$($name:literal),* $(,)?]),+ $(,)?) => {
        /// What a column is for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Role { $($(#[$doc])* #[serde(rename = $word)] $role),+ }

        impl Role {
            /// All words for roles, as layouts have them.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// The word in layouts.
            pub fn as_str(self) -> &'static str {
                match self { $(Role::$role => $word),+ }
            }

            /// The role that goes by this name, written as `plain` does it.
            fn of(name: &str) -> Option<Role> {
                const NAMES: &[(Role, &[&str])] = &[$((Role::$role, &[$($name),*])),+];
                NAMES.iter().find(|(_, names)| names.contains(&name)).map(|(role, _)| *role)
            }
        }
    };
}

roles! {
    /// Name of the country.
    Country = "country" ["country", "country name", "land", "pais", "país", "pays", "paese", "страна", "nation", "countries"],
    /// Name of the destination.
    Destination = "destination" ["destination", "destination name", "description", "name", "area", "area name", "zone", "zone name", "region", "location", "operator", "network", "code name", "dest", "breakout", "country destination", "country network", "ziel", "zielgebiet", "zielnetz", "bezeichnung", "destino", "nombre", "descripción", "destinazione", "zona", "направление", "title", "destination area", "country operator", "route name", "bestemming"],
    /// The country's part of the code.
    CountryCode = "country_code" ["country code", "cc", "countrycode", "ländervorwahl", "country dial code", "international code", "country prefix", "indicatif pays", "código país", "codigo pais", "landesvorwahl", "iac"],
    /// The part of the code behind the country's.
    AreaCode = "area_code" ["area code", "area codes", "areacode", "city code", "city codes", "national code", "ndc", "npa nxx", "vorwahl", "ortsvorwahl", "local code", "breakout code", "breakout codes", "código área", "codigo area", "codes area", "dial codes national"],
    /// The whole code, or a list of them.
    Code = "code" ["prefix", "prefixes", "code", "codes", "dial code", "dial codes", "dialcode", "dialcodes", "dialing code", "dialling code", "dialing codes", "destination code", "destination codes", "dial prefix", "dnis", "e164", "number", "code list", "codes list", "full code", "kennzahl", "prefijo", "prefijos", "código", "codigo", "codigos", "préfixe", "prefixe", "préfixes", "indicatif", "prefisso", "prefissi", "prefixo", "префикс", "код", "npanxx", "lrn", "digits", "range", "number range", "rufnummer", "destination prefix", "called prefix", "phonecode"],
    /// The price a minute.
    Price = "price" ["price", "rate", "rates", "prices", "tariff", "cost", "charge", "price per minute", "rate per minute", "price min", "rate min", "minute price", "minute rate", "preis", "minutenpreis", "tarif", "precio", "tarifa", "prix", "prezzo", "tariffa", "preço", "цена", "тариф", "flat rate", "flat", "rate usd", "sell rate", "buy rate", "buy price", "sell price", "call rate", "unit price", "voice rate", "all day", "standard rate", "default rate", "prijs", "coste", "tarif minute", "prix minute", "preis pro minute", "preis minute", "rate n", "price n", "rate 1", "interval n price", "next price"],
    /// Price of calls between states.
    PriceInter = "price_inter" ["inter", "interstate", "inter state", "inter rate", "interstate rate", "inter price", "interstate price", "rate inter", "price inter", "inter state rate"],
    /// Price of calls within a state.
    PriceIntra = "price_intra" ["intra", "intrastate", "intra state", "intra rate", "intrastate rate", "intra price", "intrastate price", "rate intra", "price intra", "intra state rate"],
    /// Price where the caller's state is not known.
    PriceUndetermined = "price_undetermined" ["undetermined", "indeterminate", "indeterm", "ij", "indeterminate rate", "undetermined rate", "unknown", "unknown rate", "indeterminate jurisdiction", "ij rate", "undetermined price", "price undetermined", "default indeterminate"],
    /// Price of local calls.
    PriceLocal = "price_local" ["local", "local rate", "local price", "price local"],
    /// Price at busy times; the layout says when they are.
    PricePeak = "price_peak" ["peak", "peak rate", "peak price", "price peak", "rate peak", "day rate", "day price", "price day", "tagtarif", "hauptzeit"],
    /// Price at all other times.
    PriceOffPeak = "price_off_peak" ["off peak", "offpeak", "off peak rate", "off peak price", "offpeak rate", "offpeak price", "price off peak", "night rate", "night price", "price night", "nebenzeit", "evening rate"],
    /// Price at weekends; the layout says when they are.
    PriceWeekend = "price_weekend" ["weekend", "weekend rate", "weekend price", "price weekend", "rate weekend", "wochenende"],
    /// How many seconds a price is for.
    PerSeconds = "per_seconds" ["per seconds", "price per seconds", "price unit seconds"],
    /// An amount on top of every call, or a share if it ends in a percent sign.
    Surcharge = "surcharge" ["surcharge", "surcharge amount", "extra charge", "zuschlag", "recargo"],
    /// A share of the call on top of it.
    SurchargePercent = "surcharge_percent" ["surcharge percent", "surcharge percentage", "surcharge pct"],
    /// The most that a call costs.
    Cap = "cap" ["cap", "price cap", "maximum charge", "max charge", "maximum price", "charge cap", "call cap"],
    /// Special terms in JSON, as a tariff has them.
    SpecialTerms = "special_terms" ["special terms"],
    /// Once an answered call.
    ConnectFee = "connect_fee" ["connect fee", "conn fee", "conn charge", "connection fee", "connection charge", "connect charge", "setup fee", "set up fee", "setup charge", "call setup", "call setup fee", "setup", "verbindungsentgelt", "einrichtung", "cargo conexión", "frais connexion", "connectfee", "connection", "surcharge per call", "flag fall", "flagfall"],
    /// First and next increment in one cell.
    Increments = "increments" ["increment", "increments", "billing increment", "billing increments", "billing", "billing interval", "billing intervals", "billing unit", "billing terms", "interval", "intervals", "rounding", "round", "rounding rules", "min inc", "min increment", "minimum increment", "minimum increments", "taktung", "takt", "abrechnungstakt", "incremento", "incrementos", "facturación", "pulse", "billing pulse", "charging interval", "min incr", "billing model", "billing type", "unit", "step", "minimal step", "increment sec", "charging increments"],
    /// Seconds of the first increment.
    FirstIncrement = "first_increment" ["first increment", "initial increment", "first interval", "initial interval", "interval 1", "interval1", "increment 1", "init increment", "first", "initial", "increment first s", "first block", "initial period", "first pulse", "init interval", "initial inc", "interval first", "min duration first", "increment first", "minimum interval"],
    /// Seconds of each further increment.
    NextIncrement = "next_increment" ["next increment", "subsequent increment", "next interval", "subsequent interval", "interval n", "intervaln", "increment n", "additional increment", "next", "subsequent", "increment next s", "next block", "additional period", "recurring increment", "interval 2", "increment 2", "subsequent pulse", "additional inc", "interval next", "increment next"],
    /// The least that is billed.
    MinimumSeconds = "minimum_seconds" ["minimum seconds", "minimum duration", "min duration", "minimum time", "min time", "min length", "minimum call duration", "mindestdauer", "min sec", "min seconds", "minimal time", "minimum length", "minimum"],
    /// Calls up to so long are free.
    GraceSeconds = "grace_seconds" ["grace seconds", "grace period", "grace", "free short call"],
    /// Seconds at the start that are free.
    FreeSeconds = "free_seconds" ["free seconds", "included seconds", "free sec"],
    /// The least that a call costs.
    MinimumCharge = "minimum_charge" ["minimum charge", "min charge", "minimum cost", "minimum price", "minimal cost"],
    /// In force from.
    ValidFrom = "valid_from" ["valid from", "effective", "effective date", "effective from", "date", "start date", "from", "eff date", "effdate", "valid since", "activation date", "rate effective date", "date effective", "gültig ab", "gültig von", "ab", "datum", "fecha", "fecha efectiva", "válido desde", "vigencia", "date effet", "date effective", "valable partir", "valido dal", "decorrenza", "дата", "дата начала", "start", "begin", "begin date", "starting", "active from", "as of", "effective on", "change date", "new effective date", "effective date time", "effective time", "deletion date", "removal date", "closing date"],
    /// In force until.
    ValidTill = "valid_till" ["valid till", "valid to", "valid until", "till", "until", "to", "end date", "expiry", "expiry date", "expiration", "expiration date", "expire date", "expires", "end", "discontinue", "discontinued", "gültig bis", "bis", "fecha fin", "válido hasta", "date fin", "effective to", "effective till", "effective until", "termination date", "inactive from", "stop date", "enddate"],
    /// New, increase, blocked, deleted and so on.
    Status = "status" ["status", "change", "changes", "action", "rate change", "price change", "remark change", "change type", "change status", "state", "trend", "movement", "modification", "änderung", "estado", "cambio", "statut", "indicator", "change indicator", "type of change", "activity", "code change", "activation", "rate status", "new changed deleted", "current change"],
    /// Whether calls are refused.
    Blocked = "blocked" ["blocked", "is blocked", "forbidden", "barred", "locked", "gesperrt", "block"],
    /// Quality class of the route.
    RoutingClass = "routing_class" ["class", "route class", "routing class", "quality", "route", "route type", "product", "cli", "routing", "grade", "service", "service level", "quality class", "traffic type", "route quality", "cli type", "service class", "product name"],
    /// Currency of the row.
    Currency = "currency" ["currency", "währung", "moneda", "devise", "valuta", "валюта", "curr", "currency code"],
    /// Words that may hold increments.
    Comment = "comment" ["comment", "comments", "note", "notes", "remark", "remarks", "bemerkung", "bemerkungen", "anmerkung", "notas", "observaciones", "remarque", "observations", "info", "additional information", "terms", "conditions", "prefix description", "notice"],
    /// Nothing of ours.
    Ignore = "ignore" ["id", "no", "nr", "index", "row", "line", "iso", "iso code", "country iso", "mcc", "mnc", "mccmnc", "mcc mnc", "old rate", "old price", "previous rate", "previous price", "difference", "diff", "delta", "percent", "vat", "rate id", "tag", "old", "asr", "acd", "capacity", "minutes", "volume"],
}

impl std::str::FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Role, String> {
        let roles = [
            Role::Country,
            Role::Destination,
            Role::CountryCode,
            Role::AreaCode,
            Role::Code,
            Role::Price,
            Role::PriceInter,
            Role::PriceIntra,
            Role::PriceUndetermined,
            Role::PriceLocal,
            Role::PricePeak,
            Role::PriceOffPeak,
            Role::PriceWeekend,
            Role::PerSeconds,
            Role::Surcharge,
            Role::SurchargePercent,
            Role::Cap,
            Role::SpecialTerms,
            Role::ConnectFee,
            Role::Increments,
            Role::FirstIncrement,
            Role::NextIncrement,
            Role::MinimumSeconds,
            Role::GraceSeconds,
            Role::FreeSeconds,
            Role::MinimumCharge,
            Role::ValidFrom,
            Role::ValidTill,
            Role::Status,
            Role::Blocked,
            Role::RoutingClass,
            Role::Currency,
            Role::Comment,
            Role::Ignore,
        ];
        let found = roles.into_iter().find(|role| role.as_str() == text);
        found.ok_or_else(|| format!("{text:?} is not one of {}", Role::WORDS.join(", ")))
    }
}

impl Role {
    /// One of the prices a minute?
    pub fn is_price(self) -> bool {
        use Role::{Price, PriceInter, PriceIntra, PriceLocal, PriceUndetermined};
        matches!(self, Price | PriceInter | PriceIntra | PriceUndetermined | PriceLocal)
            || self.is_price_of_period()
    }

    /// A price a minute that holds at some times of the week?
    pub fn is_price_of_period(self) -> bool {
        matches!(self, Role::PricePeak | Role::PriceOffPeak | Role::PriceWeekend)
    }

    /// Some part of the code?
    pub fn is_code(self) -> bool {
        matches!(self, Role::Code | Role::CountryCode | Role::AreaCode)
    }
}

/// Words in headers that say nothing about what the column is.
const NOISE: [&str; 34] = [
    "usd",
    "eur",
    "gbp",
    "chf",
    "us",
    "per",
    "min",
    "minute",
    "mins",
    "new",
    "current",
    "your",
    "our",
    "in",
    "the",
    "of",
    "sec",
    "seconds",
    "s",
    "p",
    "a",
    "z",
    "voice",
    "termination",
    "dd",
    "mm",
    "yyyy",
    "yy",
    "utc",
    "gmt",
    "cents",
    "cent",
    "second",
    "le",
];
/// Words for what was before: such a column is not the price.
const PAST: [&str; 10] =
    ["old", "previous", "prev", "former", "last", "bisher", "alt", "alter", "anterior", "ancien"];

/// A header's text as the names above are written: lower case, single blanks, no marks.
pub(crate) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_alphanumeric() {
            plain.extend(c.to_lowercase());
        } else if !plain.ends_with(' ') && !plain.is_empty() {
            plain.push(' ');
        }
    }
    plain.truncate(plain.trim_end().len());
    plain
}

/// What a header says its column is; nothing if its words are not known.
pub(crate) fn role(text: &str) -> Option<Role> {
    if text.len() > 80 {
        return None;
    }
    let name = plain(text);
    if name.is_empty() || name.bytes().all(|byte| byte.is_ascii_digit() || byte == b' ') {
        return None;
    }
    if let Some(role) = Role::of(&name) {
        return Some(role);
    }
    let words: Vec<&str> = name.split(' ').filter(|word| !NOISE.contains(word)).collect();
    if words.iter().any(|word| PAST.contains(word)) {
        return words.len().gt(&1).then_some(Role::Ignore);
    }
    let name = words.join(" ");
    if let Some(role) = Role::of(&name) {
        return Some(role);
    }
    // Without what stands in brackets: `Price (see terms)`.
    let outside = text.split(['(', '[']).next().unwrap_or_default();
    if outside.len() < text.len() && !outside.trim().is_empty() {
        return role(outside);
    }
    None
}

/// What a row says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Claim {
    /// Nothing.
    #[default]
    Nothing,
    /// A code that was not there.
    New,
    /// Dearer.
    Increase,
    /// Cheaper.
    Decrease,
    /// As before.
    Unchanged,
    /// Other than before.
    Changed,
    /// Calls are refused.
    Blocked,
    /// No longer offered.
    Removed,
}

/// What a status says; an error for a word that is not known, since it might mean a removal.
pub(crate) fn claim(text: &str) -> Result<Claim, String> {
    let has_words = text.chars().any(char::is_alphabetic);
    if !has_words {
        return Ok(match text.trim() {
            "↑" | "▲" | "+" => Claim::Increase,
            "↓" | "▼" => Claim::Decrease,
            "=" => Claim::Unchanged,
            _ => Claim::Nothing,
        });
    }
    let plain = plain(text);
    if let "nc" | "ok" | "existing" | "c" | "yes" | "open" = plain.as_str() {
        return Ok(Claim::Unchanged);
    }
    if let "none" | "na" | "n a" = plain.as_str() {
        return Ok(Claim::Nothing);
    }
    if let Some(claim) = [
        ("i", Claim::Increase),
        ("up", Claim::Increase),
        ("d", Claim::Decrease),
        ("down", Claim::Decrease),
        ("n", Claim::New),
    ]
    .into_iter()
    .find_map(|(letter, claim)| (plain == letter).then_some(claim))
    {
        return Ok(claim);
    }
    let mut stems = STEMS.iter();
    let found = stems.find(|(_, stems)| stems.iter().any(|stem| plain.contains(stem)));
    found.map(|(claim, _)| *claim).ok_or_else(|| {
        format!(
            "the status {text:?} is not known; write new, increase, decrease, unchanged, blocked or \
             deleted, or make the column a comment in the layout"
        )
    })
}

/// What states begin with or hold, the graver first.
const STEMS: [(Claim, &[&str]); 7] = [
    (
        Claim::Removed,
        &[
            "delet",
            "remov",
            "discontinu",
            "withdraw",
            "closed",
            "cancel",
            "terminat",
            "gelöscht",
            "entfernt",
            "eliminad",
            "supprim",
            "expired",
        ],
    ),
    (
        Claim::Blocked,
        &[
            "block",
            "barred",
            "suspend",
            "not available",
            "unavailable",
            "gesperrt",
            "forbid",
            "inactive",
        ],
    ),
    (
        Claim::Unchanged,
        &[
            "no change",
            "unchang",
            "same",
            "current",
            "unverändert",
            "sin cambio",
            "not changed",
            "active",
            "n c",
        ],
    ),
    (Claim::Increase, &["increas", "erhöh", "aumento", "augment", "higher"]),
    (Claim::Decrease, &["decreas", "reduc", "senk", "baja", "baisse", "lower"]),
    (Claim::New, &["new", "neu", "nuevo", "nouveau", "added", "add"]),
    (Claim::Changed, &["chang", "geändert", "modif", "updat", "code split"]),
];

/// Does a worksheet of this name list removals?
pub(crate) fn is_about_removal(name: &str) -> bool {
    matches!(claim(name), Ok(Claim::Removed))
}

const CURRENCIES: [&str; 34] = [
    "USD", "EUR", "GBP", "CHF", "AUD", "CAD", "SEK", "NOK", "DKK", "PLN", "CZK", "HUF", "RON",
    "BGN", "TRY", "RUB", "UAH", "JPY", "CNY", "HKD", "SGD", "INR", "AED", "SAR", "ZAR", "BRL",
    "MXN", "ARS", "CLP", "COP", "NZD", "THB", "MYR", "ILS",
];

/// The currency that a text names.
pub(crate) fn currency(text: &str) -> Option<&'static str> {
    for (sign, code) in [("€", "EUR"), ("£", "GBP"), ("US$", "USD"), ("$", "USD")] {
        if text.contains(sign) {
            return Some(code);
        }
    }
    let upper = text.to_uppercase();
    let mut words = upper.split(|c: char| !c.is_alphanumeric());
    words.find_map(|word| match word {
        "EURO" | "EUROS" => Some("EUR"),
        "DOLLAR" | "DOLLARS" => Some("USD"),
        _ => CURRENCIES.iter().find(|code| **code == word).copied(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<Role>) {
        assert_eq!(role(text), expected, "{text}");
    }

    #[test]
    fn headers_are_known_in_several_languages_and_with_noise() {
        check("Prefix", Some(Role::Code));
        check("Dial Code(s)", Some(Role::Code));
        check("Rate (USD/min)", Some(Role::Price));
        check("Price per Minute, EUR", Some(Role::Price));
        check("New Rate", Some(Role::Price));
        check("Old Rate", Some(Role::Ignore));
        check("Peak", Some(Role::PricePeak));
        check("Off-Peak Rate (USD/min)", Some(Role::PriceOffPeak));
        check("Weekend", Some(Role::PriceWeekend));
        check("Surcharge", Some(Role::Surcharge));
        check("special_terms", Some(Role::SpecialTerms));
        check("per_seconds", Some(Role::PerSeconds));
        check("Preis €/Min.", Some(Role::Price));
        check("Gültig ab", Some(Role::ValidFrom));
        check("Effective Date (DD/MM/YYYY)", Some(Role::ValidFrom));
        check("first_increment", Some(Role::FirstIncrement));
        check("minimum_charge", Some(Role::MinimumCharge));
        check("Inter-state rate", Some(Role::PriceInter));
        check("Zielgebiet", Some(Role::Destination));
        check("Country Code", Some(Role::CountryCode));
        check("49152", None);
        check("Germany Mobile", None);
        check("", None);
    }

    #[test]
    fn every_word_of_a_role_is_read_back() {
        for word in Role::WORDS {
            assert_eq!(word.parse::<Role>().unwrap().as_str(), *word);
        }
        assert!("colour".parse::<Role>().unwrap_err().contains("price_inter"));
    }

    #[test]
    fn statuses_are_understood_or_refused() {
        assert_eq!(claim("Increase"), Ok(Claim::Increase));
        assert_eq!(claim("No Change"), Ok(Claim::Unchanged));
        assert_eq!(claim("DELETED"), Ok(Claim::Removed));
        assert_eq!(claim("Blocked"), Ok(Claim::Blocked));
        assert_eq!(claim("+0.002"), Ok(Claim::Nothing));
        assert_eq!(claim("New destination"), Ok(Claim::New));
        assert_eq!(claim("Inactive"), Ok(Claim::Blocked));
        assert_eq!(claim("Updated"), Ok(Claim::Changed));
        assert_eq!(claim("up"), Ok(Claim::Increase));
        assert!(claim("pending").is_err());
        assert!(is_about_removal("Deleted Codes") && !is_about_removal("Rates"));
    }

    #[test]
    fn currencies_are_seen_in_texts() {
        assert_eq!(currency("All prices in EUR, net"), Some("EUR"));
        assert_eq!(currency("Rate ($/min)"), Some("USD"));
        assert_eq!(currency("Europe"), None);
    }
}
