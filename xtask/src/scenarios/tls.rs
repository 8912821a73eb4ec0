//! TLS for a SIPp that was built without it (Debian's): a port of ours that takes one TCP
//! connection and passes it on through `openssl s_client`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

/// Listens at `here` and bridges the first connection to the TLS listener at `target`.
pub(crate) fn bridge(here: SocketAddr, target: SocketAddr) -> Result<(), String> {
    let listener = TcpListener::bind(here).map_err(|e| format!("{here}: {e}"))?;
    let target = target.to_string();
    std::thread::spawn(move || {
        let Ok((stream, _)) = listener.accept() else { return };
        let Ok(mut child) = s_client(&target) else { return };
        let (Some(to_peer), Some(from_peer)) = (child.stdin.take(), child.stdout.take()) else {
            return;
        };
        let Ok(reader) = stream.try_clone() else { return };
        let upward = std::thread::spawn(move || copy(reader, to_peer));
        copy(from_peer, stream);
        let _ = upward.join();
        let _ = child.kill();
        let _ = child.wait();
    });
    Ok(())
}

fn s_client(target: &str) -> std::io::Result<Child> {
    Command::new("openssl")
        .args(["s_client", "-quiet", "-connect", target])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
}

fn copy(mut from: impl Read, mut to: impl Write) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(length) = from.read(&mut buffer) {
        if length == 0 || to.write_all(&buffer[..length]).is_err() || to.flush().is_err() {
            return;
        }
    }
}
