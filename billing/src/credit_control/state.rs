//! What is known of a live call's money.

use std::time::Duration;

use vocabulary::{Grant, TrunkId, Utc};

use crate::call_state::{CallContext, CarrierRate};
use crate::chain::Chain;
use crate::codec::{Code, DecodeError, Reader, code_struct, put_list, take_list};
use crate::funding::Payer;

/// The carriers of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Egress {
    /// Who may carry it, cheapest first.
    Candidates(Box<[CarrierRate]>),
    /// Who does.
    Carrier(Box<CarrierRate>),
    /// Nobody: the callee is ours, or is not paid.
    Local,
}

/// What a live call's money is known by.
#[derive(Debug)]
pub(super) struct CallState {
    /// From when its prices are looked up: when it was answered; while it rings, when it came in.
    pub(super) at: Utc,
    pub(super) payers: Chain<Payer>,
    pub(super) egress: Egress,
    pub(super) granted_seconds: u32,
    pub(super) slice: u16,
    pub(super) is_final: bool,
    pub(super) is_answered: bool,
    pub(super) context: CallContext,
}

impl CallState {
    pub(super) fn grant(&self) -> Grant {
        let talk_time = Duration::from_secs(self.granted_seconds.into());
        Grant { talk_time, is_final: self.is_final }
    }

    pub(super) fn carrier(&self, trunk: TrunkId) -> Option<&CarrierRate> {
        match &self.egress {
            Egress::Candidates(list) => list.iter().find(|carrier| carrier.trunk == trunk),
            Egress::Carrier(carrier) => Some(&**carrier).filter(|carrier| carrier.trunk == trunk),
            Egress::Local => None,
        }
    }
}

/// A call as it lies in the map. From its answer on it is only asked for a slice now and then, and is
/// held for long: then it is packed by the journal's codec, which with every term of a price is a
/// quarter of what they take in memory.
#[derive(Debug)]
pub(super) enum Kept {
    Whole(Box<CallState>),
    Packed(Box<[u8]>),
}

impl Kept {
    pub(super) fn of(state: CallState) -> Kept {
        if !state.is_answered {
            return Kept::Whole(Box::new(state));
        }
        let mut bytes = Vec::with_capacity(PACKED_USUAL);
        state.put(&mut bytes);
        // Copied, not shrunk: an allocator may leave what is shrunk in a block of twice its size.
        Kept::Packed(bytes.as_slice().into())
    }

    pub(super) fn state(self) -> CallState {
        match self {
            Kept::Whole(state) => *state,
            Kept::Packed(bytes) => {
                let mut from = Reader::new(&bytes);
                CallState::take(&mut from).expect("what was packed above is whole")
            }
        }
    }

    /// The state, for whoever puts it back.
    pub(super) fn take(&mut self) -> CallState {
        std::mem::replace(self, Kept::Packed(Box::default())).state()
    }
}

/// So that packing seldom grows its bytes.
const PACKED_USUAL: usize = 512;

code_struct!(CallState {
    at,
    payers,
    egress,
    granted_seconds,
    slice,
    is_final,
    is_answered,
    context,
});

impl Code for Egress {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Egress::Candidates(list) => {
                out.push(0);
                list.put(out);
            }
            Egress::Carrier(carrier) => {
                out.push(1);
                carrier.put(out);
            }
            Egress::Local => out.push(2),
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Egress, DecodeError> {
        Ok(match from.byte()? {
            0 => Egress::Candidates(Code::take(from)?),
            1 => Egress::Carrier(Box::new(CarrierRate::take(from)?)),
            2 => Egress::Local,
            _ => return Err(DecodeError::Value("carriers")),
        })
    }
}

impl Code for Box<[CarrierRate]> {
    fn put(&self, out: &mut Vec<u8>) {
        put_list(self, out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Box<[CarrierRate]>, DecodeError> {
        take_list(from).map(Vec::into_boxed_slice)
    }
}
