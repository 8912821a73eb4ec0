//! Just enough SIP, as text, for a peer that shares no code with the product.

/// The value of the first header line called `name` (its long form).
pub(crate) fn header<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    let head = message.split("\r\n\r\n").next().unwrap_or("");
    head.split("\r\n").skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// Every header line called `name`, as written.
pub(crate) fn lines<'a>(message: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    let head = message.split("\r\n\r\n").next().unwrap_or("");
    head.split("\r\n").skip(1).filter(move |line| {
        line.split_once(':').is_some_and(|(key, _)| key.trim().eq_ignore_ascii_case(name))
    })
}

/// The status of a response.
pub(crate) fn status(message: &str) -> Option<u16> {
    message.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
}

/// The method of a request, or the method that a response answers.
pub(crate) fn method(message: &str) -> &str {
    if status(message).is_none() {
        return message.split(' ').next().unwrap_or("");
    }
    header(message, "CSeq").and_then(|c| c.split_whitespace().nth(1)).unwrap_or("")
}

/// The URI in Contact.
pub(crate) fn contact(message: &str) -> Option<&str> {
    let value = header(message, "Contact")?;
    let start = value.find('<')? + 1;
    Some(&value[start..start + value[start..].find('>')?])
}

/// A response to `request`: its Via lines, From, To with our tag, Call-ID and CSeq.
pub(crate) fn response(request: &str, status: u16, tag: &str, contact: &str, body: &str) -> String {
    let mut text = format!("SIP/2.0 {status} X\r\n");
    for name in ["Via", "Record-Route"] {
        for line in lines(request, name) {
            text.push_str(line);
            text.push_str("\r\n");
        }
    }
    let to = header(request, "To").unwrap_or("");
    let to =
        if to.contains("tag=") || tag.is_empty() { to.into() } else { format!("{to};tag={tag}") };
    let field = |name: &str| header(request, name).unwrap_or("").to_string();
    text.push_str(&format!("From: {}\r\nTo: {to}\r\n", field("From")));
    text.push_str(&format!("Call-ID: {}\r\nCSeq: {}\r\n", field("Call-ID"), field("CSeq")));
    if !contact.is_empty() {
        text.push_str(&format!("Contact: <{contact}>\r\n"));
    }
    finish(text, body)
}

/// Adds Content-Type, Content-Length and the body.
pub(crate) fn finish(mut text: String, body: &str) -> String {
    if !body.is_empty() {
        text.push_str("Content-Type: application/sdp\r\n");
    }
    text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    text
}

/// A session description nobody looks at.
pub(crate) const SDP: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n";
