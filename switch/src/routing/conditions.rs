//! What a route depends on besides what is configured and who calls whom: the moment, what was drawn,
//! which trunks are down. A call goes by those of its moment; the decision record has them, so that the
//! route of a past call can be found again (B5).

use vocabulary::{TrunkId, Utc};

use crate::health::Health;

/// The conditions under which a call is routed.
#[derive(Clone, Copy, Debug)]
pub struct Conditions<'a> {
    /// When the call came in.
    pub at: Utc,
    /// What decides where trunks share calls.
    pub draw: u32,
    trunks: Trunks<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Trunks<'a> {
    Now(&'a Health),
    Then(&'a Recorded),
}

impl<'a> Conditions<'a> {
    /// With trunks as well as they are now.
    pub fn new(at: Utc, draw: u32, health: &'a Health) -> Conditions<'a> {
        Conditions { at, draw, trunks: Trunks::Now(health) }
    }

    /// Those of a past call.
    pub fn of(recorded: &'a Recorded) -> Conditions<'a> {
        Conditions { at: recorded.at, draw: recorded.draw, trunks: Trunks::Then(recorded) }
    }

    pub(super) fn is_down(&self, trunk: TrunkId) -> bool {
        match self.trunks {
            Trunks::Now(health) => health.is_down(trunk),
            Trunks::Then(recorded) => recorded.down.contains(&trunk),
        }
    }

    /// Of trunks that are all down the one to be tried.
    pub(super) fn least_bad(&self, mut trunks: impl Iterator<Item = TrunkId>) -> Option<TrunkId> {
        match self.trunks {
            Trunks::Now(health) => health.least_bad(trunks),
            Trunks::Then(recorded) => trunks.find(|trunk| recorded.least_bad == Some(*trunk)),
        }
    }
}

/// The conditions of a past call, as its decision record has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    at: Utc,
    draw: u32,
    down: Vec<TrunkId>,
    least_bad: Option<TrunkId>,
}

impl Recorded {
    /// Of a call that came in at `at`, out of its decisions, each a code and a sentence.
    pub fn of<'a>(at: Utc, decisions: impl IntoIterator<Item = (&'a str, &'a str)>) -> Recorded {
        let mut recorded = Recorded { at, draw: 0, down: Vec::new(), least_bad: None };
        for (code, sentence) in decisions {
            match code {
                "trunks_drawn" => recorded.draw = last_number(sentence).unwrap_or(0),
                "trunk_skipped_down" => recorded.down.extend(trunk_in(sentence)),
                "all_trunks_down" => {
                    recorded.least_bad = trunk_in(sentence);
                    recorded.down.extend(recorded.least_bad);
                }
                _ => {}
            }
        }
        recorded
    }
}

fn numbers(sentence: &str) -> impl DoubleEndedIterator<Item = &str> {
    sentence.split(|c: char| !c.is_ascii_digit()).filter(|digits| !digits.is_empty())
}

fn last_number(sentence: &str) -> Option<u32> {
    numbers(sentence).next_back()?.parse().ok()
}

/// The trunk that a sentence of ours names.
fn trunk_in(sentence: &str) -> Option<TrunkId> {
    numbers(sentence).next()?.parse().ok().map(TrunkId)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::Decision;
    use crate::routing::Skip;

    #[test]
    fn the_record_of_a_call_has_its_conditions() {
        let decisions = [
            Decision::RoutesFound { prefix_length: 2, trunks: 9 },
            Decision::TrunkSkipped(TrunkId(4), Skip::Inactive),
            Decision::TrunkSkipped(TrunkId(5), Skip::Down),
            Decision::TrunkSkipped(TrunkId(61), Skip::Down),
            Decision::AllTrunksDown(TrunkId(7)),
            Decision::TrunksDrawn(4_000_000_000),
            Decision::TrunksAccepted([TrunkId(7)].into()),
        ];
        let lines: Vec<_> = decisions.into_iter().map(Decision::into_line).collect();
        let pairs = lines.iter().map(|line| (line.code, line.sentence.as_str()));
        let recorded = Recorded::of(Utc(7), pairs);
        let trunk = TrunkId;
        assert_eq!(recorded.down, [trunk(5), trunk(61), trunk(7)]);
        assert_eq!((recorded.draw, recorded.least_bad), (4_000_000_000, Some(trunk(7))));
        let conditions = Conditions::of(&recorded);
        assert!(conditions.is_down(trunk(61)) && !conditions.is_down(trunk(4)));
        assert_eq!(conditions.least_bad([trunk(5), trunk(7)].into_iter()), Some(trunk(7)));
    }

    #[test]
    fn a_call_without_special_conditions_has_none_in_its_record() {
        let recorded = Recorded::of(Utc(7), [("routes_found", "The first 2 digits.")]);
        let Recorded { at, draw, down, least_bad } = recorded;
        assert_eq!((at, draw, down.len(), least_bad), (Utc(7), 0, 0, None));
    }
}
