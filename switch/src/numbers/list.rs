//! Lists of prefixes and numbers, and for whom they block, allow or fence (T9).

use std::fmt;

use vocabulary::Number;

use super::policy::Chain;
use super::prefixes::PrefixSet;
use super::reason::{NumberDecision, NumberRefusal};
use super::rule::Subject;
use crate::decision::Decision;
use crate::directory::Directory;

/// Which list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListId(pub u64);

impl fmt::Display for ListId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What the numbers on a list are: it gives a refusal its word and its cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListKind {
    /// Nothing special.
    Plain,
    /// Numbers that nobody has.
    Invalid,
    /// Numbers that are called and never call (DNO).
    DoNotOriginate,
    /// Numbers that cost more than others.
    Premium,
    /// Numbers for help: fraud rules do not hold for calls to them, and they go first when there is
    /// more to do than can be done.
    Emergency,
}

impl ListKind {
    /// All of them.
    pub const ALL: [ListKind; 5] = [
        ListKind::Plain,
        ListKind::Invalid,
        ListKind::DoNotOriginate,
        ListKind::Premium,
        ListKind::Emergency,
    ];

    /// The word in the database and the API.
    pub fn word(self) -> &'static str {
        match self {
            ListKind::Plain => "plain",
            ListKind::Invalid => "invalid",
            ListKind::DoNotOriginate => "do_not_originate",
            ListKind::Premium => "premium",
            ListKind::Emergency => "emergency",
        }
    }

    /// The kind with this word.
    pub fn from_word(word: &str) -> Option<ListKind> {
        ListKind::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// A named list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberList {
    /// Which.
    pub id: ListId,
    /// For sentences.
    pub name: String,
    /// What its numbers are.
    pub kind: ListKind,
    /// Its numbers.
    pub numbers: PrefixSet,
}

/// What a list does for somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListEffect {
    /// Numbers on it are refused.
    Block,
    /// Numbers on it pass, whatever wider prefixes and farther owners say.
    Allow,
    /// Numbers that are on none of these are refused.
    AllowOnly,
}

impl ListEffect {
    /// All of them.
    pub const ALL: [ListEffect; 3] = [ListEffect::Block, ListEffect::Allow, ListEffect::AllowOnly];

    /// The word in the database and the API.
    pub fn word(self) -> &'static str {
        match self {
            ListEffect::Block => "block",
            ListEffect::Allow => "allow",
            ListEffect::AllowOnly => "allow_only",
        }
    }

    /// The effect with this word.
    pub fn from_word(word: &str) -> Option<ListEffect> {
        ListEffect::ALL.into_iter().find(|effect| effect.word() == word)
    }
}

/// A list at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListUse {
    /// Which list.
    pub list: ListId,
    /// For whose number.
    pub subject: Subject,
    /// What it does.
    pub effect: ListEffect,
}

/// Asks the lists of those who send the call, the nearest owner first. Who knows the number decides:
/// among the lists of one owner the closest line does, and of two alike the one that blocks.
pub(super) fn screen(
    directory: &Directory,
    chain: &Chain<'_>,
    subject: Subject,
    number: Option<&Number>,
    decisions: &mut Vec<Decision>,
) -> Result<(), NumberRefusal> {
    for (owner, uses) in chain.uses() {
        match verdict(directory, uses, subject, number) {
            Verdict::Silent => {}
            Verdict::Allowed(list) => {
                let allowed = NumberDecision::Allowed { list, owner, subject };
                decisions.push(Decision::Number(Box::new(allowed)));
                return Ok(());
            }
            Verdict::Blocked(list, kind) => {
                return Err(NumberRefusal::Listed { list, kind, subject, owner });
            }
            Verdict::Outside => return Err(NumberRefusal::NotListed { subject, owner }),
        }
    }
    Ok(())
}

enum Verdict {
    Silent,
    Allowed(ListId),
    Blocked(ListId, ListKind),
    Outside,
}

fn verdict(
    directory: &Directory,
    uses: &[ListUse],
    subject: Subject,
    number: Option<&Number>,
) -> Verdict {
    let mut closest: Option<((u8, bool), &NumberList)> = None;
    let (mut is_fenced, mut is_inside) = (false, false);
    for applied in uses.iter().filter(|applied| applied.subject == subject) {
        let Some(list) = directory.number_list(applied.list) else { continue };
        let found = number.and_then(|number| list.numbers.find(number));
        match applied.effect {
            ListEffect::AllowOnly => {
                is_fenced = true;
                is_inside |= found.is_some();
            }
            ListEffect::Allow | ListEffect::Block => {
                let Some(closeness) = found else { continue };
                let rank = (closeness, applied.effect == ListEffect::Block);
                if closest.is_none_or(|(known, _)| rank > known) {
                    closest = Some((rank, list));
                }
            }
        }
    }
    match closest {
        Some(((_, true), list)) => Verdict::Blocked(list.id, list.kind),
        Some(((_, false), list)) => Verdict::Allowed(list.id),
        None if is_fenced && !is_inside => Verdict::Outside,
        None => Verdict::Silent,
    }
}
