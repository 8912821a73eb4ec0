//! Sentences of `switch` and `billing` name accounts, trunks, subscribers, DIDs and rate groups by id:
//! looking up names would cost time while a call waits. People read them here, with the names.

use std::collections::BTreeMap;

use store::directory::RateGroup;
use switch::directory::Directory;
use switch::numbers::ListId;
use switch::routing::{PrefixId, WindowId};
use vocabulary::{AccountId, DidId, SubscriberId, TrunkId};

/// Who is called what.
pub(crate) struct Names<'a> {
    directory: &'a Directory,
    groups: BTreeMap<u64, String>,
}

impl Names<'_> {
    pub(crate) fn new(directory: &Directory, groups: Vec<RateGroup>) -> Names<'_> {
        let groups = groups.into_iter().map(|group| (group.id, group.name)).collect();
        Names { directory, groups }
    }

    /// `Trunk 7 is switched off.` becomes `Trunk carrier-a (7) is switched off.` An id that nobody
    /// has any more stays as it is.
    pub(crate) fn put_into(&self, sentence: &str) -> String {
        let mut named = String::with_capacity(sentence.len() + 32);
        let (mut before, mut rest) = ("", sentence);
        while !rest.is_empty() {
            let end = rest.find(' ').map_or(rest.len(), |space| space + 1);
            let (word, after) = rest.split_at(end);
            let digits = word.len() - word.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (id, tail) = word.split_at(digits);
            // Digits that go on are no id, and what has its name already needs none.
            let has_name = after.starts_with('(') && !after.starts_with("(level ");
            let is_id = !tail.starts_with(|c: char| c.is_alphanumeric()) && !has_name;
            match id.parse().ok().filter(|_| is_id).and_then(|number| self.name(before, number)) {
                Some(name) => named.push_str(&format!("{name} ({id}){tail}")),
                None => named.push_str(word),
            }
            (before, rest) = (word, after);
        }
        named
    }

    fn name(&self, kind: &str, id: u64) -> Option<&str> {
        let kind = kind.trim_end();
        let is = |word: &str| kind.eq_ignore_ascii_case(word);
        if is("account") || is("carrier") || is("reseller") {
            return self.directory.account(AccountId(id)).map(|row| row.name.as_str());
        }
        if is("trunk") {
            return self.directory.trunk(TrunkId(id)).map(|row| row.name.as_str());
        }
        if is("subscriber") {
            return self.directory.subscriber(SubscriberId(id)).map(|row| row.username.as_str());
        }
        if is("did") {
            return self.directory.did(DidId(id)).map(|row| row.number.as_str());
        }
        if is("list") {
            let list = self.directory.number_list(ListId(id));
            return list.map(|list| list.name.as_str());
        }
        if is("window") {
            let window = self.directory.time_window(WindowId(id));
            return window.map(|window| &*window.name);
        }
        if is("prefix") {
            let mut prefixes = self.directory.route_prefixes();
            return prefixes.find(|row| row.id == PrefixId(id)).map(|row| &*row.prefix);
        }
        is("group").then(|| self.groups.get(&id).map(String::as_str)).flatten()
    }
}

#[cfg(test)]
mod tests {
    use switch::directory::{AccountRow, DirectoryBuilder, Settings};

    use super::*;

    #[track_caller]
    fn check(sentence: &str, expected: &str) {
        let row = AccountRow::new(AccountId(3), "retail");
        let builder = DirectoryBuilder::new(Settings::default(), 1).account(row);
        let directory = builder.build().expect("the row is right");
        let names = Names { directory: &directory, groups: [(1, "standard".into())].into() };
        assert_eq!(names.put_into(sentence), expected);
    }

    #[test]
    fn ids_get_their_names() {
        check("Account 3 is blocked.", "Account retail (3) is blocked.");
        check("The callee's account 3.", "The callee's account retail (3).");
        check(
            "Trunk 9 of carrier 3 is not active.",
            "Trunk 9 of carrier retail (3) is not active.",
        );
        check("Rate group 1, prefix \"44\".", "Rate group standard (1), prefix \"44\".");
        check("in group 1: 3 of 3", "in group standard (1): 3 of 3");
        check("Charge of reseller 3 (level 1): 2", "Charge of reseller retail (3) (level 1): 2");
        check("Account 3 (retail) called account 3rd.", "Account 3 (retail) called account 3rd.");
        check("", "");
    }
}
