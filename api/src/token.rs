//! The administrator token: 32 random bytes in the data directory, for its owner only.

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// A secret that shows itself to nobody.
#[derive(Clone)]
pub struct Token(String);

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}")]
pub struct TokenError {
    path: PathBuf,
    source: io::Error,
}

const CHARACTERS: usize = 64;

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

impl Token {
    /// Where it is.
    pub fn path(data_directory: &Path) -> PathBuf {
        data_directory.join("token")
    }

    /// Reads it.
    pub fn read(data_directory: &Path) -> Result<Token, TokenError> {
        let path = Token::path(data_directory);
        let fail = |source| TokenError { path: path.clone(), source };
        let text = std::fs::read_to_string(&path).map_err(fail)?;
        let token = text.trim();
        if token.len() < CHARACTERS / 2 {
            let what = "too short to be safe; remove the file, and a start makes a new one";
            return Err(fail(io::Error::new(io::ErrorKind::InvalidData, what)));
        }
        Ok(Token(token.to_owned()))
    }

    /// Reads it, or makes one if there is none.
    pub fn read_or_create(data_directory: &Path) -> Result<Token, TokenError> {
        let path = Token::path(data_directory);
        if path.exists() {
            return Token::read(data_directory);
        }
        let fail = |source| TokenError { path: path.clone(), source };
        let mut bytes = [0; CHARACTERS / 2];
        getrandom::fill(&mut bytes).map_err(|error| fail(io::Error::other(error.to_string())))?;
        let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        write_private(&path, token.as_bytes()).map_err(fail)?;
        Ok(Token(token))
    }

    /// The text, for the command line of the same owner.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Is this it? Takes the same time wherever the first difference is: hashes are compared,
    /// whose bytes an attacker cannot steer.
    pub fn is(&self, shown: &str) -> bool {
        let (ours, theirs) = (Sha256::digest(&self.0), Sha256::digest(shown));
        ours.iter().zip(theirs.iter()).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
    }
}

/// A file that never was readable by others, not even for a moment.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.write_all(b"\n")?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_token_is_made_once_for_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Token::read(dir.path()).is_err());
        let made = Token::read_or_create(dir.path()).unwrap();
        let read = Token::read_or_create(dir.path()).unwrap();
        assert!(read.is(made.expose()));
        assert_eq!(made.expose().len(), CHARACTERS);
        let mode = std::fs::metadata(Token::path(dir.path())).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!made.is("") && !made.is(&made.expose()[1..]));
        assert_eq!(format!("{made:?}"), "Token(***)");
    }

    #[test]
    fn a_short_token_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(Token::path(dir.path()), "admin").unwrap();
        assert!(Token::read_or_create(dir.path()).is_err());
    }
}
