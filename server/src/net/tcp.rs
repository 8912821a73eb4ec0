//! TCP and TLS listeners: accept, admit, hand over to a connection's task.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use sip::transport::Transport;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::time::{Duration, timeout};

use super::certificates::ListenerTls;
use super::connection;
use super::streams::Streams;

/// How many connections the kernel completes while we are not looking.
const BACKLOG: i32 = 1024;
/// The pause when the process is out of file descriptors.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Binds a listener; call it inside the runtime.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Accepts for ever; drop the task to stop. `tls` makes it a TLS listener.
pub async fn accept(
    listener: TcpListener,
    number: u16,
    tls: Option<Arc<ListenerTls>>,
    streams: Streams,
) {
    let transport = if tls.is_some() { Transport::Tls } else { Transport::Tcp };
    loop {
        let (stream, remote) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        let shared = Arc::clone(&streams.shared);
        let Some(opened) = shared.admit(transport, number, remote) else {
            tracing::debug!(%remote, "connection refused: too many, or its source is banned");
            continue;
        };
        let tls = tls.clone();
        tokio::spawn(async move {
            let path = opened.path;
            if let Err(error) = connection::prepare(&stream) {
                tracing::debug!(%remote, %error, "connection lost before it began");
                return shared.forget(path);
            }
            let Some(tls) = tls else {
                return connection::serve(shared, opened, stream).await;
            };
            match timeout(shared.limits.first_message, tls.acceptor().accept(stream)).await {
                Ok(Ok(stream)) => {
                    shared.tls.shown(path.connection, stream.get_ref().1.peer_certificates());
                    connection::serve(shared, opened, stream).await;
                }
                Ok(Err(error)) => {
                    refused(remote, &error);
                    shared.forget(path);
                }
                Err(_) => shared.forget(path),
            }
        });
    }
}

/// Who guards a listener with certificates wants to know whose was not good enough; other handshakes
/// fail all day.
fn refused(remote: SocketAddr, error: &io::Error) {
    use rustls::Error::{InvalidCertificate, NoCertificatesPresented};
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(InvalidCertificate(_) | NoCertificatesPresented) => {
            tracing::warn!(%remote, %error, "a peer's certificate is refused");
        }
        _ => tracing::debug!(%remote, %error, "TLS handshake failed"),
    }
}
