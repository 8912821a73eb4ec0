//! The log on stderr. A thread of its own writes it, so that a reader that has stopped (a full pipe, a
//! stuck terminal) stops neither workers nor the API: what finds no room is left out and counted.

use std::io::{IsTerminal as _, Write};
use std::sync::OnceLock;

use config::{Config, LogFormat};
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

/// Lines that may wait for the reader; some 3 MB of usual ones.
const LINES_WAITING_MAX: usize = 16_384;

static LEFT_OUT: OnceLock<ErrorCounter> = OnceLock::new();

/// Begins the log as `log.level` or `RUST_LOG` and `log.format` say. It is written out when the guard
/// goes. Call it once.
///
/// # Errors
/// A sentence, if the filter cannot be read.
pub fn start(config: &Config) -> Result<WorkerGuard, String> {
    let level = std::env::var("RUST_LOG").unwrap_or_else(|_| config.log.level.clone());
    let filter = EnvFilter::try_new(&level)
        .map_err(|error| format!("log.level = {level:?}: {error}; write info, or a filter"))?;
    let (writer, guard) = beside(std::io::stderr(), LINES_WAITING_MAX);
    LEFT_OUT.get_or_init(|| writer.error_counter());
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(writer);
    match config.log.format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    Ok(guard)
}

/// Lines that found no room, since the start.
pub fn lines_left_out() -> u64 {
    LEFT_OUT.get().map_or(0, |counter| counter.dropped_lines() as u64)
}

/// A thread that writes to `stream`; whoever has a line for it never waits.
fn beside(stream: impl Write + Send + 'static, lines_max: usize) -> (NonBlocking, WorkerGuard) {
    NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(lines_max)
        .thread_name("log")
        .finish(stream)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    /// Writes nothing until its other end is gone, as a pipe that nobody reads.
    struct Stuck(Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let _ = self.0.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stuck_reader_stops_nobody_and_what_it_misses_is_counted() {
        let (stuck, receiver) = channel();
        let (mut writer, guard) = beside(Stuck(receiver), 4);
        for _ in 0..100 {
            writer.write_all(b"a line\n").unwrap();
        }
        // Four wait, and one may be in the hands of the thread.
        let left_out = writer.error_counter().dropped_lines();
        assert!((95..=96).contains(&left_out), "{left_out}");
        drop(stuck);
        drop(guard);
    }
}
