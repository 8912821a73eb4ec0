//! Whose messages are whose: said while somebody follows them (V-39), so that all legs of a call can
//! be looked at together, and what belongs to one account, trunk or address.

use std::net::IpAddr;

use sip::message::Message;
use sip::transport::Path;
use vocabulary::{AccountId, CallId, SubscriberId, TrunkId};

use crate::call::Call;
use crate::effect::Effect;
use crate::shard::Shard;

/// What somebody wants to follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Followed {
    /// One call, with all its legs.
    Call(CallId),
    /// What an account pays for or is paid for, and its phones' registrations.
    Account(AccountId),
    /// What goes through a trunk, our registration there and the OPTIONS that it is asked with.
    Trunk(TrunkId),
    /// What an address sends and gets.
    Address(IpAddr),
}

impl Followed {
    /// Whether these messages are to be followed for their own sake, not only for their call's.
    pub fn covers(self, attribution: &Attribution) -> bool {
        match self {
            Followed::Call(call) => attribution.call == Some(call),
            Followed::Account(account) => attribution.account == Some(account),
            Followed::Trunk(trunk) => attribution.trunk == Some(trunk),
            Followed::Address(address) => attribution.remote == Some(address),
        }
    }
}

/// Whose the messages with a Call-ID are. A Call-ID may be of two calls: the caller's, if its call
/// goes on as another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribution {
    /// The messages.
    pub sip_call_id: Box<[u8]>,
    /// The call; `None` for registrations and OPTIONS.
    pub call: Option<CallId>,
    /// Who pays for this leg or is paid for it.
    pub account: Option<AccountId>,
    /// The trunk at its other end.
    pub trunk: Option<TrunkId>,
    /// The address at its other end; `None` if that is another call of ours.
    pub remote: Option<IpAddr>,
}

/// What somebody follows, for a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Following {
    /// Nobody follows anything (any more).
    Nothing,
    /// Somebody does: whose every new message is, is said from now on.
    Everything,
    /// The same, and this is new: live calls that it covers are said at once.
    Also(Followed),
}

impl Shard {
    pub(crate) fn follow(&mut self, following: Following) {
        self.is_followed = following != Following::Nothing;
        let Following::Also(followed) = following else { return };
        let legs = self.calls().map(Call::attributions);
        let legs = legs.filter(|legs| legs.iter().any(|leg| followed.covers(leg)));
        let said: Vec<Effect> = legs.flatten().map(attributed).collect();
        self.effects.extend(said);
    }

    /// The first message of a call.
    pub(crate) fn attribute_call(&mut self, call: &Call, gateway: Option<TrunkId>) {
        if self.is_followed {
            let mut ingress = call.ingress_attribution();
            ingress.trunk = ingress.trunk.or(gateway);
            self.effects.push_back(attributed(ingress));
        }
    }

    /// A REGISTER of a phone.
    pub(crate) fn attribute_phone(&mut self, phone: SubscriberId, message: &Message, path: Path) {
        if self.is_followed {
            let account = self.directory.subscriber(phone).map(|row| row.account);
            let sip_call_id = message.call_id().into();
            let remote = Some(path.remote.ip());
            let of = Attribution { sip_call_id, call: None, account, trunk: None, remote };
            self.effects.push_back(attributed(of));
        }
    }

    /// A request of ours to a trunk that is about no call.
    pub(crate) fn attribute_trunk(&mut self, trunk: TrunkId, sip_call_id: &str, path: Path) {
        if self.is_followed {
            let account = self.directory.trunk(trunk).map(|row| row.account);
            let remote = Some(path.remote.ip());
            let sip_call_id = sip_call_id.as_bytes().into();
            let of = Attribution { sip_call_id, call: None, account, trunk: Some(trunk), remote };
            self.effects.push_back(attributed(of));
        }
    }
}

pub(crate) fn attributed(attribution: Attribution) -> Effect {
    Effect::Attributed(Box::new(attribution))
}
