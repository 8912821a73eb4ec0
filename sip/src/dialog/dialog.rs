//! The state of one dialog (RFC 3261 section 12), either side: who the two ends are, where
//! requests go, and the numbers they carry. Nothing here is a message: a dialog lives as long as a
//! call and there are many of them, so it holds a few short byte strings.

use crate::message::header::NameAddr;
use crate::message::uri::Scheme;
use crate::message::{HeaderName, Message, Method, RequestDraft};

use super::route_set::{BadRoutes, RouteSet};

/// A dialog, early or confirmed. Which of the two is the business of its user.
#[derive(Clone, Debug)]
pub struct Dialog {
    /// Call-ID, then the local and the remote From/To value with their tags.
    names: Box<[u8]>,
    remote_target: Box<[u8]>,
    routes: RouteSet,
    call_id_len: u16,
    local_len: u16,
    local_cseq: u32,
    remote_cseq: Option<u32>,
    /// The last `RSeq` of the peer that we acknowledged; 0 for none (RFC 3262 section 4).
    pub remote_rseq: u32,
}

/// What the side that sends the first request has chosen for it.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    /// Call-ID.
    pub call_id: &'a [u8],
    /// The value of From, tag included.
    pub from: &'a [u8],
    /// CSeq number of the request that was answered.
    pub cseq: u32,
    /// Where the dialog's requests go if the response has no Contact, which some peers forget.
    pub target: &'a [u8],
}

/// Why a message makes no dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoDialog {
    /// A request without a usable Contact (section 8.1.1.8: it must have exactly one).
    NoContact,
    /// A request without a From tag, or a response without a To tag.
    NoTag,
    /// Too many Record-Routes.
    RouteTooLong,
    /// The first Record-Route leads to no SIP proxy.
    RouteNotSip,
}

impl From<BadRoutes> for NoDialog {
    fn from(bad: BadRoutes) -> NoDialog {
        match bad {
            BadRoutes::TooLong => NoDialog::RouteTooLong,
            BadRoutes::NotSip => NoDialog::RouteNotSip,
        }
    }
}

/// How a request's CSeq stands to those before it (section 12.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CSeqOrder {
    /// Higher, or the first one. Gaps are fine: a challenged request may have been in between.
    InOrder,
    /// Not higher than one that was seen: 500.
    OutOfOrder,
}

impl Dialog {
    /// The dialog of a UAS (section 12.1.1).
    ///
    /// # Errors
    /// The request cannot make a dialog; answer 400.
    pub fn from_request(request: &Message, local_tag: &[u8]) -> Result<Dialog, NoDialog> {
        request.from_tag().ok_or(NoDialog::NoTag)?;
        let target = target_of(request).ok_or(NoDialog::NoContact)?;
        let to = request.header(HeaderName::To).unwrap_or_default();
        let from = request.header(HeaderName::From).unwrap_or_default();
        let mut names = Vec::with_capacity(request.call_id().len() + to.len() + from.len() + 32);
        names.extend_from_slice(request.call_id());
        let local_start = names.len();
        names.extend_from_slice(to);
        if request.to_tag().is_none() {
            names.extend_from_slice(b";tag=");
            names.extend_from_slice(local_tag);
        }
        let local_len = names.len() - local_start;
        names.extend_from_slice(from);
        Ok(Dialog {
            call_id_len: length(local_start),
            local_len: length(local_len),
            names: names.into_boxed_slice(),
            remote_target: target.into(),
            routes: RouteSet::from_request(request)?,
            local_cseq: 0,
            remote_cseq: Some(request.cseq().0),
            remote_rseq: 0,
        })
    }

    /// The dialog of a UAC (section 12.1.2), from a provisional or 2xx response with a To tag.
    ///
    /// # Errors
    /// The response makes no dialog.
    pub fn from_response(identity: Identity<'_>, response: &Message) -> Result<Dialog, NoDialog> {
        response.to_tag().ok_or(NoDialog::NoTag)?;
        let to = response.header(HeaderName::To).unwrap_or_default();
        let target = target_of(response).unwrap_or(identity.target);
        Ok(Dialog {
            call_id_len: length(identity.call_id.len()),
            local_len: length(identity.from.len()),
            names: [identity.call_id, identity.from, to].concat().into_boxed_slice(),
            remote_target: target.into(),
            routes: RouteSet::from_response(response)?,
            local_cseq: identity.cseq,
            remote_cseq: None,
            remote_rseq: 0,
        })
    }

    /// A 2xx may confirm an early dialog with another route set than the provisional response
    /// had: it is computed again (section 13.2.2.4).
    ///
    /// # Errors
    /// The route set is too long or leads nowhere; the old one stays.
    pub fn confirm(&mut self, response: &Message) -> Result<(), NoDialog> {
        self.routes = RouteSet::from_response(response)?;
        self.refresh_target(response);
        Ok(())
    }

    /// Call-ID.
    pub fn call_id(&self) -> &[u8] {
        &self.names[..usize::from(self.call_id_len)]
    }

    /// Our From or To value with tag.
    pub fn local(&self) -> &[u8] {
        let start = usize::from(self.call_id_len);
        &self.names[start..start + usize::from(self.local_len)]
    }

    /// The peer's To or From value with tag.
    pub fn remote(&self) -> &[u8] {
        &self.names[usize::from(self.call_id_len) + usize::from(self.local_len)..]
    }

    /// Our tag.
    pub fn local_tag(&self) -> &[u8] {
        tag_of(self.local())
    }

    /// The peer's tag.
    pub fn remote_tag(&self) -> &[u8] {
        tag_of(self.remote())
    }

    /// The URI that requests are for.
    pub fn remote_target(&self) -> &[u8] {
        &self.remote_target
    }

    /// The proxies that requests pass.
    pub fn routes(&self) -> &RouteSet {
        &self.routes
    }

    /// The URI whose address a request is sent to: the first proxy, or else the target.
    pub fn next_hop(&self) -> &[u8] {
        self.routes.first_uri().unwrap_or(&self.remote_target)
    }

    /// Whether this request of the peer belongs to this dialog (section 12.2.2). Tags compare
    /// byte by byte (section 19.3).
    pub fn is_of_request(&self, request: &Message) -> bool {
        request.call_id() == self.call_id()
            && request.to_tag() == Some(self.local_tag())
            && request.from_tag().unwrap_or_default() == self.remote_tag()
    }

    /// Whether this response came from the peer of this dialog, and not from another branch of a
    /// fork.
    pub fn is_of_response(&self, response: &Message) -> bool {
        response.to_tag().unwrap_or_default() == self.remote_tag()
    }

    /// Judges the CSeq of a request (other than ACK and CANCEL) and remembers it.
    pub fn receive(&mut self, request: &Message) -> CSeqOrder {
        let number = request.cseq().0;
        if self.remote_cseq.is_some_and(|last| number <= last) {
            return CSeqOrder::OutOfOrder;
        }
        self.remote_cseq = Some(number);
        CSeqOrder::InOrder
    }

    /// Takes the Contact of a target refresh request (INVITE, UPDATE) or of a 2xx to one
    /// (sections 12.2.1.2 and 12.2.2).
    pub fn refresh_target(&mut self, message: &Message) {
        if let Some(target) = target_of(message).filter(|uri| *uri != &*self.remote_target) {
            self.remote_target = target.into();
        }
    }

    /// The CSeq number of our last request.
    pub fn local_cseq(&self) -> u32 {
        self.local_cseq
    }

    /// A new request within the dialog, with the next CSeq number (section 12.2.1.1).
    pub fn request(&mut self, method: Method<'_>) -> RequestDraft {
        self.local_cseq += 1;
        self.draft(method, self.local_cseq)
    }

    /// The ACK of a 2xx to our INVITE with this CSeq number (section 13.2.2.4).
    pub fn ack(&self, cseq: u32) -> RequestDraft {
        self.draft(Method::Ack, cseq)
    }

    fn draft(&self, method: Method<'_>, cseq: u32) -> RequestDraft {
        let number = cseq;
        let start = |uri| RequestDraft::new(method, uri);
        let with_names = |draft: RequestDraft| {
            draft
                .header(HeaderName::From, self.local())
                .header(HeaderName::To, self.remote())
                .header(HeaderName::CallId, self.call_id())
                .header_fmt(HeaderName::CSeq, format_args!("{number} {method}"))
        };
        if self.routes.is_empty() {
            return with_names(start(&self.remote_target));
        }
        let addressing = self.routes.address(&self.remote_target);
        let draft = with_names(start(&addressing.request_uri));
        match addressing.route {
            Some(route) => draft.header(HeaderName::Route, &route),
            None => draft,
        }
    }

    /// Bytes on the heap, for the memory budget of a held call.
    pub fn heap_len(&self) -> usize {
        self.names.len()
            + self.remote_target.len()
            + self.routes.iter().map(|value| value.len() + 1).sum::<usize>()
    }
}

/// The Contact, if requests can be sent to it: in a dialog it is a SIP or SIPS URI without headers
/// (sections 8.1.1.8 and 19.1.1).
fn target_of(message: &Message) -> Option<&[u8]> {
    let contact = message.contact()?;
    let uri = contact.parsed_uri()?;
    let is_sip = matches!(uri.scheme(), Scheme::Sip | Scheme::Sips);
    (is_sip && uri.headers().is_none()).then_some(contact.uri())
}

fn tag_of(value: &[u8]) -> &[u8] {
    NameAddr::parse(value).and_then(|address| address.tag()).unwrap_or_default()
}

fn length(value: usize) -> u16 {
    u16::try_from(value).expect("headers of one message are shorter than 64 KiB")
}
