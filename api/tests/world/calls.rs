//! Calls as the switch would hand them to billing: authorised over the routes that were configured,
//! answered, extended, and settled with their CDRs.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use switch::decision::Refusal;
use switch::release::Cause;
use vocabulary::{
    AccountId, AuthorizeRequest, CallFacts, CallId, CallKind, Candidate, DecisionLine, Direction,
    ExtendRequest, Grant, LegFacts, Location, Now, Number, Origin, Party, RateChoice, ReleaseFacts,
    SettleRequest, SubscriberId, TrunkId, Utc,
};

use super::switch::Switch;

/// Who calls whom.
#[derive(Clone, Copy, Debug)]
pub struct Calling<'a> {
    pub account: AccountId,
    pub subscriber: Option<SubscriberId>,
    pub cld: &'a str,
}

impl<'a> Calling<'a> {
    pub fn new(account: AccountId, cld: &'a str) -> Calling<'a> {
        Calling { account, subscriber: None, cld }
    }
}

/// A call that is under way.
pub struct Live {
    pub call: CallId,
    pub account: AccountId,
    pub grant: Grant,
    pub answered_at: Option<Now>,
    subscriber: Option<SubscriberId>,
    cld: Number,
    opened_at: Utc,
    /// Who carries it.
    egress: Option<(TrunkId, AccountId)>,
    decisions: Vec<DecisionLine>,
}

impl Switch {
    /// Asks for a call. Refused, it leaves its CDR, and the reason's code comes back.
    pub fn open_call(&self, calling: Calling<'_>) -> Result<Live, (CallId, &'static str)> {
        let sequence = self.sequence.fetch_add(1, Relaxed);
        let call = CallId::new(self.store.start_number(), 0, sequence);
        let cld: Number = calling.cld.parse().unwrap();
        let directory = self.snapshot().directory;
        let carrier = |trunk: TrunkId| directory.trunk(trunk).unwrap().account;
        let targets = directory.routes(&cld).map_or(&[][..], |(_, targets)| targets);
        let candidates = targets
            .iter()
            .map(|target| Candidate::new(target.trunk, carrier(target.trunk), target.priority));
        let request = AuthorizeRequest {
            call,
            account: calling.account,
            kind: CallKind::Egress,
            cld,
            cli: None,
            rate_choice: RateChoice::default(),
            location: Location::default(),
            at: self.now_utc(),
            candidates: candidates.collect(),
            origin: Origin { subscriber: calling.subscriber, ..Origin::default() },
        };
        let authorized = self.credit.lock().unwrap().authorize(self.now(), &request);
        let mut live = Live {
            call,
            account: calling.account,
            grant: Grant { talk_time: Duration::ZERO, is_final: true },
            answered_at: None,
            subscriber: calling.subscriber,
            cld,
            opened_at: request.at,
            egress: None,
            decisions: Vec::new(),
        };
        match authorized {
            Ok(authorized) => {
                live.grant = authorized.grant;
                live.egress = authorized.egress.first().map(|trunk| (*trunk, carrier(*trunk)));
                live.decisions = authorized.decisions;
                Ok(live)
            }
            Err(refused) => {
                let line = refused.line().clone();
                let refusal = Refusal::Billing(refused);
                let release = refusal.cause().facts(refusal.sip_status(), Party::Switch);
                let code = line.code;
                live.decisions.push(line);
                self.settle_call(live, release);
                Err((call, code))
            }
        }
    }

    /// The callee answers; from now on it costs.
    pub fn answer_call(&self, live: &mut Live) {
        let now = self.now();
        let trunk = live.egress.map(|(trunk, _)| trunk);
        let answered = self.credit.lock().unwrap().answered(now, live.call, trunk, now.utc);
        (live.grant, live.answered_at) = (answered.grant, Some(now));
    }

    /// Asks for more talk until it is enough, or all there is.
    pub fn extend_call(&self, live: &mut Live, enough: Duration) {
        let mut credit = self.credit.lock().unwrap();
        while live.grant.talk_time < enough && !live.grant.is_final {
            live.grant = credit.extend(self.now(), ExtendRequest { call: live.call }).grant;
        }
    }

    /// It is over; whatever was talked beyond the grant does not count.
    pub fn end_call(&self, live: Live) -> CallId {
        self.settle_call(live, Cause::Normal.facts(200, Party::Caller))
    }

    /// A whole call: answered at once, extended while there is money, so many seconds long if it
    /// is paid for. Time passes meanwhile.
    pub fn talk(
        &self,
        calling: Calling<'_>,
        seconds: u32,
    ) -> Result<CallId, (CallId, &'static str)> {
        let mut live = self.open_call(calling)?;
        self.answer_call(&mut live);
        let wanted = Duration::from_secs(seconds.into());
        self.extend_call(&mut live, wanted);
        let talked = wanted.min(live.grant.talk_time);
        self.advance(i64::try_from(talked.as_micros()).unwrap());
        Ok(self.end_call(live))
    }

    fn settle_call(&self, live: Live, release: ReleaseFacts) -> CallId {
        let now = self.now();
        let since = |at: Now| (now.monotonic - at.monotonic).min(live.grant.talk_time);
        let talked = live.answered_at.map_or(Duration::ZERO, since);
        let leg = |index: u8, account: AccountId, trunk: Option<TrunkId>| LegFacts {
            index,
            direction: if index == 0 { Direction::Ingress } else { Direction::Egress },
            account: Some(account),
            subscriber: live.subscriber.filter(|_| index == 0),
            trunk,
            remote: None,
            sip_call_id: format!("{}-{index}@example.net", live.call),
            cli: String::new(),
            cld: live.cld.as_str().to_owned(),
            started_at: live.opened_at,
            attestation: None,
            ringing_at: None,
            answered_at: live.answered_at.map(|at| at.utc),
            ended_at: now.utc,
            talked,
            release: release.clone(),
        };
        let mut legs = vec![leg(0, live.account, None)];
        legs.extend(live.egress.map(|(trunk, carrier)| leg(1, carrier, Some(trunk))));
        let facts = CallFacts {
            call: live.call,
            cld: Some(live.cld),
            cli: None,
            is_withheld: false,
            kind: None,
            rate_choice: RateChoice::default(),
            location: Location::default(),
            legs,
            decisions: live.decisions.clone(),
        };
        let answered_by = live.answered_at.and(live.egress).map(|(trunk, _)| trunk);
        let request = SettleRequest { talked, answered_by, facts };
        self.credit.lock().unwrap().settle(now, request);
        live.call
    }
}
