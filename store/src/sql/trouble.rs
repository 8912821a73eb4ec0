//! What an error of either database means to an operator.

use std::io;

use sqlx::Error;

use crate::directory::DatabaseTrouble;

/// Whether this is something that an operator can mend.
pub(crate) fn trouble(error: &Error) -> Option<DatabaseTrouble> {
    match error {
        // Only SQLite: a server that does not answer in time is `silent`.
        Error::PoolTimedOut => Some(DatabaseTrouble::Locked),
        Error::Io(_) | Error::Tls(_) => Some(DatabaseTrouble::Away),
        Error::Database(error) => {
            let code = error.code()?;
            if error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().is_some() {
                return of_postgres(&code);
            }
            of_sqlite(code.parse().ok()?)
        }
        _ => None,
    }
}

/// The primary result code (sqlite.org/rescode.html) is the low byte of the extended one.
fn of_sqlite(code: u32) -> Option<DatabaseTrouble> {
    match code & 0xff {
        5 | 6 => Some(DatabaseTrouble::Locked),
        13 => Some(DatabaseTrouble::DiskFull),
        8 | 10 | 14 => Some(DatabaseTrouble::NotWritable),
        _ => None,
    }
}

/// The first two characters are the class (PostgreSQL's documentation, appendix A).
fn of_postgres(code: &str) -> Option<DatabaseTrouble> {
    match (code.get(..2)?, code) {
        (_, "53100") => Some(DatabaseTrouble::DiskFull),
        (_, "55P03") => Some(DatabaseTrouble::Locked),
        // Connection, too few resources, an operator's intervention such as a shutdown.
        ("08" | "53" | "57", _) => Some(DatabaseTrouble::Away),
        (_, "25006") | ("58", _) => Some(DatabaseTrouble::NotWritable),
        _ => None,
    }
}

/// A server that gives no connection in time has gone, or hangs.
pub(super) fn silent(error: Error) -> Error {
    match error {
        Error::PoolTimedOut => {
            Error::Io(io::Error::new(io::ErrorKind::TimedOut, "PostgreSQL does not answer"))
        }
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_both_databases_say_what_to_mend() {
        assert_eq!(of_sqlite(261), Some(DatabaseTrouble::Locked));
        assert_eq!(of_sqlite(1555), None);
        assert_eq!(of_postgres("57P03"), Some(DatabaseTrouble::Away));
        assert_eq!(of_postgres("53100"), Some(DatabaseTrouble::DiskFull));
        assert_eq!(of_postgres("55P03"), Some(DatabaseTrouble::Locked));
        assert_eq!(of_postgres("23505"), None);
        assert_eq!(trouble(&silent(Error::PoolTimedOut)), Some(DatabaseTrouble::Away));
    }
}
