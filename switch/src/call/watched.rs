//! A call that fraud rules have looked at: they hear how it ends.

use std::time::Duration;

use super::{Call, Context, Talking};
use crate::effect::Effect;
use crate::fraud::{FraudNote, Trip, Watched};

impl Call {
    /// Fraud rules want to hear of its end.
    pub(crate) fn is_watched(&mut self, watched: Watched) {
        self.watched = Some(Box::new(watched));
    }

    /// Its end, with how long it talked if it was answered.
    pub(super) fn tell_watchers(&mut self, ctx: &mut Context<'_>, talking: Option<&Talking>) {
        let Some(watched) = self.watched.take() else { return };
        let talked = |talking: &Talking| -> Duration {
            ctx.now.monotonic.saturating_sub(talking.answered.monotonic)
        };
        let talked = talking.map(talked);
        let rules = ctx.directory.fraud_rules(watched.account());
        for trip in ctx.fraud.ended(ctx.now, rules, *watched, talked) {
            ctx.tripped(trip);
        }
    }
}

impl Context<'_> {
    /// A fraud rule has found something: it is counted, and told if it is news.
    pub(crate) fn tripped(&mut self, trip: Trip) {
        self.stats.fraud_found += 1;
        if trip.is_news {
            self.effects.push_back(Effect::Fraud(Box::new(FraudNote::Tripped(trip))));
        }
    }
}
