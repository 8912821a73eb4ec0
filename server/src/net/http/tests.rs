//! Against servers that say what each test has them say.

use std::path::Path;

use config::TlsFiles;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::net::resolver::{Naptr, Srv};
use crate::net::tls::server_side;

const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls");
const LIMITS: FetchLimits = FetchLimits { time: Duration::from_secs(5), body_max: 1000 };

/// DNS with the names of this test.
struct Names;

impl Records for Names {
    async fn naptr(&self, _: &str) -> Vec<Naptr> {
        Vec::new()
    }

    async fn srv(&self, _: &str) -> Vec<Srv> {
        Vec::new()
    }

    async fn addresses(&self, name: &str) -> Vec<IpAddr> {
        match name {
            "carrier.test" | "stranger.test" => vec![[127, 0, 0, 1].into()],
            "metadata.test" => vec![[169, 254, 169, 254].into(), [10, 0, 0, 1].into()],
            _ => Vec::new(),
        }
    }
}

fn client() -> HttpClient<Names> {
    let authority = Path::new(FILES).join("authority.pem");
    HttpClient::new(&TlsClient::new(&[&authority]).unwrap(), Some(Arc::new(Names)))
}

fn acceptor() -> TlsAcceptor {
    let file = |name: &str| Path::new(FILES).join(name);
    let files = TlsFiles {
        certificate: file("carrier.pem"),
        key: file("carrier.key"),
        client_ca: None,
        needs_client_certificate: false,
    };
    TlsAcceptor::from(server_side(&files).unwrap().0)
}

async fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

fn get(url: &str, reach: Reach) -> Request {
    Request::get(Url::parse(url).unwrap(), reach)
}

/// One request: its head and as many bytes of body as it says.
async fn heard(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut text = String::new();
    loop {
        let body =
            text.split_once("\r\n\r\n").map(|(head, body)| (head.to_lowercase(), body.len()));
        if let Some((head, got)) = body {
            let length = head.split_once("content-length: ").map(|(_, rest)| rest);
            let length = length.and_then(|rest| rest.lines().next());
            if got >= length.map_or(0, |length| length.parse().unwrap()) {
                return Some(text);
            }
        }
        let mut bytes = [0; 1000];
        let count = stream.read(&mut bytes).await.unwrap_or(0);
        if count == 0 {
            return None;
        }
        text.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
    }
}

/// Answers each request with the next of `answers`, and ends.
async fn play(mut stream: impl AsyncRead + AsyncWrite + Unpin, answers: &[&str]) -> Vec<String> {
    let mut all = Vec::new();
    for answer in answers {
        let Some(request) = heard(&mut stream).await else { break };
        all.push(request);
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
    all
}

#[tokio::test]
async fn a_get_and_a_post_share_a_connection() {
    let (listener, port) = listener().await;
    let server = async {
        let (stream, _) = listener.accept().await.unwrap();
        let chunked = "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n\
                       3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        let plain = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Lrn: 1\r\n\r\nok";
        play(stream, &[plain, chunked]).await
    };
    let client = client();
    let us = async {
        let url = format!("http://127.0.0.1:{port}/lrn?n=49");
        let first = client.fetch(&get(&url, Reach::Anywhere), LIMITS).await.unwrap();
        assert_eq!((first.status.as_u16(), &*first.body), (200, &b"ok"[..]));
        assert_eq!(first.headers["x-lrn"], "1");
        let url = Url::parse(&url).unwrap();
        let post = Request::post(url, Reach::Anywhere, Bytes::from_static(b"{}"));
        let second = client.fetch(&post, LIMITS).await.unwrap();
        assert_eq!((second.status.as_u16(), &*second.body), (404, &b"abcde"[..]));
    };
    let (requests, ()) = tokio::join!(server, us);
    assert!(requests[0].starts_with("GET /lrn?n=49 HTTP/1.1\r\n"), "{}", requests[0]);
    assert!(requests[0].contains(&format!("host: 127.0.0.1:{port}\r\n")), "{}", requests[0]);
    assert!(requests[1].starts_with("POST /lrn?n=49 HTTP/1.1\r\n"), "{}", requests[1]);
    assert!(requests[1].ends_with("\r\n\r\n{}"), "{}", requests[1]);
}

/// RFC 9112 section 9.5: a server may close a connection that it has let us keep.
#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_is_replaced() {
    let (listener, port) = listener().await;
    let client = client();
    let request = get(&format!("http://127.0.0.1:{port}/"), Reach::Anywhere);
    for _ in 0..3 {
        let server = async {
            let (stream, _) = listener.accept().await.unwrap();
            play(stream, &["HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]).await;
        };
        let (answer, ()) = tokio::join!(client.fetch(&request, LIMITS), server);
        assert_eq!(answer.unwrap().status, StatusCode::OK);
    }
}

#[tokio::test]
async fn https_proves_the_host() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ncert";
    for (host, is_proved) in [("carrier.test", true), ("stranger.test", false)] {
        let (listener, port) = listener().await;
        let server = async {
            let (stream, _) = listener.accept().await.unwrap();
            if let Ok(stream) = acceptor().accept(stream).await {
                play(stream, &[answer]).await;
            }
        };
        let request = get(&format!("https://{host}:{port}/a.pem"), Reach::Anywhere);
        let client = client();
        let (answer, ()) = tokio::join!(client.fetch(&request, LIMITS), server);
        match answer {
            Ok(answer) => assert!(is_proved && &*answer.body == b"cert"),
            Err(error) => assert!(!is_proved && matches!(error, FetchError::Tls { .. }), "{error}"),
        }
    }
}

/// A stranger's URL does not lead inside, whatever its name resolves to.
#[tokio::test]
async fn a_strangers_url_leads_outside_only() {
    let client = client();
    for (url, expected) in [
        ("http://carrier.test/", "http://carrier.test/ is not HTTPS"),
        ("https://nowhere.test/", "https://nowhere.test/ has no address"),
        ("https://carrier.test/", "leads to an address that is not public"),
        ("https://metadata.test/", "leads to an address that is not public"),
        ("https://127.0.0.1/", "leads to an address that is not public"),
        ("https://[::1]/", "leads to an address that is not public"),
    ] {
        let error = client.fetch(&get(url, Reach::Public), LIMITS).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn an_answer_has_limits() {
    let long = format!("HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n{}", "a".repeat(1001));
    let heads = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "a".repeat(HEAD_BYTES_MAX));
    for (answer, expected) in [
        (&*long, "answers with more than 1000 bytes"),
        (&*heads, "message head is too large"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", "body"),
        ("SIP/2.0 200 OK\r\n\r\n", "invalid HTTP"),
        ("", "connection closed"),
    ] {
        let (listener, port) = listener().await;
        let server = async {
            let (stream, _) = listener.accept().await.unwrap();
            play(stream, &[answer]).await;
        };
        let request = get(&format!("http://127.0.0.1:{port}/"), Reach::Anywhere);
        let client = client();
        let (answer, ()) = tokio::join!(client.fetch(&request, LIMITS), server);
        let error = answer.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}, not {expected}");
    }
}

#[tokio::test]
async fn a_silent_server_is_not_waited_for() {
    let (listener, port) = listener().await;
    let request = get(&format!("http://127.0.0.1:{port}/"), Reach::Anywhere);
    let limits = FetchLimits { time: Duration::from_millis(20), ..LIMITS };
    let error = client().fetch(&request, limits).await.unwrap_err();
    assert!(matches!(error, FetchError::Late { .. }), "{error}");
    drop(listener);
}
