//! Signals: the first SIGTERM or SIGINT asks for a graceful end, the second ends the process. SIGHUP
//! has certificates read again.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// Exit status of a process ended by a second signal.
const IMPATIENT: i32 = 130;

/// Listens to SIGHUP from now on, inside the runtime; before, it would end the process.
pub fn hangup() -> io::Result<Signal> {
    signal(SignalKind::hangup())
}

/// Starts to listen, inside the runtime; becomes true at the first signal.
pub fn listen() -> io::Result<watch::Receiver<bool>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (asked, receiver) = watch::channel(false);
    tokio::spawn(async move {
        let mut count = 0;
        loop {
            tokio::select! {
                Some(()) = terminate.recv() => {}
                Some(()) = interrupt.recv() => {}
                else => return,
            }
            count += 1;
            if count > 1 {
                tracing::warn!("second signal: ending at once");
                std::process::exit(IMPATIENT);
            }
            tracing::info!("ending: no new calls; a second signal ends at once");
            asked.send_replace(true);
        }
    });
    Ok(receiver)
}
