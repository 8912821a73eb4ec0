//! Why a call ended, and what that is called in SIP and in Q.850: one table, read both ways.
//! After RFC 3398 sections 7.2.4.1 and 8.2.6.1; where those are silent (our own reasons) the row
//! says what an operator would expect to see. A cause names the reason; the SIP status that a
//! peer really sent is kept beside it in the leg's facts.

use vocabulary::{Party, ReleaseFacts};

macro_rules! causes {
    ($($(#[$doc:meta])* $name:ident $word:literal $q850:literal $sip:literal $phrase:literal
        from_sip [$($from_sip:literal),*] from_q850 [$($from_q850:literal),*];)*) => {
        /// Why a leg or a call ended.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Cause { $($(#[$doc])* $name,)* }

        /// Every cause, for tests and documents.
        pub const CAUSES: &[Cause] = &[$(Cause::$name,)*];

        impl Cause {
            const fn row(self) -> Row {
                match self {
                    $(Cause::$name => Row {
                        word: $word, q850: $q850, sip: $sip, phrase: $phrase,
                    },)*
                }
            }

            /// The cause that a final SIP status stands for (RFC 3398 section 8.2.6.1).
            pub fn from_sip_status(status: u16) -> Cause {
                match status {
                    200..=299 => Cause::Normal,
                    $($($from_sip => Cause::$name,)*)*
                    300..=399 => Cause::Redirected,
                    400..=499 => Cause::TemporaryFailure,
                    500..=599 => Cause::TemporaryFailure,
                    _ => Cause::Rejected,
                }
            }

            /// The cause that a Q.850 value stands for (RFC 3398 section 7.2.4.1).
            pub fn from_q850(value: u8) -> Cause {
                match value {
                    $($($from_q850 => Cause::$name,)*)*
                    // An unknown value means the unspecified one of its class (Q.850 table 1).
                    1..=31 => Cause::NormalUnspecified,
                    32..=63 => Cause::Congestion,
                    64..=95 => Cause::NotImplemented,
                    _ => Cause::Interworking,
                }
            }
        }
    };
}

struct Row {
    word: &'static str,
    q850: u8,
    sip: u16,
    phrase: &'static str,
}

causes! {
    /// One side hung up a call that was answered.
    Normal "normal" 16 200 "OK" from_sip [] from_q850 [16];
    /// The caller gave up before the answer.
    Cancelled "cancelled" 16 487 "Request Terminated" from_sip [487] from_q850 [];
    /// Somewhere else answered first, or a forked contact was no longer wanted.
    AnsweredElsewhere "answered_elsewhere" 26 487 "Request Terminated" from_sip [] from_q850 [26];
    /// The number is not in use.
    UnallocatedNumber "unallocated_number" 1 404 "Not Found" from_sip [404, 485, 604] from_q850 [1];
    /// No route to the destination.
    NoRoute "no_route" 3 404 "Not Found" from_sip [] from_q850 [2, 3];
    /// The callee is busy.
    Busy "busy" 17 486 "Busy Here" from_sip [486, 600] from_q850 [17];
    /// The callee's device does not respond.
    NoResponse "no_response" 18 408 "Request Timeout" from_sip [408] from_q850 [18];
    /// It rang and nobody answered.
    NoAnswer "no_answer" 19 480 "Temporarily Unavailable" from_sip [] from_q850 [19];
    /// The callee is not there (not registered, switched off).
    Absent "absent" 20 480 "Temporarily Unavailable" from_sip [480] from_q850 [20];
    /// The callee declined.
    Declined "declined" 21 603 "Decline" from_sip [603] from_q850 [];
    /// Refused by the other side or by us.
    Rejected "rejected" 21 403 "Forbidden" from_sip [402, 403] from_q850 [21, 29, 55, 57, 87];
    /// The peer asked us for credentials that we lack, or did not accept ours.
    EgressAuthentication "egress_authentication_failed" 21 503 "Service Unavailable"
        from_sip [401, 407] from_q850 [];
    /// The number has changed.
    NumberChanged "number_changed" 22 410 "Gone" from_sip [410] from_q850 [22];
    /// The callee sent the call elsewhere and that is not followed.
    Redirected "redirected" 23 480 "Temporarily Unavailable" from_sip [] from_q850 [23];
    /// A loop, or too many hops.
    ExchangeRoutingError "exchange_routing_error" 25 483 "Too Many Hops"
        from_sip [482, 483] from_q850 [25];
    /// The destination cannot be reached.
    DestinationOutOfOrder "destination_out_of_order" 27 502 "Bad Gateway"
        from_sip [] from_q850 [27];
    /// The number is incomplete or has a wrong format.
    InvalidNumber "invalid_number" 28 484 "Address Incomplete" from_sip [484, 416] from_q850 [28];
    /// It ended without a reason being given.
    NormalUnspecified "normal_unspecified" 31 480 "Temporarily Unavailable"
        from_sip [] from_q850 [31];
    /// No circuit, or a limit on concurrent calls.
    NoCircuit "no_circuit" 34 503 "Service Unavailable" from_sip [] from_q850 [34, 44];
    /// The network beyond is out of order.
    NetworkOutOfOrder "network_out_of_order" 38 502 "Bad Gateway" from_sip [502] from_q850 [38];
    /// A failure that may pass.
    TemporaryFailure "temporary_failure" 41 500 "Server Internal Error"
        from_sip [400, 481, 500, 491] from_q850 [41];
    /// Congestion; try later.
    Congestion "congestion" 42 503 "Service Unavailable" from_sip [503] from_q850 [42, 47, 58, 63];
    /// The peer does not offer the service asked for.
    NotImplemented "not_implemented" 79 501 "Not Implemented"
        from_sip [405, 406, 415, 501] from_q850 [69, 79];
    /// No common codec or bearer.
    IncompatibleMedia "incompatible_media" 65 488 "Not Acceptable Here"
        from_sip [488, 606] from_q850 [65, 70];
    /// The destination cannot take this kind of call.
    IncompatibleDestination "incompatible_destination" 88 503 "Service Unavailable"
        from_sip [] from_q850 [88];
    /// A timer ran out somewhere in the network.
    TimerExpired "timer_expired" 102 504 "Server Time-out" from_sip [504] from_q850 [102];
    /// A peer broke the protocol.
    ProtocolError "protocol_error" 111 500 "Server Internal Error" from_sip [] from_q850 [95, 111];
    /// Interworking, unspecified.
    Interworking "interworking" 127 500 "Server Internal Error"
        from_sip [413, 414, 420, 421, 423, 505, 513] from_q850 [127];
    /// The caller could not prove who it is.
    Unauthenticated "unauthenticated" 21 403 "Forbidden" from_sip [] from_q850 [];
    /// No money for the call.
    NoCredit "no_credit" 21 402 "Payment Required" from_sip [] from_q850 [];
    /// The money for the call ran out while it was up.
    CreditExhausted "credit_exhausted" 31 480 "Temporarily Unavailable" from_sip [] from_q850 [];
    /// The longest allowed duration was reached.
    DurationLimit "duration_limit" 31 480 "Temporarily Unavailable" from_sip [] from_q850 [];
    /// The session timer ran out: the other side is gone (RFC 4028).
    SessionExpired "session_expired" 102 408 "Request Timeout" from_sip [] from_q850 [];
    /// A peer without session timers was asked and is not there any more.
    PeerGone "peer_gone" 102 408 "Request Timeout" from_sip [] from_q850 [];
    /// No ACK came for our 200.
    NoAck "no_ack" 102 408 "Request Timeout" from_sip [] from_q850 [];
    /// An operator ended the call.
    OperatorHangUp "operator_hang_up" 31 480 "Temporarily Unavailable" from_sip [] from_q850 [];
    /// The switch is shutting down.
    Shutdown "shutdown" 41 503 "Service Unavailable" from_sip [] from_q850 [];
    /// A fault of ours in this one call.
    InternalFault "internal_fault" 41 500 "Server Internal Error" from_sip [] from_q850 [];
}

impl Cause {
    /// The stable word of CDRs and metrics.
    pub fn word(self) -> &'static str {
        self.row().word
    }

    /// The Q.850 value that we send in a Reason header and write into the CDR.
    pub fn q850(self) -> u8 {
        self.row().q850
    }

    /// The final status for a caller whose call ends before the answer with this cause.
    pub fn sip_status(self) -> u16 {
        self.row().sip
    }

    /// The reason phrase that goes with [`Cause::sip_status`].
    pub fn phrase(self) -> &'static str {
        self.row().phrase
    }

    /// The facts of a leg that ended so.
    pub fn facts(self, sip_status: u16, by: Party) -> ReleaseFacts {
        ReleaseFacts { cause: self.word(), q850: self.q850(), sip_status, by }
    }

    /// The value of a Reason header (RFC 3326), e.g. `Q.850;cause=16;text="normal"`.
    pub fn reason_header(self) -> String {
        format!("Q.850;cause={};text=\"{}\"", self.q850(), self.word())
    }

    /// Reads the Q.850 cause out of a Reason header's value (RFC 3326), if there is one.
    pub fn from_reason_header(value: &[u8]) -> Option<Cause> {
        Cause::q850_in(value).map(Cause::from_q850)
    }

    /// The Q.850 value in a Reason header's value as it stands there: several mean the same cause.
    pub fn q850_in(value: &[u8]) -> Option<u8> {
        let text = std::str::from_utf8(value).ok()?;
        text.split(',').find_map(|reason| {
            let mut parts = reason.split(';').map(str::trim);
            if !parts.next()?.eq_ignore_ascii_case("Q.850") {
                return None;
            }
            let cause = parts.find_map(|part| {
                let (name, value) = part.split_once('=')?;
                name.trim().eq_ignore_ascii_case("cause").then(|| value.trim().parse::<u8>())
            })?;
            cause.ok()
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[track_caller]
    fn check(status: u16, q850: u8) {
        assert_eq!(Cause::from_sip_status(status).q850(), q850, "{status}");
    }

    #[test]
    fn sip_status_to_q850_follows_rfc_3398() {
        check(404, 1);
        check(486, 17);
        check(600, 17);
        check(408, 18);
        check(480, 20);
        check(403, 21);
        check(603, 21);
        check(410, 22);
        check(483, 25);
        check(484, 28);
        check(502, 38);
        check(500, 41);
        check(503, 42);
        check(501, 79);
        check(504, 102);
        check(420, 127);
        check(499, 41);
        check(302, 23);
    }

    #[test]
    fn every_q850_value_has_a_cause_and_an_error_status() {
        for value in 0..=255u8 {
            let cause = Cause::from_q850(value);
            assert!(cause == Cause::Normal || cause.sip_status() >= 400, "{value}");
        }
        assert_eq!(Cause::from_q850(19).sip_status(), 480);
        assert_eq!(Cause::from_q850(34).sip_status(), 503);
    }

    #[test]
    fn a_status_we_send_for_a_q850_value_comes_back_as_the_same_class() {
        for cause in [Cause::Busy, Cause::InvalidNumber, Cause::NumberChanged, Cause::NoResponse] {
            assert_eq!(Cause::from_sip_status(cause.sip_status()), cause);
            assert_eq!(Cause::from_q850(cause.q850()), cause);
        }
    }

    #[test]
    fn words_are_distinct() {
        let words: BTreeSet<_> = CAUSES.iter().map(|c| c.word()).collect();
        assert_eq!(words.len(), CAUSES.len());
    }

    #[test]
    fn reason_header_is_read_and_written() {
        assert_eq!(Cause::Busy.reason_header(), "Q.850;cause=17;text=\"busy\"");
        let both = b"SIP;cause=200;text=\"x\", q.850 ; cause = 17 ;text=\"b\"";
        assert_eq!(Cause::from_reason_header(both), Some(Cause::Busy));
        assert_eq!(Cause::q850_in(b"Q.850;cause=58"), Some(58));
        assert_eq!(Cause::from_reason_header(b"SIP;cause=200"), None);
        assert_eq!(Cause::from_reason_header(b"Q.850;cause=999"), None);
    }
}
