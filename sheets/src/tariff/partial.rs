//! Terms as far as something says them: a destination, a tariff's defaults, a rate group's defaults
//! (V-14, V-15). What the one does not say the next one does.

use std::sync::Arc;

use billing::{
    Calendar, Date, Days, Period, PeriodChoice, Price, Rate, SpecialTerms, Step, TimePrice, Zone,
};

use super::TariffError;
use crate::deck::{Said, Terms};

/// A part of the week with a price of its own; what it does not say is the rate's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PartialPeriod {
    pub(super) name: String,
    pub(super) days: Days,
    pub(super) from_second: u32,
    pub(super) till_second: u32,
    pub(super) price: Price,
    pub(super) unit_seconds: Option<u32>,
    pub(super) connect_fee: Option<Price>,
    pub(super) first_increment: Option<u32>,
    pub(super) next_increment: Option<u32>,
    pub(super) steps: Box<[Step]>,
}

impl PartialPeriod {
    fn period(&self, rate: &Rate) -> Period {
        Period {
            days: self.days,
            from_second: self.from_second,
            till_second: self.till_second,
            price: TimePrice {
                name: self.name.clone(),
                connect_fee: self.connect_fee.unwrap_or(rate.connect_fee),
                price: self.price,
                unit_seconds: self.unit_seconds.unwrap_or(rate.unit_seconds),
                first_increment: self.first_increment.unwrap_or(rate.first_increment),
                next_increment: self.next_increment.unwrap_or(rate.next_increment),
                steps: self.steps.clone(),
            },
        }
    }
}

/// Terms, each of which may not be said.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct Partial {
    pub(super) price: Option<Price>,
    pub(super) is_blocked: bool,
    pub(super) unit_seconds: Option<u32>,
    pub(super) connect_fee: Option<Price>,
    pub(super) first_increment: Option<u32>,
    pub(super) next_increment: Option<u32>,
    pub(super) grace_seconds: Option<u32>,
    pub(super) free_seconds: Option<u32>,
    pub(super) minimum_seconds: Option<u32>,
    pub(super) minimum_charge: Option<Price>,
    /// All but the calendar.
    pub(super) special: SpecialTerms,
    pub(super) periods: Option<Vec<PartialPeriod>>,
    pub(super) zone: Option<Arc<Zone>>,
    pub(super) holidays: Option<Vec<Date>>,
    pub(super) choice: Option<PeriodChoice>,
}

impl Partial {
    /// These terms, and where they say nothing, those below.
    pub(super) fn over(&self, below: &Partial) -> Partial {
        let own = self.clone();
        Partial {
            price: own.price.or(below.price),
            is_blocked: own.is_blocked,
            unit_seconds: own.unit_seconds.or(below.unit_seconds),
            connect_fee: own.connect_fee.or(below.connect_fee),
            first_increment: own.first_increment.or(below.first_increment),
            next_increment: own.next_increment.or(below.next_increment),
            grace_seconds: own.grace_seconds.or(below.grace_seconds),
            free_seconds: own.free_seconds.or(below.free_seconds),
            minimum_seconds: own.minimum_seconds.or(below.minimum_seconds),
            minimum_charge: own.minimum_charge.or(below.minimum_charge),
            special: own.special.over(&below.special),
            periods: own.periods.or_else(|| below.periods.clone()),
            zone: own.zone.or_else(|| below.zone.clone()),
            holidays: own.holidays.or_else(|| below.holidays.clone()),
            choice: own.choice.or(below.choice),
        }
    }

    /// The plain rate over another that fills what is not said.
    pub(super) fn rate(&self, below: &Rate) -> Rate {
        Rate {
            price: self.price.unwrap_or(below.price),
            unit_seconds: self.unit_seconds.unwrap_or(below.unit_seconds),
            connect_fee: self.connect_fee.unwrap_or(below.connect_fee),
            first_increment: self.first_increment.unwrap_or(below.first_increment),
            next_increment: self.next_increment.unwrap_or(below.next_increment),
            grace_seconds: self.grace_seconds.unwrap_or(below.grace_seconds),
            free_seconds: self.free_seconds.unwrap_or(below.free_seconds),
            minimum_seconds: self.minimum_seconds.unwrap_or(below.minimum_seconds),
            minimum_charge: self.minimum_charge.unwrap_or(below.minimum_charge),
            is_blocked: self.is_blocked,
        }
    }

    /// Which fields of the plain rate are said.
    pub(super) fn said(&self) -> Said {
        let fields = [
            (Said::UNIT_SECONDS, self.unit_seconds.is_some()),
            (Said::CONNECT_FEE, self.connect_fee.is_some()),
            (Said::FIRST_INCREMENT, self.first_increment.is_some()),
            (Said::NEXT_INCREMENT, self.next_increment.is_some()),
            (Said::GRACE_SECONDS, self.grace_seconds.is_some()),
            (Said::FREE_SECONDS, self.free_seconds.is_some()),
            (Said::MINIMUM_SECONDS, self.minimum_seconds.is_some()),
            (Said::MINIMUM_CHARGE, self.minimum_charge.is_some()),
        ];
        let said = fields.into_iter().filter(|(_, is_said)| *is_said);
        said.fold(Said::NOTHING, |all, (field, _)| all.with(field))
    }

    /// The special terms beside this rate; an error if periods have no time zone.
    pub(super) fn special(&self, rate: &Rate) -> Result<SpecialTerms, TariffError> {
        let mut special = self.special.clone();
        if let Some(periods) = &self.periods {
            let zone = self.zone.clone().ok_or_else(|| {
                TariffError::new("time_zone", "periods need a time zone, e.g. Europe/Berlin")
            })?;
            special.calendar = Some(Arc::new(Calendar {
                zone,
                holidays: self.holidays.clone().unwrap_or_default().into(),
                periods: periods.iter().map(|period| period.period(rate)).collect(),
                choice: self.choice.unwrap_or_default(),
            }));
        }
        Ok(special)
    }

    /// The terms of a row. Periods are filled from what the group says now, and then the whole row
    /// is: its prices would otherwise no longer fit its periods when the group's defaults change.
    pub(super) fn terms(&self, group: &Partial) -> Result<Terms, TariffError> {
        let usual = Rate::per_minute(Price::ZERO, 60, 60);
        let (rate, said) = match &self.periods {
            Some(_) => (self.rate(&group.rate(&usual)), Said::ALL),
            None => (self.rate(&usual), self.said()),
        };
        let special = self.special(&rate)?;
        Ok(Terms { rate, special: (!special.is_empty()).then(|| Arc::new(special)), said })
    }
}

/// What all rates of a group have that do not say otherwise (V-15).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Defaults {
    terms: Partial,
    /// The special ones of every rate that has none of its own, unless they have periods, which
    /// depend on the rate.
    shared: Option<Arc<SpecialTerms>>,
}

impl Defaults {
    /// Checked by the caller.
    pub(super) fn new(terms: Partial) -> Defaults {
        let special = terms.special.clone();
        let shared = (!special.is_empty()).then(|| Arc::new(special));
        Defaults { terms, shared }
    }

    pub(super) fn terms(&self) -> &Partial {
        &self.terms
    }

    /// Does it say anything?
    pub fn is_empty(&self) -> bool {
        self.terms == Partial::default()
    }

    /// The special terms that hold for the whole group, over what they say themselves.
    #[must_use]
    pub fn with(mut self, special: &SpecialTerms) -> Defaults {
        self.terms.special = self.terms.special.over(special);
        Defaults::new(self.terms)
    }

    /// A row's terms with what it does not say.
    pub fn fill(&self, terms: &Terms) -> Terms {
        if self.is_empty() {
            return Terms { said: Said::ALL, ..terms.clone() };
        }
        let filled = self.terms.rate(&terms.rate);
        let said = |field| terms.said.has(field);
        let own = &terms.rate;
        let rate = Rate {
            price: own.price,
            is_blocked: own.is_blocked,
            unit_seconds: if said(Said::UNIT_SECONDS) { own } else { &filled }.unit_seconds,
            connect_fee: if said(Said::CONNECT_FEE) { own } else { &filled }.connect_fee,
            first_increment: if said(Said::FIRST_INCREMENT) { own } else { &filled }
                .first_increment,
            next_increment: if said(Said::NEXT_INCREMENT) { own } else { &filled }.next_increment,
            grace_seconds: if said(Said::GRACE_SECONDS) { own } else { &filled }.grace_seconds,
            free_seconds: if said(Said::FREE_SECONDS) { own } else { &filled }.free_seconds,
            minimum_seconds: if said(Said::MINIMUM_SECONDS) { own } else { &filled }
                .minimum_seconds,
            minimum_charge: if said(Said::MINIMUM_CHARGE) { own } else { &filled }.minimum_charge,
        };
        let special = match &terms.special {
            None if self.terms.periods.is_none() => self.shared.clone(),
            own => {
                let below = self.terms.special(&rate);
                let below = below.expect("checked when the defaults were read");
                let special = own.as_ref().map_or_else(|| below.clone(), |own| own.over(&below));
                (!special.is_empty()).then(|| Arc::new(special))
            }
        };
        Terms { rate, special, said: Said::ALL }
    }
}
