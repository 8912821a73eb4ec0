//! What the CDRs will tell of a call.

use std::time::Duration;

use vocabulary::{CallFacts, CallId, Direction, LegFacts, Now, Origin, SettleRequest, TrunkId};

use super::ending::Ending;
use super::{Attempt, Call, Talking};
use crate::attribution::Attribution;
use crate::quality::Quality;

impl Call {
    /// What billing journals of the ingress leg, in case we do not live to write its CDR.
    pub(crate) fn origin(&self) -> Origin {
        let ingress = &self.ingress;
        Origin {
            subscriber: ingress.subscriber(),
            trunk: ingress.trunk(),
            remote: Some(ingress.remote),
            sip_call_id: ingress.sip_call_id.to_string(),
            cli: ingress.cli.to_string(),
            cld: ingress.cld.to_string(),
            is_withheld: self.is_withheld,
        }
    }

    /// Whose the messages of the caller's side are.
    pub(crate) fn ingress_attribution(&self) -> Attribution {
        let ingress = &self.ingress;
        Attribution {
            sip_call_id: ingress.sip_call_id.as_bytes().into(),
            call: Some(self.id),
            account: ingress.account,
            trunk: ingress.trunk(),
            remote: Some(ingress.remote.ip()),
        }
    }

    /// Whose the messages of all its legs are.
    pub(crate) fn attributions(&self) -> Vec<Attribution> {
        let egress = self.attempts.iter().filter_map(|attempt| attempt.attribution(self.id));
        [self.ingress_attribution()].into_iter().chain(egress).collect()
    }

    /// Everything that billing needs to settle, as of now.
    pub(super) fn settlement(
        &mut self,
        now: Now,
        quality: &Quality,
        ending: &Ending,
        talking: Option<&Talking>,
    ) -> SettleRequest {
        let talked = talking.map_or(Duration::ZERO, |talking| {
            // A timer may be late, but talk beyond the grant was not paid for and is not counted, nor
            // is talk beyond the longest that the call may last.
            let paid = self.grant.talk_time.min(talking.length_max);
            now.monotonic.saturating_sub(talking.answered.monotonic).min(paid)
        });
        let winner = talking.map(|talking| usize::from(talking.winner));
        let mut legs = Vec::with_capacity(1 + self.attempts.len());
        legs.push(self.ingress_facts(now, ending, talking, talked));
        // What is paid for ends here, for everybody.
        let end = talking.map_or(Duration::ZERO, |talking| talking.answered.monotonic + talked);
        for (n, attempt) in self.attempts.iter().enumerate() {
            let still = attempt.talks_since.map(|since| end.saturating_sub(since));
            legs.push(attempt.facts(n, now, ending, still.unwrap_or(attempt.talked)));
        }
        if let Some(placed) = self.placed.take() {
            let is_trunk = |leg: &&LegFacts| leg.index > 0 && leg.trunk.is_some();
            let talked = legs.iter().filter(is_trunk).map(|leg| leg.talked).max();
            quality.ended(now.utc, *placed, talked.unwrap_or_default());
        }
        SettleRequest {
            talked,
            answered_by: winner.and_then(|_| self.trunk_that_answered()),
            facts: CallFacts {
                call: self.id,
                cld: self.cld,
                cli: self.cli,
                is_withheld: self.is_withheld,
                rate_choice: self.rate_choice,
                location: self.location(),
                kind: self.kind,
                legs,
                decisions: self.reasons.take(),
            },
        }
    }

    /// It may have transferred the call and left since: it is paid for its part all the same.
    fn trunk_that_answered(&self) -> Option<TrunkId> {
        let answered = self.attempts.iter().filter(|attempt| attempt.answered_at.is_some());
        answered.filter_map(|attempt| attempt.way.trunk()).next_back()
    }

    fn ingress_facts(
        &self,
        now: Now,
        ending: &Ending,
        talking: Option<&Talking>,
        talked: Duration,
    ) -> LegFacts {
        let ingress = &self.ingress;
        let status = if talking.is_some() { 200 } else { ending.status };
        LegFacts {
            index: 0,
            direction: Direction::Ingress,
            account: ingress.account,
            subscriber: ingress.subscriber(),
            trunk: ingress.trunk(),
            remote: Some(ingress.remote),
            sip_call_id: ingress.sip_call_id.to_string(),
            cli: ingress.cli.to_string(),
            cld: ingress.cld.to_string(),
            started_at: ingress.started_at,
            ringing_at: ingress.ringing_at,
            answered_at: talking.map(|talking| talking.answered.utc),
            ended_at: now.utc,
            talked,
            release: ending.cause.facts(status, ending.by),
            attestation: ingress.attestation,
        }
    }
}

impl Attempt {
    /// Whose its messages are; `None` if the other side is another call, which has its own.
    pub(super) fn attribution(&self, call: CallId) -> Option<Attribution> {
        Some(Attribution {
            sip_call_id: self.tag?.call_id().into(),
            call: Some(call),
            account: Some(self.account),
            trunk: self.way.trunk(),
            remote: self.remote.map(|remote| remote.ip()),
        })
    }

    fn facts(&self, n: usize, now: Now, ending: &Ending, talked: Duration) -> LegFacts {
        let (ended_at, release) = match &self.released {
            Some(released) => (released.at, released.cause.facts(released.status, released.by)),
            None => {
                let status = if self.answered_at.is_some() { 200 } else { 487 };
                (now.utc, ending.cause.facts(status, ending.by))
            }
        };
        LegFacts {
            index: u8::try_from(n + 1).expect("a call makes fewer attempts than that"),
            direction: Direction::Egress,
            account: Some(self.account),
            subscriber: self.way.subscriber(),
            trunk: self.way.trunk(),
            remote: self.remote,
            sip_call_id: self.tag.map_or_else(String::new, |tag| {
                String::from_utf8_lossy(&tag.call_id()).into_owned()
            }),
            cli: self.cli.to_string(),
            cld: self.cld.to_string(),
            started_at: self.started.utc,
            ringing_at: self.ringing.map(|now| now.utc),
            answered_at: self.answered_at,
            ended_at,
            talked,
            release,
            attestation: self.attestation,
        }
    }
}
