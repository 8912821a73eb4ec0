//! Saying no without a transaction: the 503 for new work that would only wait in a queue that is
//! already too long. Whatever belongs to a call or registration in progress is never refused.

use std::time::Duration;

use bytes::Bytes;
use sip::message::{HeaderName, Message, Method, ResponseDraft};

/// The To tag of these answers; the same for all, so that a retransmitted request gets the same
/// answer (RFC 3261 section 8.2.7).
const TAG: &[u8] = b"overload";

/// The 503 if this is new work: an INVITE outside a dialog, or a REGISTER. `None` for everything
/// else, which must be served.
pub fn refusal(bytes: &Bytes, retry_after: Duration) -> Option<Bytes> {
    if !(bytes.starts_with(b"INVITE ") || bytes.starts_with(b"REGISTER ")) {
        return None;
    }
    let request = Message::parse(bytes.clone()).ok()?;
    let is_new = match request.method() {
        Method::Invite => request.to().tag().is_none(),
        Method::Register => true,
        _ => false,
    };
    let seconds = retry_after.as_secs().max(1);
    is_new.then(|| {
        ResponseDraft::with_tag(&request, 503, "Service Unavailable", TAG)
            .header_fmt(HeaderName::RetryAfter, format_args!("{seconds}"))
            .finish()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(start: &str, to: &str, method: &str, is_refused: bool) {
        let text = format!(
            "{start} SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n\
             To: {to}\r\nCall-ID: 1\r\nCSeq: 1 {method}\r\nMax-Forwards: 70\r\n\r\n"
        );
        let answer = refusal(&Bytes::from(text), Duration::from_secs(7));
        assert_eq!(answer.is_some(), is_refused);
        if let Some(answer) = answer {
            let answer = Message::parse(answer).unwrap();
            assert_eq!(answer.status(), 503);
            assert_eq!(answer.header(HeaderName::RetryAfter), Some(&b"7"[..]));
            assert_eq!(answer.call_id(), b"1");
        }
    }

    #[test]
    fn only_new_work_is_refused() {
        check("INVITE sip:a@b", "<sip:a@b>", "INVITE", true);
        check("REGISTER sip:b", "<sip:a@b>", "REGISTER", true);
        check("INVITE sip:a@b", "<sip:a@b>;tag=2", "INVITE", false);
        check("BYE sip:a@b", "<sip:a@b>;tag=2", "BYE", false);
        check("ACK sip:a@b", "<sip:a@b>", "ACK", false);
        check("CANCEL sip:a@b", "<sip:a@b>", "CANCEL", false);
        check("OPTIONS sip:a@b", "<sip:a@b>", "OPTIONS", false);
    }
}
