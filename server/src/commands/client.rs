//! A small blocking HTTP client for the API of a switch on this machine: one request a connection,
//! over plain TCP on loopback.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use api::Token;
use config::Config;
use serde_json::Value;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Above the longest `request_timeout_s`.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(630);

/// How a request failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nobody answers there.
    NotRunning(String),
    /// The connection broke; whether the command was carried out is not known.
    Broken(String),
    /// The answer is an error, with its status and its sentence.
    Refused(u16, String),
}

impl Failure {
    /// Says how to go on where it is not known what was carried out.
    fn with_key(self, key: &str) -> Failure {
        let again = |what: String| {
            format!("{what}\nrepeat the command with --key {key}: it is carried out once")
        };
        match self {
            Failure::Broken(what) => Failure::Broken(again(what)),
            Failure::Refused(status @ 500.., what) => Failure::Refused(status, again(what)),
            other => other,
        }
    }
}

impl From<Failure> for String {
    fn from(failure: Failure) -> String {
        match failure {
            Failure::NotRunning(what) | Failure::Broken(what) | Failure::Refused(_, what) => what,
        }
    }
}

/// Speaks to one switch.
pub(crate) struct Client {
    address: SocketAddr,
    token: Token,
    data_directory: PathBuf,
    /// As the caller named the command.
    key: Option<String>,
}

impl Client {
    /// For the switch that this configuration describes.
    pub(crate) fn of(config: &Config) -> Result<Client, String> {
        let token = Token::read(&config.data_directory).map_err(|error| {
            format!(
                "there is no administrator token ({error}); start the switch with `tandem run`, \
                 or name its data directory with --data"
            )
        })?;
        let mut address = config.api.address;
        if address.ip().is_unspecified() {
            address.set_ip(match address.ip() {
                IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
                IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
            });
        }
        Ok(Client { address, token, data_directory: config.data_directory.clone(), key: None })
    }

    /// The key of the next command, so that one that failed can be sent again.
    pub(crate) fn with_key(self, key: Option<String>) -> Client {
        Client { key, ..self }
    }

    fn key(&self) -> String {
        self.key.clone().unwrap_or_else(fresh_key)
    }

    pub(crate) fn get(&self, path: &str) -> Result<Value, Failure> {
        self.send("GET", path, None, "", b"")
    }

    /// A file.
    pub(crate) fn download(&self, path: &str) -> Result<Vec<u8>, Failure> {
        self.send_for_bytes("GET", path, None, "", b"")
    }

    /// A command under the caller's key, or one of its own.
    pub(crate) fn command(&self, method: &str, path: &str, body: &Value) -> Result<Value, Failure> {
        self.command_as(method, path, body, &self.key())
    }

    /// A command under a key, sent again once if the connection breaks: the key makes that safe.
    pub(crate) fn command_as(
        &self,
        method: &str,
        path: &str,
        body: &Value,
        key: &str,
    ) -> Result<Value, Failure> {
        let body = body.to_string();
        let send = || self.send(method, path, Some(key), "application/json", body.as_bytes());
        match send() {
            Err(Failure::Broken(_)) => send(),
            answer => answer,
        }
        .map_err(|failure| failure.with_key(key))
    }

    pub(crate) fn upload(&self, path: &str, csv: &[u8]) -> Result<Value, Failure> {
        self.upload_as(path, csv, &self.key())
    }

    pub(crate) fn upload_as(&self, path: &str, csv: &[u8], key: &str) -> Result<Value, Failure> {
        self.send("POST", path, Some(key), "text/csv", csv).map_err(|failure| failure.with_key(key))
    }

    fn send(
        &self,
        method: &str,
        path: &str,
        key: Option<&str>,
        content_type: &str,
        body: &[u8],
    ) -> Result<Value, Failure> {
        let bytes = self.send_for_bytes(method, path, key, content_type, body)?;
        Ok(serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    fn send_for_bytes(
        &self,
        method: &str,
        path: &str,
        key: Option<&str>,
        content_type: &str,
        body: &[u8],
    ) -> Result<Vec<u8>, Failure> {
        let stream = self.connect()?;
        let answer = self.exchange(stream, method, path, key, content_type, body);
        let (status, text) = answer.map_err(|error| {
            Failure::Broken(format!("the connection to the switch broke: {error}"))
        })?;
        if (200..300).contains(&status) {
            return Ok(text);
        }
        let value: Value = serde_json::from_slice(&text).unwrap_or(Value::Null);
        Err(Failure::Refused(status, explain(status, &value)))
    }

    pub(super) fn connect(&self) -> Result<TcpStream, Failure> {
        let address = self.address;
        let stream = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT).map_err(|error| {
            let data = self.data_directory.display();
            Failure::NotRunning(format!(
                "no switch answers on {address} ({error}); start it with `tandem run` (data \
                 directory {data})"
            ))
        })?;
        Ok(stream)
    }

    /// The head of a request, up to the headers that only some have.
    pub(super) fn head(&self, method: &str, path: &str, length: usize) -> String {
        format!(
            "{method} /api/v1{path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\
             Authorization: Bearer {}\r\nContent-Length: {length}\r\n",
            self.address,
            self.token.expose(),
        )
    }

    fn exchange(
        &self,
        mut stream: TcpStream,
        method: &str,
        path: &str,
        key: Option<&str>,
        content_type: &str,
        body: &[u8],
    ) -> io::Result<(u16, Vec<u8>)> {
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        stream.set_nodelay(true)?;
        let mut head = self.head(method, path, body.len());
        if let Some(key) = key {
            head.push_str(&format!("Idempotency-Key: {key}\r\n"));
        }
        if !content_type.is_empty() {
            head.push_str(&format!("Content-Type: {content_type}\r\n"));
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes())?;
        // A server that refuses a large body may close before it has read all of it; its answer
        // says why.
        let sent = stream.write_all(body);
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer) {
            Ok(_) => {}
            Err(error) if answer.is_empty() => return Err(sent.err().unwrap_or(error)),
            Err(_) => {}
        }
        parse(&answer)
    }
}

/// Status and body of an HTTP/1.1 answer that was read to its end.
fn parse(answer: &[u8]) -> io::Result<(u16, Vec<u8>)> {
    let broken = || io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP");
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").ok_or_else(broken)?;
    let head = std::str::from_utf8(&answer[..end]).map_err(|_| broken())?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(broken)?;
    let body = &answer[end + 4..];
    let header = |name: &str| {
        let lines = head.lines().filter_map(|line| line.split_once(':'));
        let mut values = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        values.next().map(|(_, value)| value.trim())
    };
    if header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        return Ok((status, unchunk(body).ok_or_else(broken)?));
    }
    if let Some(length) = header("content-length").and_then(|value| value.parse::<usize>().ok())
        && body.len() < length
    {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
    }
    Ok((status, body.to_vec()))
}

fn unchunk(mut body: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        let line = body.windows(2).position(|bytes| bytes == b"\r\n")?;
        let size = std::str::from_utf8(&body[..line]).ok()?.split(';').next()?.trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        body = &body[line + 2..];
        if size == 0 {
            return Some(whole);
        }
        whole.extend_from_slice(body.get(..size)?);
        body = body.get(size + 2..)?;
    }
}

/// The sentence of a problem, with its field or its rows.
pub(super) fn explain(status: u16, problem: &Value) -> String {
    let detail = problem["detail"].as_str().unwrap_or("the switch gave no reason");
    let mut text = match problem["field"].as_str() {
        Some(field) if !detail.starts_with(field) => format!("{field}: {detail}"),
        _ if problem.is_null() => format!("the switch answered {status}"),
        _ => detail.to_owned(),
    };
    for row in problem["errors"].as_array().into_iter().flatten() {
        let (number, detail) = (&row["row"], row["detail"].as_str().unwrap_or_default());
        match row["column"].as_str() {
            Some(column) if !column.is_empty() => {
                text.push_str(&format!("\n  row {number}, column {column}: {detail}"));
            }
            _ => text.push_str(&format!("\n  row {number}: {detail}")),
        }
    }
    text
}

/// A key that nobody used before.
pub(crate) fn fresh_key() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A text as one segment of a path or one value of a query.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

/// `?a=1&b=2` of what is there.
pub(crate) fn query(parts: &[(&str, Option<String>)]) -> String {
    let present = parts.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
    let parts: Vec<String> =
        present.map(|(name, value)| format!("{name}={}", escape(value))).collect();
    if parts.is_empty() { String::new() } else { format!("?{}", parts.join("&")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_in_both_forms() {
        let plain = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(parse(plain).unwrap(), (201, b"{}".to_vec()));
        let chunked =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n";
        assert_eq!(parse(chunked).unwrap(), (200, b"abcd".to_vec()));
        assert!(parse(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort").is_err());
        assert!(parse(b"SIP").is_err());
    }

    #[test]
    fn problems_become_one_line_and_the_rows_of_a_sheet_one_each() {
        let problem = serde_json::json!({"detail": "write 0 or more", "field": "credit_limit"});
        assert_eq!(explain(422, &problem), "credit_limit: write 0 or more");
        let sheet = serde_json::json!({"detail": "r.csv has 1 faults", "errors": [
            {"row": 3, "column": "price", "detail": "is bad"}]});
        assert_eq!(explain(422, &sheet), "r.csv has 1 faults\n  row 3, column price: is bad");
        assert_eq!(explain(502, &Value::Null), "the switch answered 502");
    }

    #[test]
    fn queries_are_escaped() {
        let parts = [("a", Some("x y/+".to_owned())), ("b", None), ("c", Some("1".to_owned()))];
        assert_eq!(query(&parts), "?a=x%20y%2F%2B&c=1");
        assert_eq!(query(&[]), "");
    }
}
