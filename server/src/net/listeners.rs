//! All sockets that the configuration names, bound before anything else starts, so that a port in
//! use ends the start with one sentence.

use std::net::SocketAddr;
use std::sync::Arc;

use config::{Listener, Transport};
use tokio::net::TcpListener;

use super::certificates::ListenerTls;
use super::{tcp, udp};
use crate::run::RunError;
use crate::settings;

/// A TCP listener's number and socket, and its TLS if it has one.
pub type StreamListener = (u16, TcpListener, Option<Arc<ListenerTls>>);

/// Bound sockets; a listener's number is its place in the configuration.
pub struct Bound {
    /// For each worker its own socket of every UDP listener.
    pub udp: Vec<Vec<(u16, socket2::Socket)>>,
    /// TCP and TLS.
    pub streams: Vec<StreamListener>,
    /// The addresses, by listener.
    pub addresses: Vec<SocketAddr>,
    /// The same as the endpoint wants to know them.
    pub advertised: Vec<sip::endpoint::Listener>,
    /// For people: `udp 0.0.0.0:5060`.
    pub names: Vec<String>,
}

impl Bound {
    /// The TLS listeners.
    pub fn tls(&self) -> Vec<Arc<ListenerTls>> {
        self.streams.iter().filter_map(|(.., tls)| tls.clone()).collect()
    }
}

/// Binds everything; call it inside the runtime.
pub fn bind(listeners: &[Listener], workers: u8) -> Result<Bound, RunError> {
    let mut bound = Bound {
        udp: (0..workers).map(|_| Vec::new()).collect(),
        streams: Vec::new(),
        addresses: Vec::new(),
        advertised: Vec::new(),
        names: Vec::new(),
    };
    for (number, listener) in (0u16..).zip(listeners) {
        let transport = settings::transport(listener.transport);
        let name = format!("{} {}", transport.uri_name(), listener.address);
        let error = |source| RunError::Socket { what: format!("listener {name}"), source };
        let address = match listener.transport {
            Transport::Udp => bind_udp(&mut bound, number, listener.address).map_err(error)?,
            Transport::Tcp | Transport::Tls => {
                let files = listener.tls.as_ref();
                let tls = files.map(|files| ListenerTls::read(&name, files)).transpose()?;
                let tls = tls.map(Arc::new);
                let socket = tcp::bind(listener.address).map_err(error)?;
                let address = socket.local_addr().map_err(error)?;
                bound.streams.push((number, socket, tls));
                address
            }
        };
        bound.addresses.push(address);
        bound.names.push(format!("{} {address}", transport.uri_name()));
        let advertised = settings::advertised(listener, address);
        bound.advertised.push(sip::endpoint::Listener { id: number, transport, advertised });
    }
    Ok(bound)
}

/// One socket a worker, all on the same port, also if any port will do.
fn bind_udp(bound: &mut Bound, number: u16, wanted: SocketAddr) -> std::io::Result<SocketAddr> {
    udp::probe(wanted)?;
    let mut address = wanted;
    for sockets in &mut bound.udp {
        let socket = udp::bind(address)?;
        if let Some(local) = socket.local_addr()?.as_socket() {
            address = local;
        }
        let buffer = socket.recv_buffer_size().unwrap_or(0);
        tracing::info!(%address, receive_buffer_bytes = buffer, "UDP socket");
        sockets.push((number, socket));
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_share_a_udp_port_and_a_second_process_does_not() {
        let listener =
            |address| Listener { transport: Transport::Udp, address, advertised: None, tls: None };
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let first = bind(&[listener(any)], 2).expect("any port will do");
        assert_eq!(first.udp.len(), 2);
        let taken = bind(&[listener(first.addresses[0])], 2);
        assert!(matches!(taken, Err(RunError::Socket { .. })));
    }
}
