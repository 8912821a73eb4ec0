//! An INVITE that takes the place of a party of a call that is up (RFC 3891). It has to come from the
//! account whose phone that party is; the call that is found there says more.

use std::sync::Arc;

use sip::message::header::Replaces;
use sip::message::{HeaderName, Message};
use vocabulary::CallKind;

use super::Setup;
use crate::call::Call;
use crate::decision::{Decision, Refusal};
use crate::routing::{Destination, Routed, Source};
use crate::transfer::{ReplacedDialog, ReplacesRefusal, TransferDecision};

/// The dialog that this INVITE takes the place of, if it does.
pub(super) fn dialog_of(
    message: &Message,
    source: Source,
) -> Result<Option<Arc<ReplacedDialog>>, Refusal> {
    let Some(value) = message.header(HeaderName::Replaces) else { return Ok(None) };
    let refused = |why| Err(Refusal::Replaces(why));
    if matches!(source, Source::Trunk(_)) {
        return refused(ReplacesRefusal::ByTrunk);
    }
    // It may name one dialog only (RFC 3891 section 3).
    let is_single = message.headers(HeaderName::Replaces).count() == 1;
    let Some(dialog) = Replaces::parse(value).filter(|_| is_single) else {
        return refused(ReplacesRefusal::Unreadable);
    };
    Ok(Some(Arc::new(ReplacedDialog {
        call_id: dialog.call_id.into(),
        to_tag: dialog.to_tag.into(),
        from_tag: dialog.from_tag.into(),
        is_early_only: dialog.is_early_only,
    })))
}

impl Setup {
    /// Of a call whose caller takes a party's place: part of the call that there is, which is paid.
    pub(super) fn replacing(self, call: &mut Call, dialog: Arc<ReplacedDialog>) -> Setup {
        let Source::Subscriber(id) = self.source else { unreachable!("trunks are refused") };
        call.decide(Decision::Transfer(TransferDecision::TakesPlace(self.source)));
        let own = || format!("*{id}").parse().expect("an id has at most 20 digits");
        let (payer, kind) = (self.account, CallKind::Internal);
        let cld = self.caller.number.unwrap_or_else(own);
        call.leads_to(cld);
        call.is_priced_as(payer, kind);
        let destination = Destination::Place(dialog);
        Setup { routed: Some(Routed { destination, cld, payer, kind, did: None }), ..self }
    }
}
