//! A leg: our side of one SIP dialog, from its INVITE to its end. The only place in `switch` that
//! knows SIP messages.
//!
//! ```text
//! Leg::inbound(now: Now, &Arc<LegConfig>, Identity { tag: &[u8], user: u64 }, &mut Endpoint, ServerTx, &Message, Path) -> Leg
//! Leg::outbound(now: Now, &Arc<LegConfig>, Identity, &mut Endpoint, Outgoing) -> Leg
//!     // Outgoing { path, request_uri: Bytes, from: Bytes (name-addr, no tag), to: Bytes, call_id: Bytes,
//!     //   route: Option<Bytes>, headers: Bytes (raw lines, each with CRLF), body: Option<Body>,
//!     //   credentials: Option<Arc<Credentials>>, max_forwards: u8, is_behind_nat: bool }
//! leg.request(now, &mut Endpoint, ServerTx, &Message, Path)      // any in-dialog request but ACK and CANCEL
//! leg.ack(now, &mut Endpoint, &Message)
//! leg.cancelled(now, &mut Endpoint, &Message)
//! leg.response(now, &mut Endpoint, ClientTx, &Message, Path)
//! leg.failed(now, &mut Endpoint, ClientTx, Failure)
//! leg.server_failed(now, &mut Endpoint, ServerTx, Failure)
//! leg.send(now, &mut Endpoint, LegEvent)
//! leg.handle_timeout(now, &mut Endpoint)
//! leg.poll_timeout() -> Option<(Duration, Reason)>
//! leg.poll_event() -> Option<LegEvent>                            // drain after each of the above
//! leg.is_over() -> bool                                           // may be dropped
//! leg.dialog() -> DialogView<'_> { call_id, local_tag, remote_tag: Option, remote_target }
//! leg::passed_headers(&Message) -> Bytes                          // what of an INVITE goes into Outgoing.headers
//! leg::refuse_stray_answer(now, &mut Endpoint, &Message, Path)    // 2xx to an INVITE whose leg is gone: ACK and BYE
//! leg::refuse(now, &mut Endpoint, ServerTx, &Message)             // in-dialog request without a leg: 481
//! ```
//!
//! `Leg::inbound` itself answers an INVITE that cannot become a leg (420, 422, 400) and then emits
//! `Release` with that status, so that the attempt gets its CDR like any other.

pub mod event;
