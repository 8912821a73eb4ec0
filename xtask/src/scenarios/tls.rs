//! TLS for a SIPp that was built without it (Debian's): a port of ours that takes one TCP
//! connection and passes it on through `openssl s_client`, and one that takes one TLS connection by
//! `openssl s_server` and passes it on to SIPp.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

/// Listens at `here` and bridges the first connection to the TLS listener at `target`.
///
/// Shows the certificate `peer.crt` in `shows`, if there is one.
pub(crate) fn bridge(
    here: SocketAddr,
    target: SocketAddr,
    shows: Option<&Path>,
) -> Result<(), String> {
    let listener = TcpListener::bind(here).map_err(|e| format!("{here}: {e}"))?;
    let mut client = s_client(&target.to_string());
    if let Some(dir) = shows {
        client.arg("-cert").arg(dir.join("peer.crt")).arg("-key").arg(dir.join("peer.key"));
    }
    std::thread::spawn(move || {
        let Ok((stream, _)) = listener.accept() else { return };
        let Ok(mut child) = client.spawn() else { return };
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

/// Takes one TLS connection at `here`, with the certificate `peer.crt` in `dir`, and passes it on to the
/// SIPp that listens at `target`.
pub(crate) fn accept(here: SocketAddr, target: SocketAddr, dir: &Path) -> Result<(), String> {
    let mut child = Command::new("openssl")
        .args(["s_server", "-quiet", "-naccept", "1", "-accept", &here.to_string()])
        .args(["-cert", "peer.crt", "-key", "peer.key"])
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| format!("cannot run openssl: {e}"))?;
    let (Some(to_peer), Some(mut from_peer)) = (child.stdin.take(), child.stdout.take()) else {
        return Err("openssl has no pipes".to_string());
    };
    std::thread::spawn(move || {
        // SIPp may not listen yet; when something has come, it does.
        let mut first = [0; 16 * 1024];
        let Ok(length) = from_peer.read(&mut first) else { return };
        let Ok(mut stream) = TcpStream::connect(target) else { return };
        if stream.write_all(&first[..length]).is_ok()
            && let Ok(reader) = stream.try_clone()
        {
            std::thread::spawn(move || copy(reader, to_peer));
            copy(from_peer, stream);
        }
        let _ = child.kill();
        let _ = child.wait();
    });
    Ok(())
}

fn s_client(target: &str) -> Command {
    let mut command = Command::new("openssl");
    command
        .args(["s_client", "-quiet", "-connect", target])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

fn copy(mut from: impl Read, mut to: impl Write) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(length) = from.read(&mut buffer) {
        if length == 0 || to.write_all(&buffer[..length]).is_err() || to.flush().is_err() {
            return;
        }
    }
}
