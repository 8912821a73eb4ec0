//! Which Call-IDs belong together: those of all legs of a call, and of calls that are joined. Learnt
//! from what the shards say (`switch::attribution`), forgotten a while after the call's end.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use switch::attribution::Attribution;
use vocabulary::{CallId, Utc};

/// A Call-ID as it is written.
pub(super) type SipCallId = Arc<[u8]>;

/// So many groups are known at most; beyond, the oldest is forgotten. Some 300 bytes each.
const GROUPS_MAX: usize = 1 << 17;
/// A group has no more Call-IDs, and no more calls: who dials with one Call-ID again and again makes
/// one group of all these calls. Others are not followed.
const MEMBERS_MAX: usize = 64;
/// After a call's end its last messages are still on their way: 64 times T1, and some more.
const LINGER: std::time::Duration = std::time::Duration::from_secs(40);

/// One call, or several that are joined; or a registration.
#[derive(Debug, Default)]
struct Group {
    /// The first is the caller's.
    sip_call_ids: Vec<SipCallId>,
    calls: Vec<CallId>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Groups {
    all: HashMap<u64, Group>,
    next: u64,
    by_sip: HashMap<SipCallId, u64>,
    by_call: HashMap<CallId, u64>,
    /// When they can be forgotten, the soonest first.
    over: VecDeque<(Utc, CallId)>,
    /// The oldest that there may be; some below are gone.
    oldest: u64,
}

impl Groups {
    /// Learns whose messages these are; the Call-IDs of its group, the caller's first.
    pub(super) fn learn(&mut self, attribution: &Attribution) -> &[SipCallId] {
        let by_sip = self.by_sip.get(&*attribution.sip_call_id).copied();
        let by_call = attribution.call.and_then(|call| self.by_call.get(&call).copied());
        let group = match (by_call, by_sip) {
            (Some(call), Some(sip))
                if call != sip && self.size(call) + self.size(sip) <= MEMBERS_MAX =>
            {
                self.merge(sip.min(call), sip.max(call))
            }
            (Some(group), _) | (None, Some(group)) => group,
            (None, None) => self.begin(),
        };
        let known = self.all.entry(group).or_default();
        if by_sip.is_none() && known.sip_call_ids.len() < MEMBERS_MAX {
            let sip_call_id: SipCallId = (*attribution.sip_call_id).into();
            known.sip_call_ids.push(Arc::clone(&sip_call_id));
            self.by_sip.insert(sip_call_id, group);
        }
        if let (Some(call), None) = (attribution.call, by_call)
            && known.calls.len() < MEMBERS_MAX
        {
            known.calls.push(call);
            self.by_call.insert(call, group);
        }
        &known.sip_call_ids
    }

    fn size(&self, group: u64) -> usize {
        self.all.get(&group).map_or(0, |group| group.sip_call_ids.len().max(group.calls.len()))
    }

    fn begin(&mut self) -> u64 {
        while self.all.len() >= GROUPS_MAX {
            self.forget(self.oldest);
            self.oldest += 1;
        }
        self.next += 1;
        self.next
    }

    /// Two calls turn out to be joined: the younger becomes part of the older.
    fn merge(&mut self, older: u64, younger: u64) -> u64 {
        if let Some(Group { sip_call_ids, calls }) = self.all.remove(&younger) {
            for sip_call_id in &sip_call_ids {
                self.by_sip.insert(Arc::clone(sip_call_id), older);
            }
            for call in &calls {
                self.by_call.insert(*call, older);
            }
            let group = self.all.entry(older).or_default();
            group.sip_call_ids.extend(sip_call_ids);
            group.calls.extend(calls);
        }
        older
    }

    /// A call is over.
    pub(super) fn over(&mut self, now: Utc, call: CallId) {
        if self.by_call.contains_key(&call) {
            self.over.push_back((now.plus(LINGER), call));
        }
    }

    /// Forgets calls that have been over for long enough.
    pub(super) fn expire(&mut self, now: Utc) {
        while let Some((_, call)) = self.over.pop_front_if(|(at, _)| *at <= now) {
            let Some(group) = self.by_call.remove(&call) else { continue };
            let Some(known) = self.all.get_mut(&group) else { continue };
            known.calls.retain(|other| *other != call);
            if known.calls.is_empty() {
                self.forget(group);
            }
        }
    }

    fn forget(&mut self, group: u64) {
        let Some(Group { sip_call_ids, calls }) = self.all.remove(&group) else { return };
        for sip_call_id in sip_call_ids {
            self.by_sip.remove(&sip_call_id);
        }
        for call in calls {
            self.by_call.remove(&call);
        }
    }

    /// The Call-ID of the caller's leg of the call that this one is of; itself if nothing is known.
    pub(super) fn first<'a>(&'a self, sip_call_id: &'a [u8]) -> &'a [u8] {
        let group = self.by_sip.get(sip_call_id).and_then(|group| self.all.get(group));
        group.and_then(|group| group.sip_call_ids.first()).map_or(sip_call_id, |first| first)
    }

    /// Nothing is followed any more.
    pub(super) fn clear(&mut self) {
        *self = Groups::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learn(groups: &mut Groups, sip_call_id: &str, call: Option<u64>) -> Vec<String> {
        let attribution = Attribution {
            sip_call_id: sip_call_id.as_bytes().into(),
            call: call.map(CallId),
            account: None,
            trunk: None,
            remote: None,
        };
        let known = groups.learn(&attribution).iter();
        known.map(|one| String::from_utf8_lossy(one).into_owned()).collect()
    }

    #[test]
    fn legs_of_a_call_are_one_group_and_joined_calls_too() {
        // V-39
        let mut groups = Groups::default();
        assert_eq!(learn(&mut groups, "a", Some(1)), ["a"]);
        assert_eq!(learn(&mut groups, "b", Some(1)), ["a", "b"]);
        assert_eq!(learn(&mut groups, "b", Some(1)), ["a", "b"]);
        assert_eq!(learn(&mut groups, "x", Some(2)), ["x"]);
        assert_eq!(learn(&mut groups, "r", None), ["r"]);
        // The second call is the first one's, gone on.
        assert_eq!(learn(&mut groups, "a", Some(2)), ["a", "b", "x"]);
        assert_eq!(learn(&mut groups, "y", Some(2)), ["a", "b", "x", "y"]);
        assert_eq!((groups.first(b"y"), groups.first(b"r")), (&b"a"[..], &b"r"[..]));
        assert_eq!(groups.first(b"unknown"), b"unknown");
    }

    #[test]
    fn calls_with_one_call_id_make_no_endless_group() {
        let mut groups = Groups::default();
        for call in 0..1_000 {
            learn(&mut groups, "a", Some(call));
            learn(&mut groups, &format!("leg {call}"), Some(call));
            let known = learn(&mut groups, "a", Some(call));
            assert!(known.len() <= MEMBERS_MAX, "{}", known.len());
        }
    }

    #[test]
    fn a_group_is_forgotten_when_all_its_calls_are_long_over() {
        let mut groups = Groups::default();
        learn(&mut groups, "a", Some(1));
        learn(&mut groups, "a", Some(2));
        learn(&mut groups, "b", Some(2));
        let second = |seconds: i64| Utc(seconds * 1_000_000);
        groups.over(second(0), CallId(1));
        groups.over(second(10), CallId(2));
        groups.expire(second(41));
        assert_eq!(groups.first(b"b"), b"a");
        groups.expire(second(50));
        assert_eq!(groups.first(b"b"), b"b");
        assert!(groups.all.is_empty() && groups.by_sip.is_empty() && groups.by_call.is_empty());
    }

    #[test]
    fn what_is_known_is_bounded() {
        let mut groups = Groups::default();
        for call in 0..GROUPS_MAX as u64 + 10 {
            learn(&mut groups, &call.to_string(), Some(call));
        }
        assert_eq!(groups.all.len(), GROUPS_MAX);
        assert_eq!((groups.by_sip.len(), groups.by_call.len()), (GROUPS_MAX, GROUPS_MAX));
    }
}
