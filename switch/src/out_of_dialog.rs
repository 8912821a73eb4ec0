//! Requests outside of a dialog that are neither INVITE nor REGISTER.

use sip::endpoint::ServerTx;
use sip::message::{HeaderName, Message, Method, ResponseDraft};
use sip::transport::Path;
use vocabulary::Now;

use crate::leg::{EXTENSIONS, unknown_extensions};
use crate::shard::Shard;

/// What we take at all.
pub(crate) const ALLOW: &[u8] =
    b"INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, PRACK, UPDATE, INFO, MESSAGE";

impl Shard {
    /// OPTIONS is answered (RFC 3261 section 11.2) to anybody: peers probe with it whether we are
    /// there. What belongs into a dialog gets 481, the rest what its kind gets.
    pub(crate) fn out_of_dialog(&mut self, now: Now, tx: ServerTx, message: &Message, path: Path) {
        self.leads_nowhere(now, path);
        let response = match message.method() {
            Method::Options if self.is_draining => {
                // A peer that probes must send its new calls elsewhere.
                ResponseDraft::to(message, 503, "Service Unavailable")
            }
            Method::Options => self.capabilities(message),
            Method::Bye | Method::Prack | Method::Update | Method::Info => {
                self.stats.strays += 1;
                ResponseDraft::to(message, 481, "Call/Transaction Does Not Exist")
            }
            Method::Extension(_) => {
                ResponseDraft::to(message, 501, "Not Implemented").header(HeaderName::Allow, ALLOW)
            }
            _ => ResponseDraft::to(message, 405, "Method Not Allowed")
                .header(HeaderName::Allow, ALLOW),
        };
        self.endpoint.respond(now.monotonic, tx, response);
    }

    /// What an INVITE would be told about us. We are the one who is asked, whoever the Request-URI
    /// names, so Max-Forwards 0 is no obstacle (RFC 3261 section 16.3, step 3).
    fn capabilities(&self, message: &Message) -> ResponseDraft {
        if let Some(unknown) = unknown_extensions(message, &EXTENSIONS) {
            return ResponseDraft::to(message, 420, "Bad Extension")
                .header(HeaderName::Unsupported, unknown);
        }
        let response = ResponseDraft::to(message, 200, "OK")
            .header(HeaderName::Allow, ALLOW)
            .header(HeaderName::Accept, "application/sdp")
            .header(HeaderName::Supported, "100rel, path, replaces, timer");
        match self.config.server_name.as_str() {
            "" => response,
            name => response.header(HeaderName::Server, name),
        }
    }
}
