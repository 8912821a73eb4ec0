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
    let seconds = spread(retry_after.as_secs().max(1), request.call_id());
    is_new.then(|| {
        ResponseDraft::with_tag(&request, 503, "Service Unavailable", TAG)
            .header_fmt(HeaderName::RetryAfter, format_args!("{seconds}"))
            .finish()
    })
}

/// After so many seconds at least, and twice as many at most: whoever is refused at the same moment does not
/// come again at the same moment. The same for a request that is sent again.
fn spread(least: u64, call_id: &[u8]) -> u64 {
    let mixed = call_id
        .iter()
        .fold(0u64, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    least + (mixed >> 8) % (least + 1)
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
            let after = answer.header(HeaderName::RetryAfter).unwrap();
            let after: u64 = std::str::from_utf8(after).unwrap().parse().unwrap();
            assert!((7..=14).contains(&after), "{after}");
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
