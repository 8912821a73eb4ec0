//! Somebody else who signs callers: a certificate that may (RFC 8226), a web server that has it, and
//! PASSporTs (RFC 8225) of this moment.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

/// The certificate of whoever signs, and its key.
const CERTIFICATE: &str = "sti.pem";
const KEY: &str = "sti.key";
/// 1.3.6.1.5.5.7.1.26, the TNAuthList: service provider code 709J.
const LIST: &str = "1.3.6.1.5.5.7.1.26=DER:30:08:a0:06:16:04:37:30:39:4a";

/// Makes the certificate, signed by who vouches for peers (`peers.pem`).
pub(super) fn certificate(dir: &Path) -> Result<(), String> {
    let signer = ["-keyout", KEY, "-out", CERTIFICATE, "-subj", "/CN=STI"];
    let signed = ["-CA", "peers.pem", "-CAkey", "peers.key"];
    let kind = ["-addext", "basicConstraints=CA:FALSE"];
    super::tandem::openssl(dir, &[&signer[..], &signed[..], &kind[..]].concat(), LIST)
}

/// Where the certificate is, for whoever verifies.
pub(super) fn url(port: u16) -> String {
    format!("https://127.0.0.1:{port}/{CERTIFICATE}")
}

/// `openssl s_server` with the files of a run, as long as this lives.
pub(super) struct Web(Child);

impl Web {
    /// Listens with the certificate `peer.crt`.
    pub(super) fn serve(dir: &Path, port: u16) -> Result<Web, String> {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let child = Command::new("openssl")
            .args(["s_server", "-WWW", "-quiet", "-accept", &address.to_string()])
            .args(["-cert", "peer.crt", "-key", "peer.key"])
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| format!("cannot run openssl: {e}"))?;
        let web = Web(child);
        let deadline = Instant::now() + Duration::from_secs(5);
        while TcpStream::connect(address).is_err() {
            if Instant::now() > deadline {
                return Err(format!("openssl does not listen at {address}"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(web)
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A PASSporT of now with attestation A, signed by openssl.
pub(super) fn passport(dir: &Path, port: u16, from: &str, to: &str) -> Result<String, String> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let iat = now.map_err(|e| e.to_string())?.as_secs();
    let x5u = url(port);
    let header = format!(r#"{{"alg":"ES256","ppt":"shaken","typ":"passport","x5u":"{x5u}"}}"#);
    let claims = format!(
        r#"{{"attest":"A","dest":{{"tn":["{to}"]}},"iat":{iat},"orig":{{"tn":"{from}"}},"origid":"00000000-0000-4000-8000-000000000001"}}"#
    );
    let said = format!("{}.{}", base64url(header.as_bytes()), base64url(claims.as_bytes()));
    fs::write(dir.join("said"), &said).map_err(|e| e.to_string())?;
    let output = Command::new("openssl")
        .args(["dgst", "-sha256", "-sign", KEY, "said"])
        .current_dir(dir)
        .output()
        .map_err(|e| format!("cannot run openssl: {e}"))?;
    let signature = fixed(&output.stdout).ok_or("openssl signs in a way that we cannot read")?;
    Ok(format!("{said}.{}", base64url(&signature)))
}

/// RFC 7518 section 3.4 has both numbers in 32 bytes each, where openssl has DER.
fn fixed(der: &[u8]) -> Option<Vec<u8>> {
    let mut rest = der.strip_prefix(&[0x30])?.get(1..)?;
    let mut both = Vec::new();
    for _ in 0..2 {
        let length = usize::from(*rest.strip_prefix(&[2])?.first()?);
        let number = rest.get(2..2 + length)?;
        let number = number.strip_prefix(&[0]).unwrap_or(number);
        both.extend(std::iter::repeat_n(0, 32usize.checked_sub(number.len())?));
        both.extend_from_slice(number);
        rest = &rest[2 + length..];
    }
    Some(both)
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn base64url(bytes: &[u8]) -> String {
    let mut text = Vec::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0, |word, byte| word << 8 | usize::from(*byte));
        let word = word << (8 * (3 - chunk.len()));
        let signs = (0..=chunk.len()).map(|place| ALPHABET[word >> (18 - 6 * place) & 0x3f]);
        text.extend(signs);
    }
    String::from_utf8(text).unwrap_or_default()
}
