//! A web server that knows a few paths: what calls ask of the outside.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Runs until it is dropped.
pub(super) struct Web {
    port: u16,
    is_over: Arc<AtomicBool>,
}

impl Web {
    pub(super) fn serve(port: u16, answers: BTreeMap<String, String>) -> Result<Web, String> {
        let listener = TcpListener::bind(("127.0.0.1", port)).map_err(|e| format!("web: {e}"))?;
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let answers = Arc::new(answers);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let answers = Arc::clone(&answers);
                // A peer that goes away in the middle ends its own thread.
                thread::spawn(move || drop(converse(stream, &answers)));
            }
        });
        Ok(Web { port, is_over })
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // So that it looks.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

/// One request after the other; bodies are not expected.
fn converse(stream: TcpStream, answers: &BTreeMap<String, String>) -> std::io::Result<()> {
    let mut writer = stream.try_clone()?;
    let mut lines = BufReader::new(stream).lines();
    while let Some(first) = lines.next().transpose()? {
        let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
        // Its headers.
        while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
        let Some(answer) = answers.get(&path) else { continue };
        let length = answer.len();
        write!(writer, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{answer}")?;
    }
    Ok(())
}
