//! The reasons of one call, from the first to its settlement. A call is held for long, so from its
//! answer on they are kept as packed text: with five carriers some 300 bytes instead of some 1.5 KB in
//! a dozen pieces.

use vocabulary::DecisionLine;

use super::Decision;
use super::packed::Packed;

/// In order: those packed, then those that came since.
pub(crate) struct Reasons {
    packed: Packed,
    since: Vec<Decision>,
}

impl Reasons {
    pub(crate) fn new() -> Reasons {
        Reasons { packed: Packed::default(), since: Vec::with_capacity(8) }
    }

    pub(crate) fn push(&mut self, decision: Decision) {
        self.since.push(decision);
    }

    /// Where whoever decides several things at once puts them.
    pub(crate) fn list(&mut self) -> &mut Vec<Decision> {
        &mut self.since
    }

    /// Packs all that are there, for the time in which the call is only held.
    pub(crate) fn pack(&mut self) {
        self.packed = Packed::new(&self.take());
        self.since = Vec::new();
    }

    /// All of them, as the call's record has them. None is left.
    pub(crate) fn take(&mut self) -> Vec<DecisionLine> {
        let mut all = std::mem::take(&mut self.packed).lines();
        all.extend(self.since.drain(..).map(Decision::into_line));
        all
    }
}

#[cfg(test)]
mod tests {
    use vocabulary::{AccountId, SubscriberId, TrunkId};

    use super::*;
    use crate::caller_id::CallerIdDecision;
    use crate::numbers::{NumberDecision, RuleId, Subject};

    fn billing(code: &'static str, sentence: &str) -> Decision {
        Decision::Billing(DecisionLine { code, sentence: sentence.into() })
    }

    /// A phone's call that five carriers may take, with rules, a reseller and free minutes.
    fn reasons() -> Reasons {
        let mut reasons = Reasons::new();
        let trunks: Vec<TrunkId> = (1000..1005).map(TrunkId).collect();
        let number = "4420794711".parse().unwrap();
        let received = NumberDecision::Received {
            subject: Subject::Cld,
            written: "4420794711".into(),
            becomes: "4420794711".into(),
            rules: [RuleId(3)].into(),
        };
        for decision in [
            Decision::FromSubscriber(SubscriberId(1000), "muller1".into()),
            Decision::Number(Box::new(received)),
            Decision::NumberTranslated("4420794711".into(), number),
            Decision::RoutesFound { prefix_length: 2, trunks: 5 },
            Decision::TrunksAccepted(trunks.iter().copied().collect()),
            Decision::CallerId(CallerIdDecision::Default(
                AccountId(1000),
                "442079460100".parse().unwrap(),
            )),
            Decision::CallerId(CallerIdDecision::Stored(AccountId(1000))),
            billing(
                "rate_found",
                "Rate group 2, prefix \"44\", sheet version 2: 0.6 EUR a minute, 1/1, connect fee \
                 0.01.",
            ),
            billing(
                "rate_found",
                "Reseller 1001 (level 1): Rate group 3, prefix \"44\", sheet version 3: 0.55 EUR a \
                 minute, 1/1.",
            ),
        ] {
            reasons.push(decision);
        }
        for trunk in trunks.iter().rev() {
            let cost = format!(
                "Trunk {trunk} of carrier {} costs 0.7350{trunk} EUR for 90 s.",
                trunk.0 + 2
            );
            reasons.push(billing("carrier_found", &cost));
        }
        let of_bundle =
            "0.014450 EUR and 10 s of bundles reserved from account 1000 for the first 10 s.";
        reasons.push(billing("credit_reserved", of_bundle));
        let reserved = "0.082500 EUR reserved from reseller 1001 (level 1) for the first 10 s.";
        reasons.push(billing("credit_reserved", reserved));
        let sent = NumberDecision::SentToTrunk {
            subject: Subject::Cld,
            sent: "4420794711".into(),
            trunk: TrunkId(1004),
            rules: [RuleId(8)].into(),
        };
        reasons.push(Decision::Number(Box::new(sent)));
        reasons.push(Decision::TriedTrunk(TrunkId(1004), ([127, 0, 0, 1], 5080).into()));
        reasons.push(Decision::Answered(1));
        reasons
    }

    #[test]
    fn packed_they_say_the_same() {
        let mut packed = reasons();
        packed.pack();
        packed.push(Decision::GrantFinal(std::time::Duration::from_secs(9)));
        packed.pack();
        packed.push(Decision::Answered(2));
        let mut expected = reasons().take();
        expected.push(Decision::GrantFinal(std::time::Duration::from_secs(9)).into_line());
        expected.push(Decision::Answered(2).into_line());
        assert_eq!(packed.take(), expected);
        assert!(packed.take().is_empty());
    }

    #[test]
    fn a_held_call_with_five_carriers_keeps_little() {
        let mut reasons = reasons();
        reasons.pack();
        let packed = reasons.packed.size();

        assert!(packed <= 320, "{packed} bytes");
        assert_eq!(reasons.since.capacity(), 0);
    }

    #[test]
    fn a_decision_is_small() {
        assert!(size_of::<Decision>() <= 56, "{}", size_of::<Decision>());
    }
}
