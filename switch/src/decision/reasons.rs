//! The reasons of one call, from the first to its settlement. A call is held for long, so from its
//! answer on they are kept as text in one piece: with five carriers 1.1 KB instead of some 1.5 KB in a
//! dozen pieces.

use vocabulary::DecisionLine;

use super::Decision;

/// In order: those written out, then those that came since.
pub(crate) struct Reasons {
    written: Written,
    since: Vec<Decision>,
}

#[derive(Default)]
struct Written {
    /// All sentences, one behind the other.
    text: Box<str>,
    /// Each reason's word, and where its sentence ends.
    lines: Box<[(&'static str, u32)]>,
}

impl Reasons {
    pub(crate) fn new() -> Reasons {
        Reasons { written: Written::default(), since: Vec::with_capacity(8) }
    }

    pub(crate) fn push(&mut self, decision: Decision) {
        self.since.push(decision);
    }

    /// Where whoever decides several things at once puts them.
    pub(crate) fn list(&mut self) -> &mut Vec<Decision> {
        &mut self.since
    }

    /// Writes out all that are there, for the time in which the call is only held.
    pub(crate) fn write_out(&mut self) {
        let lines = self.take();
        let text: String = lines.iter().map(|line| line.sentence.as_str()).collect();
        let mut end = 0;
        let words = lines.iter().map(|line| {
            end += u32::try_from(line.sentence.len()).expect("no message is so long");
            (line.code, end)
        });
        self.written = Written { lines: words.collect(), text: text.into() };
        self.since = Vec::new();
    }

    /// All of them, as the call's record has them. None is left.
    pub(crate) fn take(&mut self) -> Vec<DecisionLine> {
        let Written { text, lines } = std::mem::take(&mut self.written);
        let mut all = Vec::with_capacity(lines.len() + self.since.len());
        let mut from = 0;
        for (code, end) in lines {
            let sentence = text[from..end as usize].to_owned();
            all.push(DecisionLine { code, sentence });
            from = end as usize;
        }
        all.extend(self.since.drain(..).map(Decision::into_line));
        all
    }
}

#[cfg(test)]
mod tests {
    use vocabulary::{SubscriberId, TrunkId};

    use super::*;
    use crate::caller_id::CallerIdDecision;

    fn billing(code: &'static str, sentence: &str) -> Decision {
        Decision::Billing(DecisionLine { code, sentence: sentence.into() })
    }

    /// A phone's call that five carriers may take.
    fn reasons() -> Reasons {
        let mut reasons = Reasons::new();
        let trunks: Vec<TrunkId> = (101..106).map(TrunkId).collect();
        let number = "4930123456789".parse().unwrap();
        for decision in [
            Decision::FromSubscriber(SubscriberId(1001), "muller1".into()),
            Decision::NumberTranslated("030123456789".into(), number),
            Decision::RoutesFound { prefix_length: 2, trunks: 5 },
            Decision::TrunksAccepted(trunks.iter().copied().collect()),
            Decision::CallerId(CallerIdDecision::OwnDid(vocabulary::AccountId(1001))),
            billing(
                "rate_found",
                "Rate group 12, prefix \"4930\", sheet version 24: 0.012 EUR a minute, 60/60, \
                 connect fee 0.02.",
            ),
        ] {
            reasons.push(decision);
        }
        for trunk in trunks {
            let cost = format!("Trunk {trunk} of carrier 2{trunk} costs 0.012345 EUR for 180 s.");
            reasons.push(billing("carrier_found", &cost));
        }
        let reserved = "0.032000 EUR reserved from account 1001 for the first 60 s.";
        reasons.push(billing("credit_reserved", reserved));
        reasons.push(Decision::TriedTrunk(TrunkId(101), ([192, 0, 2, 1], 5060).into()));
        reasons.push(Decision::Answered(1));
        reasons
    }

    #[test]
    fn written_out_they_say_the_same() {
        let mut written = reasons();
        written.write_out();
        let is_first = |line: &DecisionLine| line.code == "from_subscriber";
        written.push(Decision::GrantFinal(std::time::Duration::from_secs(9)));
        written.write_out();
        written.push(Decision::Answered(2));
        let mut expected = reasons().take();
        expected.push(Decision::GrantFinal(std::time::Duration::from_secs(9)).into_line());
        expected.push(Decision::Answered(2).into_line());
        let lines = written.take();
        assert!(lines.first().is_some_and(is_first));
        assert_eq!(lines, expected);
        assert!(written.take().is_empty());
    }

    #[test]
    fn a_held_call_with_five_carriers_keeps_little() {
        let mut reasons = reasons();
        let values = reasons.since.capacity() * size_of::<Decision>();
        reasons.write_out();
        let Written { text, lines } = &reasons.written;
        let written = text.len() + size_of_val::<[_]>(lines);
        assert!(written < 1_150, "{written} bytes written out, {values} as values without texts");
        assert_eq!(reasons.since.capacity(), 0);
    }

    #[test]
    fn a_decision_is_small() {
        assert!(size_of::<Decision>() <= 56, "{}", size_of::<Decision>());
    }
}
