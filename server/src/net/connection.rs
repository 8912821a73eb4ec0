//! One connection: a task that reads messages and one that writes them, each with its deadlines.
//! A peer that sends half a message and stops, or reads nothing, loses its connection and costs
//! nobody else anything.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{Bytes, BytesMut};
use sip::message::{Frame, Framer, Limits};
use sip::transport::{Path, Transport};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Duration, Instant, timeout, timeout_at};

use super::streams::{Delivery, Output, Shared};

/// RFC 5626 section 3.5.1.
const PING: &[u8] = b"\r\n\r\n";
const PONG: &[u8] = b"\r\n";
/// Messages written with one call.
const WRITE_BATCH: usize = 64;
/// How soon a message is offered again to a worker whose mailbox was full.
const OFFER_AGAIN: Duration = Duration::from_millis(5);
/// How long those who need an idle connection may take to say so.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// How long what we sent may go without the kernel of the peer confirming it. Below timer F, so that
/// a BYE on a dead connection still gets another.
const UNCONFIRMED_MAX: Duration = Duration::from_secs(20);
/// How long a connection whose stream cannot be read any more stays open for our answer.
const BROKEN_LINGER: Duration = Duration::from_secs(1);

/// A place in the connection table, with the end of the queue that its task reads.
pub(super) struct Opened {
    pub(super) path: Path,
    pub(super) is_incoming: bool,
    pub(super) output: Arc<Output>,
    pub(super) queue: mpsc::UnboundedReceiver<Bytes>,
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("the peer closed it")]
    ByPeer,
    #[error("closed by us")]
    ByUs,
    #[error("no complete message in time")]
    TooSlow,
    #[error("silent for too long")]
    Idle,
    #[error("its stream cannot be read as SIP")]
    Broken,
    #[error("its source is banned")]
    Banned,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Connects to the peer, then serves the connection; for connections of our own.
pub(super) async fn open(shared: Arc<Shared>, opened: Opened) {
    let path = opened.path;
    match timeout(shared.limits.connect, connect(&shared, path)).await {
        Ok(Ok(Stream::Plain(stream))) => serve(shared, opened, stream).await,
        Ok(Ok(Stream::Tls(stream))) => serve(shared, opened, *stream).await,
        Ok(Err(error)) => refused(&shared, path, &error),
        Err(_) => refused(&shared, path, &io::Error::from(io::ErrorKind::TimedOut)),
    }
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

async fn connect(shared: &Shared, path: Path) -> io::Result<Stream> {
    let socket = if path.remote.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    let local = shared.local.get(usize::from(path.listener)).copied();
    if let Some(local) = local
        .filter(|local| !local.ip().is_unspecified() && local.is_ipv4() == path.remote.is_ipv4())
    {
        socket.bind(SocketAddr::new(local.ip(), 0))?;
    }
    let stream = socket.connect(path.remote).await?;
    prepare(&stream)?;
    if path.transport == Transport::Tls {
        return Ok(Stream::Tls(Box::new(shared.tls.connect(path, stream).await?)));
    }
    Ok(Stream::Plain(stream))
}

fn refused(shared: &Shared, path: Path, error: &io::Error) {
    // Nobody but the operator can mend a certificate; an unreachable peer comes back by itself.
    if error.kind() == io::ErrorKind::PermissionDenied {
        tracing::warn!(remote = %path.remote, transport = ?path.transport, %error, "cannot connect");
    } else {
        shared.tls.unreachable(path.remote);
        tracing::info!(remote = %path.remote, transport = ?path.transport, %error, "cannot connect");
    }
    shared.counts.failed.fetch_add(1, Ordering::Relaxed);
    shared.forget(path);
}

/// Socket options of both kinds of connections: no Nagle, and the kernel finds dead peers.
pub(super) fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keep_alive = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(15))
        .with_retries(4);
    let socket = socket2::SockRef::from(stream);
    socket.set_tcp_user_timeout(Some(UNCONFIRMED_MAX))?;
    socket.set_tcp_keepalive(&keep_alive)
}

/// Reads and writes until either side ends it.
pub(super) async fn serve<S>(shared: Arc<Shared>, opened: Opened, stream: S)
where
    S: AsyncRead + AsyncWrite + Send,
{
    let Opened { path, is_incoming, output, queue } = opened;
    let (read, write) = tokio::io::split(stream);
    let ended = tokio::select! {
        ended = read_all(&shared, path, is_incoming, &output, read) => ended,
        ended = write_all(shared.limits.write, &output, queue, write) => ended,
        () = output.close.notified() => Ended::ByUs,
    };
    tracing::debug!(remote = %path.remote, transport = ?path.transport, %ended, "connection over");
    match ended {
        Ended::ByPeer | Ended::ByUs | Ended::Idle => {}
        Ended::TooSlow | Ended::Broken | Ended::Banned => {
            shared.counts.expelled.fetch_add(1, Ordering::Relaxed);
        }
        Ended::Io(_) => {
            shared.counts.failed.fetch_add(1, Ordering::Relaxed);
        }
    }
    shared.forget(path);
}

/// What a connection is waited for, and until when.
struct Deadlines {
    /// Set until the first message of an incoming connection, and while a message is incomplete.
    message: Option<Instant>,
    idle: Instant,
    /// It was silent for the idle limit, and `idle` is when those who need it must have said so.
    is_asked: bool,
    ping: Option<Instant>,
}

impl Deadlines {
    fn next(&self) -> Instant {
        let first = self.message.map_or(self.idle, |message| message.min(self.idle));
        self.ping.map_or(first, |ping| ping.min(first))
    }
}

async fn read_all<R>(
    shared: &Shared,
    path: Path,
    is_incoming: bool,
    output: &Output,
    mut read: R,
) -> Ended
where
    R: AsyncRead + Unpin,
{
    let limits = &shared.limits;
    let message_bytes = limits.message_bytes_max;
    let mut framer = Framer::new(Limits { message_bytes, ..Limits::default() });
    let mut buffer = BytesMut::with_capacity(8192);
    let start = Instant::now();
    let mut deadlines = Deadlines {
        message: is_incoming.then(|| start + limits.first_message),
        idle: start + limits.idle,
        is_asked: false,
        ping: (!is_incoming).then(|| start + limits.ping),
    };
    let mut has_spoken = !is_incoming;
    loop {
        buffer.reserve(4096);
        let length = match timeout_at(deadlines.next(), read.read_buf(&mut buffer)).await {
            Ok(Ok(0)) => return Ended::ByPeer,
            Ok(Ok(length)) => length,
            Ok(Err(error)) => return Ended::Io(error),
            Err(_) => match overdue(shared, path, &mut deadlines, output) {
                Some(ended) => return ended,
                None => continue,
            },
        };
        if shared.guard.is_banned(path.remote) {
            return Ended::Banned;
        }
        framer.push(&buffer.split_to(length));
        let was_partial = deadlines.message.is_some() && has_spoken;
        let mut is_new = false;
        while let Some(frame) = framer.poll_frame() {
            match frame {
                Frame::Message(bytes) => {
                    has_spoken = true;
                    is_new = true;
                    deliver(shared, path, bytes, output).await;
                }
                Frame::Ping => shared.queue(path, output, Bytes::from_static(PONG)),
                Frame::Pong => {}
                Frame::Broken(bytes) => {
                    deliver(shared, path, bytes, output).await;
                    tokio::time::sleep(BROKEN_LINGER).await;
                    return Ended::Broken;
                }
            }
        }
        let now = Instant::now();
        deadlines.idle = now + limits.idle;
        deadlines.is_asked = false;
        deadlines.ping = deadlines.ping.map(|_| now + limits.ping);
        if has_spoken {
            deadlines.message = match framer.is_partial() {
                false => None,
                // The clock of a half message runs from its beginning, not from its last byte.
                true if was_partial && !is_new => deadlines.message,
                true => Some(now + limits.message),
            };
        }
    }
}

/// A deadline passed: which one? `None` if the connection goes on.
fn overdue(
    shared: &Shared,
    path: Path,
    deadlines: &mut Deadlines,
    output: &Output,
) -> Option<Ended> {
    let now = Instant::now();
    if deadlines.message.is_some_and(|at| at <= now) {
        return Some(Ended::TooSlow);
    }
    if deadlines.idle <= now {
        let is_kept = output.take_kept();
        if deadlines.is_asked && !is_kept {
            return Some(Ended::Idle);
        }
        deadlines.is_asked = !is_kept && shared.sink.path_idle(path);
        let next = if is_kept { shared.limits.idle } else { shared.limits.idle.min(ANSWER_LIMIT) };
        deadlines.idle = now + next;
    }
    if deadlines.ping.is_some_and(|at| at <= now) {
        shared.queue(path, output, Bytes::from_static(PING));
        deadlines.ping = Some(now + shared.limits.ping);
    }
    None
}

async fn deliver(shared: &Shared, path: Path, mut bytes: Bytes, output: &Output) {
    shared.counts.received.fetch_add(1, Ordering::Relaxed);
    loop {
        match shared.sink.message(path, bytes) {
            Delivery::Taken => return,
            Delivery::Answered(answer) => return shared.queue(path, output, answer),
            Delivery::Later(back) => bytes = back,
        }
        tokio::time::sleep(OFFER_AGAIN).await;
    }
}

async fn write_all<W>(
    limit: Duration,
    output: &Output,
    mut queue: mpsc::UnboundedReceiver<Bytes>,
    mut write: W,
) -> Ended
where
    W: AsyncWrite + Unpin,
{
    let mut batch = Vec::with_capacity(WRITE_BATCH);
    let mut joined = BytesMut::new();
    loop {
        let count = queue.recv_many(&mut batch, WRITE_BATCH).await;
        if count == 0 {
            return Ended::ByUs;
        }
        joined.clear();
        for bytes in batch.drain(..) {
            joined.extend_from_slice(&bytes);
        }
        let written = timeout(limit, async {
            write.write_all(&joined).await?;
            write.flush().await
        });
        match written.await {
            Ok(Ok(())) => output.written(joined.len(), count),
            Ok(Err(error)) => return Ended::Io(error),
            Err(_) => return Ended::TooSlow,
        };
    }
}
