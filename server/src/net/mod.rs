//! Sockets: UDP inside the workers, TCP, TLS and DNS on the runtime.

pub mod certificates;
mod connection;
pub mod http;
pub mod listeners;
pub mod lookup;
pub mod overload;
pub mod resolver;
pub mod shield;
pub mod streams;
pub mod stun;
pub mod tcp;
pub mod tls;
pub mod udp;
pub mod x509;
