//! What a route depends on besides what is configured and who calls whom: the moment, what was drawn,
//! which trunks are down and how good the others are. A call goes by those of its moment; the decision
//! record has them, so that the route of a past call can be found again (B5).

use vocabulary::{TrunkId, Utc};

use super::skip::Skip;
use crate::health::Health;
use crate::quality::{Poor, Quality, Watch};

/// What is known of trunks at this moment.
#[derive(Clone, Copy, Debug)]
pub struct TrunksNow<'a> {
    /// The moment.
    pub now: Utc,
    /// Which are there.
    pub health: &'a Health,
    /// How good they are.
    pub quality: &'a Quality,
}

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
    Now(TrunksNow<'a>),
    Then(&'a Recorded),
}

/// How good a trunk is among those that are left out for what is known of them: first that it is there at
/// all. More is better.
pub(super) type Goodness = (bool, u32, i64);

impl<'a> Conditions<'a> {
    /// With trunks as well as they are now.
    pub fn new(at: Utc, draw: u32, trunks: TrunksNow<'a>) -> Conditions<'a> {
        Conditions { at, draw, trunks: Trunks::Now(trunks) }
    }

    /// Those of a past call.
    pub fn of(recorded: &'a Recorded) -> Conditions<'a> {
        Conditions { at: recorded.at, draw: recorded.draw, trunks: Trunks::Then(recorded) }
    }

    pub(super) fn is_down(&self, trunk: TrunkId) -> bool {
        match self.trunks {
            Trunks::Now(TrunksNow { health, .. }) => health.is_down(trunk),
            Trunks::Then(recorded) => recorded.down.contains(&trunk),
        }
    }

    /// Whether anything speaks against the calls of any trunk: one look, before it is asked for each.
    pub(super) fn may_object(&self) -> bool {
        match self.trunks {
            Trunks::Now(TrunksNow { quality, .. }) => quality.has_left(),
            Trunks::Then(recorded) => !recorded.poor.is_empty(),
        }
    }

    /// What speaks against the calls that a trunk has carried.
    pub(super) fn objection(&self, watch: &Watch<'_>) -> Option<Poor> {
        match self.trunks {
            Trunks::Now(TrunksNow { now, quality, .. }) => quality.objection(now, watch),
            Trunks::Then(recorded) => {
                let poor = recorded.poor.iter().find(|(trunk, _)| *trunk == watch.trunk);
                poor.map(|(_, poor)| *poor)
            }
        }
    }

    /// How many of its calls it answers, percent in steps.
    pub(super) fn grade(&self, watch: &Watch<'_>) -> u8 {
        match self.trunks {
            Trunks::Now(TrunksNow { now, quality, .. }) => quality.grade(now, watch),
            Trunks::Then(recorded) => {
                let graded = recorded.grades.iter().find(|(trunk, _)| *trunk == watch.trunk);
                graded.map_or(100, |(_, grade)| *grade)
            }
        }
    }

    /// Of trunks that are left out for this, the best is tried if no other can be.
    pub(super) fn goodness(
        &self,
        trunk: TrunkId,
        why: Skip,
        watch: Option<&Watch<'_>>,
    ) -> Goodness {
        let is_there = why != Skip::Down;
        match self.trunks {
            Trunks::Now(TrunksNow { health, .. }) if !is_there => {
                let (successes, since) = health.goodness(trunk);
                (false, successes.into(), since)
            }
            Trunks::Now(TrunksNow { now, quality, .. }) => {
                let good = watch.map(|watch| quality.goodness(now, watch));
                let (is_on_trial, asr) = good.unwrap_or_default();
                (true, is_on_trial.into(), asr.into())
            }
            // The record has them in their order.
            Trunks::Then(recorded) => {
                let place = match is_there {
                    true => recorded.poor.iter().position(|(poor, _)| *poor == trunk),
                    false => recorded.down.iter().position(|down| *down == trunk),
                };
                (is_there, 0, place.map_or(i64::MIN, |place| -(place as i64)))
            }
        }
    }
}

/// The conditions of a past call, as its decision record has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    at: Utc,
    draw: u32,
    /// The least bad first.
    down: Vec<TrunkId>,
    /// The same.
    poor: Vec<(TrunkId, Poor)>,
    grades: Vec<(TrunkId, u8)>,
}

impl Recorded {
    /// Of a call that came in at `at`, out of its decisions, each a code and a sentence.
    pub fn of<'a>(at: Utc, decisions: impl IntoIterator<Item = (&'a str, &'a str)>) -> Recorded {
        let (down, poor, grades) = (Vec::new(), Vec::new(), Vec::new());
        let mut recorded = Recorded { at, draw: 0, down, poor, grades };
        for (code, sentence) in decisions {
            let Recorded { draw, down, poor, grades, .. } = &mut recorded;
            let trunk = || trunk_in(sentence);
            match code {
                "trunks_drawn" => *draw = last_number(sentence).unwrap_or(0),
                "trunk_skipped_down" => down.extend(trunk()),
                "all_trunks_down" => down.splice(..0, trunk()).for_each(drop),
                "trunk_skipped_quality" => poor.extend(trunk().map(|id| (id, Poor::Dropped))),
                "trunk_skipped_on_trial" => poor.extend(trunk().map(|id| (id, Poor::OnTrial))),
                "all_trunks_poor" => {
                    let least_bad = trunk().map(|id| (id, Poor::Dropped));
                    poor.splice(..0, least_bad).for_each(drop);
                }
                "trunks_graded" => {
                    let words: Vec<u64> = numbers(sentence).flat_map(str::parse).collect();
                    let pairs = words.chunks_exact(2);
                    grades.extend(pairs.map(|pair| (TrunkId(pair[0]), pair[1].min(100) as u8)));
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
    use std::time::Duration;

    use super::*;
    use crate::decision::Decision;
    use crate::quality::{Demands, QualityRule, QualityRuleId, QualityRules};

    fn recorded(decisions: impl IntoIterator<Item = Decision>) -> Recorded {
        let lines: Vec<_> = decisions.into_iter().map(Decision::into_line).collect();
        Recorded::of(Utc(7), lines.iter().map(|line| (line.code, line.sentence.as_str())))
    }

    #[test]
    fn the_record_of_a_call_has_its_conditions() {
        let trunk = TrunkId;
        let recorded = recorded([
            Decision::RoutesFound { prefix_length: 2, trunks: 9 },
            Decision::TrunkSkipped(trunk(4), Skip::Inactive),
            Decision::TrunkSkipped(trunk(5), Skip::Down),
            Decision::TrunkSkipped(trunk(61), Skip::Down),
            Decision::AllTrunksDown(trunk(7)),
            Decision::TrunksDrawn(4_000_000_000),
            Decision::TrunksAccepted([trunk(7)].into()),
        ]);
        assert_eq!(recorded.down, [trunk(7), trunk(5), trunk(61)]);
        assert_eq!(recorded.draw, 4_000_000_000);
        let conditions = Conditions::of(&recorded);
        assert!(conditions.is_down(trunk(61)) && !conditions.is_down(trunk(4)));
        let goodness = |id| conditions.goodness(trunk(id), Skip::Down, None);
        assert!(goodness(7) > goodness(5) && goodness(5) > goodness(61));
    }

    #[test]
    fn quality_is_one_of_them() {
        // T4, B5
        let id = QualityRuleId(99);
        let recorded = recorded([
            Decision::AllTrunksPoor(TrunkId(4)),
            Decision::TrunkSkipped(TrunkId(5), Skip::Poor(Poor::Dropped, id)),
            Decision::TrunkSkipped(TrunkId(6), Skip::Poor(Poor::OnTrial, id)),
            Decision::TrunkSkipped(TrunkId(7), Skip::Down),
            Decision::TrunksGraded([(TrunkId(8), 95), (TrunkId(9), 5)].into()),
        ]);
        let conditions = Conditions::of(&recorded);
        let (prefix, demands) = ("".into(), Demands::default());
        let rule = QualityRule { id, trunk: None, prefix, is_by_route: false, demands };
        let number = "44".parse().unwrap();
        let watch = |trunk| Watch::new(&rule, TrunkId(trunk), &number, 2);
        let objection = |trunk| conditions.objection(&watch(trunk));
        assert_eq!([4, 5].map(objection), [Some(Poor::Dropped); 2]);
        assert_eq!([6, 7].map(objection), [Some(Poor::OnTrial), None]);
        assert_eq!([8, 9, 4].map(|trunk| conditions.grade(&watch(trunk))), [95, 5, 100]);
        let goodness = |trunk, why| conditions.goodness(TrunkId(trunk), why, None);
        let poor = Skip::Poor(Poor::Dropped, id);
        assert!(
            goodness(4, poor) > goodness(5, poor) && goodness(5, poor) > goodness(7, Skip::Down)
        );
    }

    #[test]
    fn on_trial_comes_before_a_higher_asr() {
        // T4
        let (health, quality) = (Health::default(), Quality::default());
        let (id, prefix) = (QualityRuleId(1), "".into());
        let rule = QualityRule {
            id,
            trunk: None,
            prefix,
            is_by_route: false,
            demands: Demands::default(),
        };
        let rules = QualityRules::new([rule.clone()]);
        let number = "44".parse().unwrap();
        let watch = |trunk| Watch::new(&rule, TrunkId(trunk), &number, 2);
        let (begin, now) = (Utc(1_000_000_000), Utc(1_020_000_000));
        for (trunk, answered, seconds) in [(1, 1, 10), (2, 9, 3_600)] {
            for n in 0..10 {
                let mut placed = quality.place(begin, &watch(trunk)).unwrap();
                match n < answered {
                    true => quality.answered(begin, &mut placed, Duration::ZERO),
                    false => quality.failed(begin, placed, None),
                }
            }
            let drop_for = Some(Duration::from_secs(seconds));
            quality.set_by_hand(begin, &rules, (TrunkId(trunk), ""), drop_for);
        }
        let trunks = TrunksNow { now, health: &health, quality: &quality };
        let conditions = Conditions::new(now, 0, trunks);
        let goodness = |trunk, poor| {
            conditions.goodness(TrunkId(trunk), Skip::Poor(poor, id), Some(&watch(trunk)))
        };
        assert!(goodness(1, Poor::OnTrial) > goodness(2, Poor::Dropped));
    }

    #[test]
    fn a_call_without_special_conditions_has_none_in_its_record() {
        let recorded = Recorded::of(Utc(7), [("routes_found", "The first 2 digits.")]);
        let Recorded { at, draw, down, poor, grades } = recorded;
        assert_eq!((at, draw), (Utc(7), 0));
        assert!(down.is_empty() && poor.is_empty() && grades.is_empty());
    }
}
