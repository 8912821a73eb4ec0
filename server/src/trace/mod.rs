//! SIP traces, switched on while calls run (V-39), and the export of messages to Homer. While nothing is
//! followed a message costs one relaxed load; while something is, a worker leaves a reference to it in a
//! bounded queue. A thread of low priority decides what belongs where: no worker ever waits for it, and
//! what finds no room is counted.

mod book;
mod groups;
mod hep;
mod ladder;
mod message;
mod pcapng;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use api::{NewTrace, TraceFormat, TraceView};
use bytes::Bytes;
use sip::transport::Path;
use switch::attribution::{Attribution, Following};
use vocabulary::CallId;

use crate::clock::Clock;
use crate::dispatch::{Dispatch, Letter};
use crate::net::streams::{Delivery, Sink};
use book::{Book, Trace};
pub use hep::Exporter;
use message::{Passed, Way};

/// Notes that wait for the thread, and their bytes.
const QUEUE_MAX: usize = 32_768;
const QUEUE_BYTES_MAX: usize = 16 << 20;
/// How often the thread looks: it is never woken, so that a note costs its sender no system call.
const LOOK_EACH: Duration = Duration::from_millis(10);
/// The same while nothing is followed: a trace that begins finds its first messages in the queue.
const LOOK_WHEN_OFF: Duration = Duration::from_millis(100);
/// How much less of a processor it gets than others, if both want it.
const NICE: i32 = 10;

/// What workers leave in the queue.
enum Note {
    Passed { passed: Passed, listener: u16 },
    Attributed(Box<Attribution>),
    Over(CallId),
}

impl Note {
    fn bytes(&self) -> usize {
        if let Note::Passed { passed, .. } = self { passed.bytes.len() } else { 0 }
    }
}

/// Counts since the start.
#[derive(Debug, Default)]
pub struct TraceCounts {
    /// Messages and attributions that found the queue full.
    pub dropped: AtomicU64,
    /// Messages sent to Homer.
    pub exported: AtomicU64,
    /// Messages that could not be sent there.
    pub not_exported: AtomicU64,
}

struct Shared {
    is_on: AtomicBool,
    is_ended: AtomicBool,
    waiting_bytes: AtomicUsize,
    counts: TraceCounts,
    book: Mutex<Book>,
    is_exported: bool,
}

impl Shared {
    /// A panic while the lock is held leaves lists that are all valid. So a poisoned lock is used on.
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where messages pass by; clones share it.
#[derive(Clone)]
pub struct Tap {
    clock: Clock,
    shared: Arc<Shared>,
    notes: SyncSender<Note>,
}

/// Makes the tap, and the end that a thread has to look after.
pub fn tap(clock: Clock, exporter: Option<Exporter>) -> (Tap, Reader) {
    let (notes, queue) = sync_channel(QUEUE_MAX);
    let is_exported = exporter.is_some();
    let shared = Arc::new(Shared {
        is_on: AtomicBool::new(is_exported),
        is_ended: AtomicBool::new(false),
        waiting_bytes: AtomicUsize::new(0),
        counts: TraceCounts::default(),
        book: Mutex::new(Book::new(is_exported)),
        is_exported,
    });
    let tap = Tap { clock, shared: Arc::clone(&shared), notes };
    (tap, Reader { clock, shared, queue, exporter })
}

impl Tap {
    /// A message came.
    pub fn received(&self, path: Path, bytes: &Bytes) {
        if self.is_on() {
            self.pass(Way::In, path, bytes);
        }
    }

    /// A message is sent.
    pub fn sent(&self, path: Path, bytes: &Bytes) {
        if self.is_on() {
            self.pass(Way::Out, path, bytes);
        }
    }

    /// Whose messages are.
    pub fn attributed(&self, attribution: Box<Attribution>) {
        if self.is_on() {
            self.note(Note::Attributed(attribution));
        }
    }

    /// A call is over.
    pub fn over(&self, call: CallId) {
        if self.is_on() {
            self.note(Note::Over(call));
        }
    }

    /// Counts since the start.
    pub fn counts(&self) -> &TraceCounts {
        &self.shared.counts
    }

    /// How many traces run.
    pub fn running(&self) -> usize {
        self.shared.book().traces().filter(|trace| trace.is_running).count()
    }

    fn is_on(&self) -> bool {
        self.shared.is_on.load(Ordering::Relaxed)
    }

    fn pass(&self, way: Way, path: Path, bytes: &Bytes) {
        let Path { transport, listener, remote, .. } = path;
        let (at, bytes) = (self.clock.now().utc, bytes.clone());
        // Its thread knows where the listeners are.
        let passed = Passed { at, way, transport, local: remote, remote, bytes };
        self.note(Note::Passed { passed, listener });
    }

    /// Leaves a note, if there is room.
    fn note(&self, note: Note) {
        let Shared { waiting_bytes, counts, .. } = &*self.shared;
        let bytes = note.bytes();
        let waiting = waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        if waiting + bytes > QUEUE_BYTES_MAX || self.notes.try_send(note).is_err() {
            waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    // For the API.

    /// Begins a trace and has all workers say whose messages are.
    pub fn begin(&self, dispatch: &Dispatch, asked: NewTrace) -> Result<TraceView, String> {
        let NewTrace { followed, label, length } = asked;
        let mut book = self.shared.book();
        let begun = book.begin(self.clock.now().utc, followed, label, length);
        let id = begun.map_err(|why| why.to_string())?;
        self.shared.is_on.store(true, Ordering::Relaxed);
        // While the book is locked: nobody ends the following in between.
        dispatch.send_all(|| Letter::Follow(Following::Also(followed)));
        Ok(view(book.trace(id).expect("begun just now")))
    }

    /// All traces, the oldest first.
    pub fn traces(&self) -> Vec<TraceView> {
        self.shared.book().traces().map(view).collect()
    }

    /// Ends a trace, which is kept.
    pub fn end(&self, id: u64) -> Option<TraceView> {
        let mut book = self.shared.book();
        book.end(self.clock.now().utc, id);
        book.trace(id).map(view)
    }

    /// Forgets a trace; false if there is none.
    pub fn remove(&self, id: u64) -> bool {
        self.shared.book().remove(id)
    }

    /// The messages of a trace.
    pub fn messages(&self, id: u64, format: TraceFormat) -> Option<Vec<u8>> {
        // References: what takes long is done without the lock.
        let messages = self.shared.book().trace(id).map(Trace::messages)?;
        Some(match format {
            TraceFormat::Json => ladder::as_json(&messages).to_string().into_bytes(),
            TraceFormat::Ladder => ladder::ladder(&messages).into_bytes(),
            TraceFormat::Text => ladder::in_full(&messages).into_bytes(),
            TraceFormat::Pcapng => {
                pcapng::file(&messages, concat!("Tandem ", env!("CARGO_PKG_VERSION")))
            }
        })
    }

    /// The thread ends soon.
    pub fn finish(&self) {
        self.shared.is_ended.store(true, Ordering::Relaxed);
    }
}

fn view(trace: &Trace) -> TraceView {
    TraceView {
        id: trace.id,
        label: trace.label.clone(),
        since: trace.since,
        until: trace.until,
        is_running: trace.is_running,
        messages: trace.count() as u64,
        bytes: trace.bytes() as u64,
        dialogs: trace.dialogs() as u64,
        missed: trace.missed,
    }
}

/// The other end of the tap.
pub struct Reader {
    clock: Clock,
    shared: Arc<Shared>,
    queue: Receiver<Note>,
    exporter: Option<Exporter>,
}

impl Reader {
    /// Looks after the notes in a thread of its own, until [`Tap::finish`]. `listeners` are their bound
    /// addresses, by number.
    pub fn start(
        mut self,
        listeners: Vec<SocketAddr>,
        dispatch: Dispatch,
    ) -> std::io::Result<JoinHandle<()>> {
        std::thread::Builder::new().name("trace".into()).spawn(move || {
            if let Err(error) = rustix::process::nice(NICE) {
                tracing::debug!(%error, "traces keep the usual priority");
            }
            if self.shared.is_exported {
                dispatch.send_all(|| Letter::Follow(Following::Everything));
            }
            while !self.shared.is_ended.load(Ordering::Relaxed) {
                self.look(&listeners);
                if !self.is_wanted(&dispatch) {
                    self.look(&listeners);
                }
                let is_on = self.shared.is_on.load(Ordering::Relaxed);
                std::thread::sleep(if is_on { LOOK_EACH } else { LOOK_WHEN_OFF });
            }
        })
    }

    /// Takes all notes that are there.
    fn look(&mut self, listeners: &[SocketAddr]) {
        while let Ok(note) = self.queue.try_recv() {
            self.shared.waiting_bytes.fetch_sub(note.bytes(), Ordering::Relaxed);
            self.take(note, listeners);
        }
    }

    fn take(&mut self, note: Note, listeners: &[SocketAddr]) {
        let mut book = self.shared.book();
        match note {
            Note::Attributed(attribution) => book.attributed(&attribution),
            Note::Over(call) => book.over(self.clock.now().utc, call),
            Note::Passed { mut passed, listener } => {
                let Some(local) = listeners.get(usize::from(listener)) else { return };
                passed.local = *local;
                let Some(exporter) = &mut self.exporter else {
                    book.passed(passed);
                    return;
                };
                let masked = passed.masked();
                let correlation = book.passed(passed);
                drop(book);
                let counts = &self.shared.counts;
                let counter = match exporter.send(&masked, correlation.as_deref()) {
                    true => &counts.exported,
                    false => &counts.not_exported,
                };
                counter.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Whether anything is still followed. If not, workers stop leaving notes.
    fn is_wanted(&self, dispatch: &Dispatch) -> bool {
        let is_on = self.shared.is_on.load(Ordering::Relaxed);
        let mut book = self.shared.book();
        if !is_on || book.expire(self.clock.now().utc) || self.shared.is_exported {
            return true;
        }
        self.shared.is_on.store(false, Ordering::Relaxed);
        dispatch.send_all(|| Letter::Follow(Following::Nothing));
        false
    }
}

/// What comes by TCP and TLS passes by the tap on its way to the workers.
pub struct Tapped {
    /// Where it goes.
    pub dispatch: Dispatch,
    /// What it passes by.
    pub tap: Tap,
}

impl Sink for Tapped {
    fn message(&self, path: Path, bytes: Bytes) -> Delivery {
        let seen = self.tap.is_on().then(|| bytes.clone());
        let delivery = self.dispatch.message(path, bytes);
        // What finds no room is offered again.
        if let (Some(seen), false) = (seen, matches!(delivery, Delivery::Later(_))) {
            self.tap.pass(Way::In, path, &seen);
        }
        if let Delivery::Answered(answer) = &delivery {
            self.tap.sent(path, answer);
        }
        delivery
    }

    fn path_failed(&self, path: Path) {
        self.dispatch.path_failed(path);
    }

    fn path_idle(&self, path: Path) -> bool {
        self.dispatch.path_idle(path)
    }
}

#[cfg(test)]
mod tests {
    use sip::transport::Transport;
    use switch::attribution::Followed;

    use super::*;
    use crate::mailbox::{Mailbox, mailbox};

    const CUSTOMER: &str = "192.0.2.1:5060";
    const TEXT: &[u8] = b"OPTIONS sip:b SIP/2.0\r\nCall-ID: a\r\nCSeq: 1 OPTIONS\r\n\r\n";

    struct World {
        tap: Tap,
        reader: Reader,
        dispatch: Dispatch,
        mailbox: Mailbox<Letter>,
    }

    fn world() -> World {
        let (tap, reader) = tap(Clock::start(), None);
        let (post, mailbox) = mailbox(100).unwrap();
        let dispatch = Dispatch::new(vec![post], 100, Duration::from_secs(5));
        World { tap, reader, dispatch, mailbox }
    }

    impl World {
        fn begin(&self, length: Duration) -> u64 {
            let followed = Followed::Address(CUSTOMER.parse::<SocketAddr>().unwrap().ip());
            let asked = NewTrace { followed, label: "it".into(), length };
            self.tap.begin(&self.dispatch, asked).unwrap().id
        }

        fn receive(&self) {
            let path = Path {
                transport: Transport::Udp,
                listener: 0,
                connection: 0,
                remote: CUSTOMER.parse().unwrap(),
            };
            self.tap.received(path, &Bytes::from_static(TEXT));
        }

        fn look(&mut self) {
            self.reader.look(&["192.0.2.9:5060".parse().unwrap()]);
        }

        /// What the worker was told of following.
        fn told(&mut self) -> Vec<Following> {
            let mut letters = Vec::new();
            self.mailbox.take(&mut letters);
            let told = |letter| match letter {
                Letter::Follow(following) => Some(following),
                _ => None,
            };
            letters.into_iter().filter_map(told).collect()
        }
    }

    #[test]
    fn messages_are_noted_only_while_a_trace_runs() {
        // V-39
        let mut world = world();
        world.receive();
        world.look();
        assert_eq!(world.tap.shared.waiting_bytes.load(Ordering::Relaxed), 0);
        let id = world.begin(Duration::from_secs(60));
        assert!(matches!(world.told()[..], [Following::Also(_)]));
        world.receive();
        world.look();
        assert_eq!(world.tap.traces()[0].messages, 1);
        assert!(world.reader.is_wanted(&world.dispatch));
        world.tap.end(id);
        assert!(!world.reader.is_wanted(&world.dispatch));
        assert_eq!(world.told(), [Following::Nothing]);
        world.receive();
        world.look();
        // It is kept, and gives its messages in every form.
        assert_eq!(world.tap.traces()[0].messages, 1);
        let text = |format| String::from_utf8(world.tap.messages(id, format).unwrap()).unwrap();
        assert!(text(TraceFormat::Ladder).contains("OPTIONS"));
        assert!(text(TraceFormat::Text).contains("Call-ID: a\n"));
        assert!(text(TraceFormat::Json).contains("\"remote\":\"192.0.2.1:5060\""));
        assert!(world.tap.messages(id, TraceFormat::Pcapng).is_some());
        assert!(world.tap.remove(id) && world.tap.messages(id, TraceFormat::Json).is_none());
    }

    #[test]
    fn its_time_ends_it() {
        let mut world = world();
        world.begin(Duration::ZERO);
        assert!(!world.reader.is_wanted(&world.dispatch));
        assert!(!world.tap.is_on() && !world.tap.traces()[0].is_running);
        assert_eq!(world.told().last(), Some(&Following::Nothing));
    }

    #[test]
    fn what_nobody_takes_is_bounded_and_counted() {
        let mut world = world();
        world.begin(Duration::from_secs(60));
        for _ in 0..QUEUE_MAX + 5 {
            world.receive();
        }
        assert_eq!(world.tap.counts().dropped.load(Ordering::Relaxed), 5);
        let waiting = world.tap.shared.waiting_bytes.load(Ordering::Relaxed);
        assert_eq!(waiting, QUEUE_MAX * TEXT.len());
        world.look();
        assert_eq!(world.tap.shared.waiting_bytes.load(Ordering::Relaxed), 0);
    }
}
