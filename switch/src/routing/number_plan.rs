//! Number translation at the edges: what a peer dials becomes E.164 on the way in, and E.164
//! becomes what a peer wants on the way out.

use vocabulary::Number;

/// What a number means that begins with none of the plan's prefixes and with no `+`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BareNumber {
    /// It is E.164 already (carriers without a `+`).
    #[default]
    International,
    /// It is a number in the plan's country.
    National,
}

/// How a peer wants numbers from us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EgressForm {
    /// `4930123456`
    #[default]
    Bare,
    /// `+4930123456`
    Plus,
    /// `004930123456`, with the plan's international prefix.
    International,
    /// `030123456` in the plan's country, with the international prefix elsewhere.
    National,
}

/// A rule for numbers that begin with `matches`: strip some digits, put others in front.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrite {
    /// The prefix it applies to; the longest that matches is taken.
    pub matches: String,
    /// How many digits to strip.
    pub strip: u8,
    /// What to put in front instead.
    pub prepend: String,
}

/// How one peer, or the phones, write numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberPlan {
    /// The country, e.g. `49`; empty if the plan has none.
    pub country: String,
    /// The international prefix, `00` or `011`; empty if there is none.
    pub international: String,
    /// The national (trunk) prefix, `0`; empty if there is none.
    pub national: String,
    /// What a number with neither means.
    pub bare: BareNumber,
    /// Stripped on the way in, where it is required; prepended on the way out.
    pub tech_prefix: String,
    /// Applied on the way in after the technical prefix, on the way out before it.
    pub rewrites: Vec<Rewrite>,
    /// The form on the way out.
    pub form: EgressForm,
}

impl Default for NumberPlan {
    fn default() -> NumberPlan {
        NumberPlan {
            country: String::new(),
            international: "00".into(),
            national: String::new(),
            bare: BareNumber::International,
            tech_prefix: String::new(),
            rewrites: Vec::new(),
            form: EgressForm::Bare,
        }
    }
}

/// Why a dialled text is not a number under a plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Letters or other signs.
    #[error("{0}")]
    NotANumber(vocabulary::NumberError),
    /// The peer must put a technical prefix in front and did not.
    #[error("the technical prefix {0} is missing")]
    TechPrefixMissing(String),
    /// A national number, and the plan names no country.
    #[error("a national number was dialled and the number plan names no country")]
    CountryMissing,
    /// Nothing is left after the prefixes.
    #[error("nothing follows the prefix")]
    OnlyPrefix,
}

impl NumberPlan {
    /// What the peer dialled, as E.164 without `+`.
    pub fn ingress(&self, dialled: &str) -> Result<Number, PlanError> {
        let mut plain: Vec<u8> = Vec::with_capacity(dialled.len());
        plain.extend(dialled.bytes().filter(|b| !matches!(b, b'-' | b'.' | b'(' | b')' | b' ')));
        let dialled = std::str::from_utf8(&plain)
            .map_err(|_| PlanError::NotANumber(vocabulary::NumberError::Empty))?;
        let had_plus = dialled.starts_with('+');
        let digits = dialled.strip_prefix('+').unwrap_or(dialled);
        let digits = digits
            .strip_prefix(self.tech_prefix.as_str())
            .ok_or_else(|| PlanError::TechPrefixMissing(self.tech_prefix.clone()))?;
        // With a technical prefix the plus stands either before or behind it.
        let (digits, is_international) = match digits.strip_prefix('+') {
            Some(rest) => (rest, true),
            None => (digits, had_plus),
        };
        let rewritten = self.rewrite(digits);
        let digits = rewritten.as_deref().unwrap_or(digits);
        if is_international || rewritten.is_some() {
            return parse(digits);
        }
        if let Some(rest) = strip_nonempty(digits, &self.international) {
            return parse(rest);
        }
        // Service codes belong to no country.
        if digits.starts_with(['*', '#']) {
            return parse(digits);
        }
        if let Some(rest) = strip_nonempty(digits, &self.national) {
            return self.in_country(rest);
        }
        match self.bare {
            BareNumber::International => parse(digits),
            BareNumber::National => self.in_country(digits),
        }
    }

    /// The caller's number as the peer wrote it, as E.164. Technical prefix and rewrites belong to
    /// called numbers only.
    pub fn ingress_cli(&self, cli: &str) -> Option<Number> {
        self.try_ingress_cli(cli).ok()
    }

    /// The same, with what is wrong with it.
    pub fn try_ingress_cli(&self, cli: &str) -> Result<Number, PlanError> {
        if self.tech_prefix.is_empty() && self.rewrites.is_empty() {
            return self.ingress(cli);
        }
        let plan = NumberPlan { tech_prefix: String::new(), rewrites: Vec::new(), ..self.clone() };
        plan.ingress(cli)
    }

    /// An E.164 number as the peer wants called numbers.
    pub fn egress(&self, number: &Number) -> String {
        let digits = number.as_str();
        if let Some(rewritten) = self.rewrite(digits) {
            return format!("{}{rewritten}", self.tech_prefix);
        }
        let formed = self.egress_cli(number);
        if self.tech_prefix.is_empty() {
            return formed;
        }
        format!("{}{}", self.tech_prefix, formed.strip_prefix('+').unwrap_or(&formed))
    }

    /// An E.164 number as the peer wants callers' numbers.
    pub fn egress_cli(&self, number: &Number) -> String {
        let digits = number.as_str();
        if digits.starts_with(['*', '#']) {
            return digits.to_owned();
        }
        match self.form {
            EgressForm::Bare => digits.to_owned(),
            EgressForm::Plus => format!("+{digits}"),
            EgressForm::International => format!("{}{digits}", self.international),
            EgressForm::National => match strip_nonempty(digits, &self.country) {
                Some(rest) => format!("{}{rest}", self.national),
                None => format!("{}{digits}", self.international),
            },
        }
    }

    fn rewrite(&self, digits: &str) -> Option<String> {
        let rules = self.rewrites.iter().filter(|rule| digits.starts_with(rule.matches.as_str()));
        let rule = rules.max_by_key(|rule| rule.matches.len())?;
        Some(format!("{}{}", rule.prepend, digits.get(usize::from(rule.strip)..)?))
    }

    fn in_country(&self, rest: &str) -> Result<Number, PlanError> {
        if self.country.is_empty() {
            return Err(PlanError::CountryMissing);
        }
        if rest.is_empty() {
            return Err(PlanError::OnlyPrefix);
        }
        parse(&format!("{}{rest}", self.country))
    }
}

fn strip_nonempty<'a>(digits: &'a str, prefix: &str) -> Option<&'a str> {
    if prefix.is_empty() { None } else { digits.strip_prefix(prefix) }
}

fn parse(digits: &str) -> Result<Number, PlanError> {
    if digits.is_empty() {
        return Err(PlanError::OnlyPrefix);
    }
    digits.parse().map_err(PlanError::NotANumber)
}

#[cfg(test)]
mod tests {
    use vocabulary::NumberError;

    use super::*;

    fn german() -> NumberPlan {
        NumberPlan {
            country: "49".into(),
            national: "0".into(),
            bare: BareNumber::National,
            form: EgressForm::National,
            ..NumberPlan::default()
        }
    }

    #[track_caller]
    fn check_in(plan: &NumberPlan, dialled: &str, expected: Result<&str, PlanError>) {
        let number = plan.ingress(dialled);
        assert_eq!(number.as_ref().map(|n| n.as_str()).map_err(Clone::clone), expected);
    }

    #[track_caller]
    fn check_out(plan: &NumberPlan, number: &str, expected: &str) {
        assert_eq!(plan.egress(&number.parse().unwrap()), expected);
    }

    #[test]
    fn dialled_numbers_become_e164() {
        let plan = german();
        check_in(&plan, "+49 30 123456", Ok("4930123456"));
        check_in(&plan, "004930123456", Ok("4930123456"));
        check_in(&plan, "030123456", Ok("4930123456"));
        check_in(&plan, "30123456", Ok("4930123456"));
        check_in(&plan, "*101#", Ok("*101#"));
        check_in(&plan, "alice", Err(PlanError::NotANumber(NumberError::NotADigit('a'))));
        check_in(&plan, "00", Err(PlanError::OnlyPrefix));
        check_in(&plan, "", Err(PlanError::OnlyPrefix));
        check_in(&NumberPlan::default(), "4930123456", Ok("4930123456"));
        let no_country = NumberPlan { national: "0".into(), ..NumberPlan::default() };
        check_in(&no_country, "0301", Err(PlanError::CountryMissing));
    }

    #[test]
    fn a_technical_prefix_is_required_and_stripped() {
        let plan = NumberPlan { tech_prefix: "7700#".into(), ..NumberPlan::default() };
        check_in(&plan, "7700#4930123", Ok("4930123"));
        check_in(&plan, "7700#+4930123", Ok("4930123"));
        check_in(&plan, "+7700#004930123", Ok("004930123"));
        check_in(&plan, "4930123", Err(PlanError::TechPrefixMissing("7700#".into())));
    }

    #[test]
    fn rewrites_take_the_longest_match() {
        let rewrite = |matches: &str, strip, prepend: &str| Rewrite {
            matches: matches.into(),
            strip,
            prepend: prepend.into(),
        };
        let rewrites = vec![rewrite("9", 1, "49"), rewrite("911", 0, "1")];
        let plan = NumberPlan { rewrites, ..german() };
        check_in(&plan, "930123", Ok("4930123"));
        check_in(&plan, "911", Ok("1911"));
    }

    #[test]
    fn numbers_leave_as_the_peer_wants_them() {
        let plan = german();
        check_out(&plan, "4930123", "030123");
        check_out(&plan, "34600", "0034600");
        check_out(&NumberPlan { form: EgressForm::Plus, ..german() }, "34600", "+34600");
        check_out(&NumberPlan { form: EgressForm::International, ..german() }, "34600", "0034600");
        check_out(&NumberPlan::default(), "34600", "34600");
        let tech = NumberPlan { tech_prefix: "99".into(), ..NumberPlan::default() };
        check_out(&tech, "34600", "9934600");
    }
}
