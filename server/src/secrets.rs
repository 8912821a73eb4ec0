//! Random secrets: those of this start, and those that must survive it.

use std::io;

use store::directory::{ChangeError, DirectoryStore};

/// The setting that holds the key of digest nonces.
const NONCE_SETTING: &str = "nonce_secret";

/// What the shards are seeded with.
#[derive(Clone)]
pub struct Secrets {
    /// Tags, branches and the keys of maps; new at each start.
    pub seed: u64,
    /// Signs digest nonces. Kept, so that phones are not asked again after a restart.
    pub nonce: [u8; 32],
}

/// Why there are none.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// The machine gives no random bytes.
    #[error("no random bytes: {0}")]
    Random(#[from] io::Error),
    /// They cannot be kept.
    #[error(transparent)]
    Store(#[from] ChangeError),
}

/// A seed that nobody can guess.
pub fn fresh_seed() -> io::Result<u64> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

/// Reads the kept secret, or makes it, and draws the others.
pub async fn load(store: &DirectoryStore) -> Result<Secrets, SecretsError> {
    let seed = fresh_seed()?;
    let kept = store.setting(NONCE_SETTING).await?;
    if let Some(nonce) = kept.as_deref().and_then(read_hex) {
        return Ok(Secrets { seed, nonce });
    }
    let mut nonce = [0; 32];
    getrandom::fill(&mut nonce).map_err(io::Error::from)?;
    let text: String = nonce.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut change = store.begin().await?;
    change.set_setting(NONCE_SETTING, &text).await?;
    change.commit().await?;
    Ok(Secrets { seed, nonce })
}

fn read_hex(text: &str) -> Option<[u8; 32]> {
    let mut nonce = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, pair) in nonce.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(nonce)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_secrets_are_read() {
        assert_eq!(read_hex(&"0f".repeat(32)), Some([15; 32]));
        assert_eq!(read_hex(&"0f".repeat(31)), None);
        assert_eq!(read_hex(&"zz".repeat(32)), None);
        assert_eq!(read_hex(&"ä".repeat(32)), None);
    }
}
