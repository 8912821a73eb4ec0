//! A client of web servers, for what calls ask of them: certificates of those who sign callers, numbers
//! that were ported. HTTP/1.1 (RFC 9112) with or without TLS. Redirects are not followed, every answer
//! has a limit of time and of size, and a URL that a stranger has written leads to public addresses only:
//! else whoever sends us one could have us ask what is inside our own network (SSRF).

mod address;
mod url;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderMap, HeaderValue, USER_AGENT};
use hyper::{Method, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

use super::resolver::{Dns, Records};
use super::tls::TlsClient;

pub use address::is_public;
pub use url::{BadUrl, Url};

/// Connections kept to one server for the next request, and servers to which some are kept.
const IDLE_MAX: usize = 8;
const IDLE_SERVERS_MAX: usize = 64;
/// How long a connection is kept; many servers close it after 5 s or more.
const IDLE_FOR: Duration = Duration::from_secs(10);
/// Of the addresses of a host, this many are tried.
const ADDRESSES_MAX: usize = 4;
/// Headers of an answer; with it hyper's buffer is bounded too.
const HEADERS_MAX: usize = 64;
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Where a request may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reach {
    /// The operator has written the URL, or allowed its host: HTTP or HTTPS, any address.
    Anywhere,
    /// A stranger has: HTTPS, and public addresses only.
    Public,
}

/// How long and how large an answer may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchLimits {
    /// From the look-up of the host's name to the last byte.
    pub time: Duration,
    /// Of the body, in bytes.
    pub body_max: usize,
}

/// What is asked of a web server.
#[derive(Clone, Debug)]
pub struct Request {
    /// GET or POST.
    pub method: Method,
    /// Of what.
    pub url: Url,
    /// Where it may go.
    pub reach: Reach,
    /// Beside Host, Content-Length and User-Agent, which are written here.
    pub headers: HeaderMap,
    /// Empty for GET.
    pub body: Bytes,
}

impl Request {
    /// GET without further headers.
    pub fn get(url: Url, reach: Reach) -> Request {
        let (headers, body) = (HeaderMap::new(), Bytes::new());
        Request { method: Method::GET, url, reach, headers, body }
    }

    /// POST of this body; its Content-Type is for `headers`.
    pub fn post(url: Url, reach: Reach, body: Bytes) -> Request {
        Request { method: Method::POST, url, reach, headers: HeaderMap::new(), body }
    }

    fn on_wire(&self) -> hyper::Request<Full<Bytes>> {
        let mut request = hyper::Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.url.target();
        let headers = request.headers_mut();
        headers.extend(self.headers.clone());
        headers.insert(HOST, self.url.authority());
        headers.entry(USER_AGENT).or_insert(HeaderValue::from_static("Tandem"));
        request
    }
}

/// What a web server has answered, whatever its status: 3xx too, which leads nowhere.
#[derive(Clone, Debug)]
pub struct Response {
    /// 200 and so on.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, whole.
    pub body: Bytes,
}

/// There is no answer.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The URL of a stranger without TLS.
    #[error("{0} is not HTTPS")]
    NotSecure(Url),
    /// DNS knows none, or this machine has no DNS.
    #[error("{0} has no address")]
    NoAddress(Url),
    /// The URL of a stranger leads to addresses that are not public.
    #[error("{0} leads to an address that is not public; if it is to be asked, allow its host")]
    NotPublic(Url),
    /// No connection to any of its addresses; why, of the last of them.
    #[error("{url} is not reached: {why}")]
    Unreachable {
        /// Which.
        url: Url,
        /// Why.
        why: io::Error,
    },
    /// The server's certificate, or something else of TLS.
    #[error("{url}: no TLS: {why}")]
    Tls {
        /// Which.
        url: Url,
        /// Why.
        why: io::Error,
    },
    /// What is answered is no HTTP, or ends early.
    #[error("{url}: {why}")]
    Http {
        /// Which.
        url: Url,
        /// Why.
        why: hyper::Error,
    },
    /// The body is over the limit.
    #[error("{url} answers with more than {body_max} bytes")]
    TooLong {
        /// Which.
        url: Url,
        /// The limit, in bytes.
        body_max: usize,
    },
    /// The answer is not whole within the limit.
    #[error("{url} has not answered within {time:?}")]
    Late {
        /// Which.
        url: Url,
        /// The limit.
        time: Duration,
    },
}

type Sender = http1::SendRequest<Full<Bytes>>;
type Idle = HashMap<Server, Vec<(Sender, Instant)>>;

/// Connections to one are alike.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Server {
    is_secure: bool,
    host: Box<str>,
    port: u16,
    reach: Reach,
}

/// The client; clones share its connections.
pub struct HttpClient<R = Dns> {
    tls: TlsConnector,
    /// `None` if this machine has no resolver: then only addresses can be asked.
    dns: Option<Arc<R>>,
    idle: Arc<Mutex<Idle>>,
}

impl<R> Clone for HttpClient<R> {
    fn clone(&self) -> HttpClient<R> {
        let (tls, dns, idle) = (self.tls.clone(), self.dns.clone(), Arc::clone(&self.idle));
        HttpClient { tls, dns, idle }
    }
}

impl<R: Records> HttpClient<R> {
    /// Trusts whom `tls` trusts; host names are asked of `dns`.
    pub fn new(tls: &TlsClient, dns: Option<Arc<R>>) -> HttpClient<R> {
        let tls = TlsConnector::from(tls.without_certificate());
        HttpClient { tls, dns, idle: Arc::default() }
    }

    /// Asks once. A connection of before is used if there is one; if it turns out to be closed, a GET
    /// goes by a new one.
    ///
    /// # Errors
    ///
    /// If there is no whole answer within the limits. An answer with a status of failure is none.
    pub async fn fetch(
        &self,
        request: &Request,
        limits: FetchLimits,
    ) -> Result<Response, FetchError> {
        let late = || FetchError::Late { url: request.url.clone(), time: limits.time };
        timeout(limits.time, self.exchange(request, limits)).await.unwrap_or_else(|_| Err(late()))
    }

    async fn exchange(
        &self,
        request: &Request,
        limits: FetchLimits,
    ) -> Result<Response, FetchError> {
        let url = &request.url;
        if request.reach == Reach::Public && !url.is_secure() {
            return Err(FetchError::NotSecure(url.clone()));
        }
        let server = Server {
            is_secure: url.is_secure(),
            host: url.host().into(),
            port: url.port(),
            reach: request.reach,
        };
        let http = |why| FetchError::Http { url: url.clone(), why };
        while let Some(mut sender) = self.kept(&server) {
            if sender.ready().await.is_err() {
                continue;
            }
            match sender.try_send_request(request.on_wire()).await {
                Ok(answer) => return self.read(request, limits, server, sender, answer).await,
                // RFC 9110 section 9.2.2: what was perhaps heard is asked again if that does no harm.
                Err(mut error) => {
                    let is_unsent = error.take_message().is_some();
                    if !is_unsent && request.method != Method::GET {
                        return Err(http(error.into_error()));
                    }
                }
            }
        }
        let mut sender = self.connect(request, limits.time).await?;
        let answer = sender.send_request(request.on_wire()).await.map_err(http)?;
        self.read(request, limits, server, sender, answer).await
    }

    /// Reads the body, and keeps the connection if that can be.
    async fn read(
        &self,
        request: &Request,
        limits: FetchLimits,
        server: Server,
        sender: Sender,
        answer: hyper::Response<Incoming>,
    ) -> Result<Response, FetchError> {
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, limits.body_max).collect().await;
        let body = body.map_err(|why| {
            let url = request.url.clone();
            match why.downcast::<hyper::Error>() {
                Ok(why) => FetchError::Http { url, why: *why },
                Err(other) => {
                    debug_assert!(other.is::<LengthLimitError>());
                    FetchError::TooLong { url, body_max: limits.body_max }
                }
            }
        })?;
        self.keep(server, sender);
        Ok(Response { status: head.status, headers: head.headers, body: body.to_bytes() })
    }

    /// A new connection, to the first address that takes one.
    async fn connect(&self, request: &Request, time: Duration) -> Result<Sender, FetchError> {
        let url = &request.url;
        let addresses = self.addresses(request).await?;
        let each = time / u32::try_from(addresses.len()).unwrap_or(1);
        let mut why = io::Error::from(io::ErrorKind::TimedOut);
        for address in addresses {
            match timeout(each, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return self.begin(url, stream).await,
                Ok(Err(error)) => why = error,
                Err(_) => why = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(FetchError::Unreachable { url: url.clone(), why })
    }

    async fn addresses(&self, request: &Request) -> Result<Vec<SocketAddr>, FetchError> {
        let url = &request.url;
        let found = match (url.host().parse::<IpAddr>(), &self.dns) {
            (Ok(address), _) => vec![address],
            (Err(_), Some(dns)) => dns.addresses(url.host()).await,
            (Err(_), None) => Vec::new(),
        };
        if found.is_empty() {
            return Err(FetchError::NoAddress(url.clone()));
        }
        // Those that are connected to are those that were looked at: the name is not asked for again.
        let may = |address: &IpAddr| request.reach == Reach::Anywhere || is_public(*address);
        let found = found.into_iter().filter(may).take(ADDRESSES_MAX);
        let found: Vec<_> = found.map(|address| SocketAddr::new(address, url.port())).collect();
        if found.is_empty() { Err(FetchError::NotPublic(url.clone())) } else { Ok(found) }
    }

    /// TLS, if it is to be, and HTTP. A task of its own moves the bytes as long as the sender lives.
    async fn begin(&self, url: &Url, stream: TcpStream) -> Result<Sender, FetchError> {
        let _ = stream.set_nodelay(true);
        let http = |why| FetchError::Http { url: url.clone(), why };
        let mut builder = http1::Builder::new();
        builder.max_headers(HEADERS_MAX).max_buf_size(HEAD_BYTES_MAX);
        if !url.is_secure() {
            let (sender, connection) =
                builder.handshake(TokioIo::new(stream)).await.map_err(http)?;
            tokio::spawn(connection);
            return Ok(sender);
        }
        let tls = |why| FetchError::Tls { url: url.clone(), why };
        let name = ServerName::try_from(url.host().to_owned())
            .map_err(|why| tls(io::Error::new(io::ErrorKind::InvalidInput, why)))?;
        let stream = self.tls.connect(name, stream).await.map_err(tls)?;
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(http)?;
        tokio::spawn(connection);
        Ok(sender)
    }

    fn kept(&self, server: &Server) -> Option<Sender> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle.get_mut(server)?;
        while let Some((sender, since)) = kept.pop() {
            if since.elapsed() < IDLE_FOR && !sender.is_closed() {
                return Some(sender);
            }
        }
        idle.remove(server);
        None
    }

    fn keep(&self, server: Server, sender: Sender) {
        if sender.is_closed() {
            return;
        }
        let now = Instant::now();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() >= IDLE_SERVERS_MAX && !idle.contains_key(&server) {
            idle.retain(|_, kept| {
                kept.retain(|(sender, since)| *since + IDLE_FOR > now && !sender.is_closed());
                !kept.is_empty()
            });
            if idle.len() >= IDLE_SERVERS_MAX {
                return;
            }
        }
        let kept = idle.entry(server).or_default();
        kept.retain(|(sender, since)| *since + IDLE_FOR > now && !sender.is_closed());
        if kept.len() < IDLE_MAX {
            kept.push((sender, now));
        }
    }
}

#[cfg(test)]
mod tests;
