//! The three most frequent messages as SIPp and softphones send them, with their usual header
//! lines; for the bench and for the test that counts allocations.
const SDP: &str = "v=0\r\no=user1 53655765 2353687637 IN IP4 192.0.2.10\r\ns=-\r\n\
    c=IN IP4 192.0.2.10\r\nt=0 0\r\nm=audio 6000 RTP/AVP 8 0 101\r\na=rtpmap:8 PCMA/8000\r\n\
    a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n\
    a=sendrecv\r\n";

pub(crate) fn invite() -> String {
    format!(
        "INVITE sip:15551234567@192.0.2.1:5060;user=phone SIP/2.0\r\n\
         Via: SIP/2.0/UDP 192.0.2.10:5070;branch=z9hG4bK-524287-1-7f3a9c;rport\r\n\
         Max-Forwards: 70\r\n\
         From: \"Alice Example\" <sip:alice@example.com>;tag=9fxced76sl\r\n\
         To: <sip:15551234567@example.com;user=phone>\r\n\
         Call-ID: 3848276298220188511@atlanta.example.com\r\n\
         CSeq: 1 INVITE\r\n\
         Contact: <sip:alice@192.0.2.10:5070;transport=udp>\r\n\
         Allow: INVITE, ACK, CANCEL, BYE, PRACK, UPDATE, REFER, NOTIFY, OPTIONS\r\n\
         Supported: replaces, 100rel, timer\r\n\
         Session-Expires: 1800;refresher=uac\r\n\
         Min-SE: 90\r\n\
         Expires: 180\r\n\
         User-Agent: Example Phone/4.2.1\r\n\
         Content-Type: application/sdp\r\n\
         Content-Length: {}\r\n\r\n{SDP}",
        SDP.len()
    )
}

pub(crate) fn register() -> String {
    "REGISTER sip:example.com SIP/2.0\r\n\
     Via: SIP/2.0/UDP 192.0.2.10:5070;branch=z9hG4bKnashds7;rport\r\n\
     Max-Forwards: 70\r\n\
     From: <sip:alice@example.com>;tag=456248\r\n\
     To: <sip:alice@example.com>\r\n\
     Call-ID: 843817637684230@998sdasdh09\r\n\
     CSeq: 1826 REGISTER\r\n\
     Contact: <sip:alice@192.0.2.10:5070>;expires=3600;+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-000A95A0E128>\"\r\n\
     Authorization: Digest username=\"alice\", realm=\"example.com\", nonce=\"84a4cc6f3082121f32b42a2187831a9e\", uri=\"sip:example.com\", response=\"7587245234b3434cc3412213e5f113a5\", algorithm=MD5, cnonce=\"0a4f113b\", qop=auth, nc=00000001\r\n\
     Expires: 3600\r\n\
     User-Agent: Example Phone/4.2.1\r\n\
     Content-Length: 0\r\n\r\n"
        .to_owned()
}

pub(crate) fn ok() -> String {
    format!(
        "SIP/2.0 200 OK\r\n\
         Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK-98a7b6c5;received=192.0.2.1;rport=5060\r\n\
         From: \"Alice Example\" <sip:alice@example.com>;tag=as58f4201b\r\n\
         To: <sip:15551234567@example.com>;tag=8321234356\r\n\
         Call-ID: 12013223@192.0.2.1\r\n\
         CSeq: 102 INVITE\r\n\
         Contact: <sip:15551234567@192.0.2.20:5060>\r\n\
         Allow: INVITE, ACK, CANCEL, BYE, OPTIONS\r\n\
         Content-Type: application/sdp\r\n\
         Content-Length: {}\r\n\r\n{SDP}",
        SDP.len()
    )
}
