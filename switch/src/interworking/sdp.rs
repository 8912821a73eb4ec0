//! Takes codecs out of a session description (RFC 8866) and puts the rest in order, and touches
//! nothing else: what is not understood, and each line that does not belong to a codec that goes, stays
//! as it is, byte by byte.
//!
//! Looked at are audio and video over RTP. A stream that loses all its codecs is refused by the port 0
//! (RFC 3264 sections 5.1 and 6), with its formats as they were. Other streams pass, such as T.38
//! (`m=image … udptl t38`).

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::codecs::{Codecs, always_passes};

/// A stream with more formats is refused: nobody needs them, and each costs time.
const FORMATS_MAX: usize = 64;

/// At most so many codecs that were taken out are named: a peer makes up as many as it likes.
const NAMES_MAX: usize = 16;

/// What is left of a session description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Narrowed {
    /// It.
    pub sdp: Bytes,
    /// The names of the codecs that were taken out, each once: the first 16 of them.
    pub removed: Vec<Box<str>>,
    /// No stream is left that could be used.
    pub is_nothing_left: bool,
}

/// Payload types whose meaning is fixed (RFC 3551 section 6).
fn fixed_name(payload_type: u8) -> Option<&'static str> {
    Some(match payload_type {
        0 => "PCMU",
        3 => "GSM",
        4 => "G723",
        5 | 6 | 16 | 17 => "DVI4",
        7 => "LPC",
        8 => "PCMA",
        9 => "G722",
        10 | 11 => "L16",
        12 => "QCELP",
        13 => "CN",
        14 => "MPA",
        15 => "G728",
        18 => "G729",
        25 => "CelB",
        26 => "JPEG",
        28 => "nv",
        31 => "H261",
        32 => "MPV",
        33 => "MP2T",
        34 => "H263",
        _ => return None,
    })
}

/// A line without its end.
fn text(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// `a=NAME:PT REST` of the names that belong to one payload type: the type, and the rest.
fn of_payload_type<'a>(line: &'a [u8], name: &[u8]) -> Option<(u8, &'a [u8])> {
    let value = text(line).strip_prefix(b"a=")?.strip_prefix(name)?.strip_prefix(b":")?;
    let digits = value.iter().take_while(|b| b.is_ascii_digit()).count();
    let payload_type = std::str::from_utf8(&value[..digits]).ok()?.parse().ok()?;
    Some((payload_type, value[digits..].trim_ascii_start()))
}

/// `m=audio 49170 RTP/AVP 8 0 101`.
struct MediaLine<'a> {
    /// Up to the port.
    before_port: &'a [u8],
    port: &'a [u8],
    /// Between the port and the formats.
    between: &'a [u8],
    formats: Vec<&'a [u8]>,
    /// What ends the line.
    end: &'a [u8],
}

impl<'a> MediaLine<'a> {
    /// `None`: no stream of audio or video by RTP, or one that is not in use.
    fn parse(line: &'a [u8]) -> Option<MediaLine<'a>> {
        let inner = text(line);
        let kind = inner.strip_prefix(b"m=")?;
        let kind = kind.split(|b| *b == b' ').next()?;
        if !matches!(kind, b"audio" | b"video") {
            return None;
        }
        let port_at = 2 + kind.len() + 1;
        let rest = inner.get(port_at..)?;
        let port_len = rest.iter().position(|b| *b == b' ')?;
        let rest = &rest[port_len + 1..];
        let protocol_len = rest.iter().position(|b| *b == b' ')?;
        let protocol = &rest[..protocol_len];
        let port = &inner[port_at..port_at + port_len];
        if port == b"0" || !protocol.windows(4).any(|part| part.eq_ignore_ascii_case(b"RTP/")) {
            return None;
        }
        let formats_at = port_at + port_len + 1 + protocol_len + 1;
        let formats = inner[formats_at..].split(|b| *b == b' ').filter(|part| !part.is_empty());
        Some(MediaLine {
            before_port: &inner[..port_at],
            port,
            between: &inner[port_at + port_len..formats_at],
            formats: formats.collect(),
            end: &line[inner.len()..],
        })
    }

    fn write(&self, port: &[u8], formats: &[&[u8]], out: &mut Vec<u8>) {
        out.extend_from_slice(self.before_port);
        out.extend_from_slice(port);
        out.extend_from_slice(self.between);
        out.extend_from_slice(&formats.join(&b' '));
        out.extend_from_slice(self.end);
    }
}

/// What a format of a stream is.
struct Format<'a> {
    text: &'a [u8],
    /// `None`: a payload type that nothing explains.
    name: Option<&'a [u8]>,
    payload_type: Option<u8>,
    /// The codec that a retransmission is of (`apt`, RFC 4588 section 8.1).
    of: Option<u8>,
}

/// What the lines of a stream say of its payload types. Of several about the same, the first counts.
#[derive(Default)]
struct Explained<'a> {
    /// By `rtpmap`.
    names: BTreeMap<u8, &'a [u8]>,
    /// By `apt` in `fmtp`.
    retransmitted: BTreeMap<u8, Option<u8>>,
}

impl<'a> Explained<'a> {
    /// Reads each line once: a peer may send a great many.
    fn by(section: &[&'a [u8]]) -> Explained<'a> {
        let mut explained = Explained::default();
        for line in section {
            if let Some((number, rest)) = of_payload_type(line, b"rtpmap") {
                let name = rest.split(|b| *b == b'/').next().unwrap_or_default();
                explained.names.entry(number).or_insert(name);
            } else if let Some((number, rest)) = of_payload_type(line, b"fmtp") {
                explained.retransmitted.entry(number).or_insert_with(|| apt(rest));
            }
        }
        explained
    }
}

fn apt(parameters: &[u8]) -> Option<u8> {
    let mut parameters = parameters.split(|b| *b == b';');
    let apt = parameters.find_map(|p| p.trim_ascii().strip_prefix(b"apt="))?;
    std::str::from_utf8(apt).ok()?.parse().ok()
}

impl<'a> Format<'a> {
    fn of(text: &'a [u8], explained: &Explained<'a>) -> Format<'a> {
        let payload_type = std::str::from_utf8(text).ok().and_then(|text| text.parse::<u8>().ok());
        let mapped = payload_type.and_then(|number| explained.names.get(&number).copied());
        let fixed = || payload_type.and_then(fixed_name).map(str::as_bytes);
        let of = payload_type.and_then(|number| explained.retransmitted.get(&number).copied());
        Format { text, name: mapped.or_else(fixed), payload_type, of: of.flatten() }
    }

    fn shown(&self) -> Box<str> {
        let name = self.name.unwrap_or(self.text);
        String::from_utf8_lossy(&name[..name.len().min(40)]).into()
    }

    fn is_codec(&self) -> bool {
        self.name.is_none_or(|name| !always_passes(name))
    }

    fn is_retransmission(&self) -> bool {
        self.name.is_some_and(|name| name.eq_ignore_ascii_case(b"rtx"))
    }
}

/// What the lists leave of `sdp`, in the order of the first; `None`: all of it as it is.
pub fn narrow(sdp: &[u8], wanted: &Codecs, allowed: Option<&Codecs>) -> Option<Narrowed> {
    let lines: Vec<&[u8]> = sdp.split_inclusive(|b| *b == b'\n').collect();
    let is_media = |line: &&[u8]| line.starts_with(b"m=");
    let mut out = Vec::with_capacity(sdp.len());
    let mut removed = Vec::new();
    let (mut is_changed, mut was_open, mut is_open) = (false, false, false);
    let mut from = lines.iter().position(is_media)?;
    lines[..from].iter().for_each(|line| out.extend_from_slice(line));
    while from < lines.len() {
        let next = lines[from + 1..].iter().position(is_media);
        let to = next.map_or(lines.len(), |at| from + 1 + at);
        let section = &lines[from..to];
        from = to;
        let is_in_use = text(section[0]).split(|b| *b == b' ').nth(1) != Some(b"0");
        was_open |= is_in_use;
        let left = MediaLine::parse(section[0])
            .map(|media| narrow_stream(&media, section, (wanted, allowed), &mut removed, &mut out));
        match left {
            Some(left) => {
                is_changed |= left != Left::All;
                is_open |= left != Left::Nothing;
            }
            None => {
                is_open |= is_in_use;
                section.iter().for_each(|line| out.extend_from_slice(line));
            }
        }
    }
    is_changed.then(|| Narrowed { sdp: out.into(), removed, is_nothing_left: was_open && !is_open })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    All,
    Some,
    Nothing,
}

/// Writes the stream with port 0, and the rest of it as it is.
fn refuse_stream(media: &MediaLine<'_>, section: &[&[u8]], out: &mut Vec<u8>) {
    media.write(b"0", &media.formats, out);
    section[1..].iter().for_each(|line| out.extend_from_slice(line));
}

/// Writes what is left of one stream.
fn narrow_stream<'a>(
    media: &MediaLine<'a>,
    section: &[&'a [u8]],
    (wanted, allowed): (&Codecs, Option<&Codecs>),
    removed: &mut Vec<Box<str>>,
    out: &mut Vec<u8>,
) -> Left {
    if media.formats.len() > FORMATS_MAX {
        refuse_stream(media, section, out);
        return Left::Nothing;
    }
    let explained = Explained::by(&section[1..]);
    let formats: Vec<_> = media.formats.iter().map(|text| Format::of(text, &explained)).collect();
    let rank = |format: &Format<'_>| {
        let name = format.name?;
        allowed.is_none_or(|list| list.rank(name).is_some()).then(|| wanted.rank(name))?
    };
    let mut kept: Vec<&Format<'_>> =
        formats.iter().filter(|format| format.is_codec() && rank(format).is_some()).collect();
    for gone in formats.iter().filter(|format| format.is_codec() && rank(format).is_none()) {
        let name = gone.shown();
        if removed.len() < NAMES_MAX && !removed.contains(&name) {
            removed.push(name);
        }
    }
    if kept.is_empty() {
        refuse_stream(media, section, out);
        return Left::Nothing;
    }
    // Equals stay in order.
    kept.sort_by_key(|format| rank(format));
    let types: BTreeSet<u8> = kept.iter().filter_map(|format| format.payload_type).collect();
    let is_with_codec = |format: &&Format<'_>| match format.is_retransmission() {
        true => format.of.is_some_and(|of| types.contains(&of)),
        false => !format.is_codec(),
    };
    kept.extend(formats.iter().filter(is_with_codec));
    let texts: Vec<&[u8]> = kept.iter().map(|format| format.text).collect();
    if texts == media.formats {
        section.iter().for_each(|line| out.extend_from_slice(line));
        return Left::All;
    }
    media.write(media.port, &texts, out);
    let types: BTreeSet<u8> = kept.iter().filter_map(|format| format.payload_type).collect();
    let gone: BTreeSet<u8> = formats.iter().filter_map(|format| format.payload_type).collect();
    let gone: BTreeSet<u8> = gone.difference(&types).copied().collect();
    let is_of_gone = |line: &[u8]| {
        let names = [&b"rtpmap"[..], b"fmtp", b"rtcp-fb"];
        names.iter().any(|name| {
            of_payload_type(line, name).is_some_and(|(number, _)| gone.contains(&number))
        })
    };
    for line in section[1..].iter().filter(|line| !is_of_gone(line)) {
        out.extend_from_slice(line);
    }
    Left::Some
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nx=odd line\r\nt=0 0\r\n";

    fn narrowed(body: &str, wanted: &str, allowed: Option<&str>) -> Option<Narrowed> {
        let sdp = format!("{HEAD}{body}");
        let wanted: Codecs = wanted.parse().unwrap();
        let allowed: Option<Codecs> = allowed.map(|list| list.parse().unwrap());
        narrow(sdp.as_bytes(), &wanted, allowed.as_ref())
    }

    #[track_caller]
    fn check(body: &str, wanted: &str, expected: &str, removed: &[&str]) {
        let found = narrowed(body, wanted, None).expect("something was to be changed");
        assert_eq!(found.sdp, format!("{HEAD}{expected}").as_bytes());
        let names: Vec<&str> = found.removed.iter().map(|name| &**name).collect();
        assert_eq!(names, removed);
        assert!(!found.is_nothing_left);
    }

    #[test]
    fn codecs_go_and_the_rest_comes_in_order() {
        check(
            "m=audio 4000 RTP/AVP 0 8 18 101\r\nc=IN IP4 192.0.2.9\r\na=rtpmap:0 PCMU/8000\r\n\
             a=rtpmap:18 G729/8000\r\na=fmtp:18 annexb=no\r\na=rtpmap:101 telephone-event/8000\r\n\
             a=fmtp:101 0-15\r\na=odd:18\r\na=ptime:20\r\n",
            "PCMA,PCMU",
            "m=audio 4000 RTP/AVP 8 0 101\r\nc=IN IP4 192.0.2.9\r\na=rtpmap:0 PCMU/8000\r\n\
             a=rtpmap:101 telephone-event/8000\r\n\
             a=fmtp:101 0-15\r\na=odd:18\r\na=ptime:20\r\n",
            &["G729"],
        );
    }

    #[test]
    fn dynamic_types_go_by_their_names() {
        check(
            "m=audio 4000 RTP/SAVP 96 97 9\na=rtpmap:96 opus/48000/2\na=rtpmap:97 AMR-WB/16000\na=fmtp:97 octet-align=1\na=rtcp-fb:97 nack\n",
            "g722,OPUS",
            "m=audio 4000 RTP/SAVP 9 96\na=rtpmap:96 opus/48000/2\n",
            &["AMR-WB"],
        );
    }

    #[test]
    fn a_stream_without_codecs_is_refused_and_fax_passes() {
        check(
            "m=audio 4000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n\
             m=image 4002 udptl t38\r\na=T38FaxVersion:0\r\n",
            "G729",
            "m=audio 0 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n\
             m=image 4002 udptl t38\r\na=T38FaxVersion:0\r\n",
            &["PCMU"],
        );
        check(
            "m=audio 4000 RTP/AVP 8\r\nm=video 4002/2 RTP/AVP 34 99\r\na=rtpmap:99 H264/90000\r\n",
            "PCMA",
            "m=audio 4000 RTP/AVP 8\r\nm=video 0 RTP/AVP 34 99\r\na=rtpmap:99 H264/90000\r\n",
            &["H263", "H264"],
        );
    }

    #[test]
    fn retransmissions_go_with_their_codec() {
        check(
            "m=video 4000 RTP/AVPF 96 97 98 99\r\na=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\n\
             a=fmtp:97 apt=96\r\na=rtpmap:98 H264/90000\r\na=rtpmap:99 rtx/90000\r\na=fmtp:99 apt=98\r\n",
            "H264",
            "m=video 4000 RTP/AVPF 98 99\r\n\
             a=rtpmap:98 H264/90000\r\na=rtpmap:99 rtx/90000\r\na=fmtp:99 apt=98\r\n",
            &["VP8"],
        );
    }

    #[test]
    fn what_is_in_both_lists_passes() {
        let found = narrowed("m=audio 4000 RTP/AVP 8 0 18\r\n", "PCMU,PCMA", Some("G729,PCMA"));
        let found = found.unwrap();
        assert!(found.sdp.ends_with(b"m=audio 4000 RTP/AVP 8\r\n"));
        assert_eq!(found.removed, ["PCMU".into(), "G729".into()]);
    }

    #[test]
    fn nothing_left_is_told() {
        let found = narrowed("m=audio 4000 RTP/AVP 0 8\r\nm=video 0 RTP/AVP 34\r\n", "opus", None);
        let found = found.unwrap();
        assert!(found.is_nothing_left);
        assert!(found.sdp.ends_with(b"m=audio 0 RTP/AVP 0 8\r\nm=video 0 RTP/AVP 34\r\n"));
    }

    #[test]
    fn what_is_right_already_is_not_touched() {
        assert_eq!(narrowed("m=audio 4000 RTP/AVP 8 13\r\n", "PCMA", None), None);
        assert_eq!(narrowed("m=image 4000 udptl t38\r\n", "PCMA", None), None);
        assert_eq!(narrowed("m=application 4000 TCP/BFCP *\r\n", "PCMA", None), None);
        assert_eq!(narrowed("m=audio 0 RTP/AVP 0\r\n", "PCMA", None), None);
        assert_eq!(narrowed("", "PCMA", None), None);
        // A type that nothing explains is no codec that the list knows.
        let found = narrowed("m=audio 4000 RTP/AVP 8 101\r\n", "PCMA", None).unwrap();
        assert_eq!(found.removed, ["101".into()]);
        assert_eq!(narrowed("m=audio\r\nm=audio 1\r\nm=audio 1 RTP/AVP\r\n", "PCMA", None), None);
    }

    /// A stream with so many formats, 96 and on, each with a codec of its own.
    fn stream(formats: usize) -> String {
        let numbers = (0..formats).map(|n| (96 + n % 160).to_string()).collect::<Vec<_>>();
        let maps = (0..formats).map(|n| format!("a=rtpmap:{} made-up-{n}/8000\r\n", 96 + n % 160));
        let maps: String = maps.collect();
        format!("m=audio 4000 RTP/AVP 8 {}\r\n{maps}", numbers.join(" "))
    }

    #[test]
    fn sixteen_names_are_told_at_most() {
        let found = narrowed(&stream(63), "PCMA", None).unwrap();
        assert_eq!(found.sdp, format!("{HEAD}m=audio 4000 RTP/AVP 8\r\n").as_bytes());
        assert_eq!((found.removed.len(), &*found.removed[15]), (16, "made-up-15"));
        // Over several streams, too.
        let two = format!("{}{}", stream(10), stream(63));
        assert_eq!(narrowed(&two, "PCMA", None).unwrap().removed.len(), 16);
    }

    /// What a peer writes costs no more than its length: with each line read for each format, this would
    /// not end within any test's time.
    #[test]
    fn a_stream_of_more_than_64_formats_is_refused() {
        for formats in [64, 100_000] {
            let body = stream(formats);
            let found = narrowed(&body, "PCMA", None).unwrap();
            assert!(found.is_nothing_left && found.removed.is_empty());
            let refused = body.replace("m=audio 4000", "m=audio 0");
            assert_eq!(found.sdp, format!("{HEAD}{refused}").as_bytes());
        }
        let beside = format!("{}m=audio 4002 RTP/AVP 8\r\n", stream(64));
        assert!(!narrowed(&beside, "PCMA", None).unwrap().is_nothing_left);
    }

    #[test]
    fn the_first_line_about_a_payload_type_counts() {
        let lines =
            "a=rtpmap:96 opus/48000/2\r\n".to_owned() + &"a=rtpmap:96 x/1\r\n".repeat(100_000);
        let body = format!("m=audio 4000 RTP/AVP 0 96\r\n{lines}");
        let found = narrowed(&body, "opus", None).unwrap();
        assert_eq!(found.removed, ["PCMU".into()]);
        assert!(!found.is_nothing_left);
    }
}
