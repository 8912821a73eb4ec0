//! How other threads speak to a worker: a bounded queue behind one short lock, and an eventfd that
//! is written only when the worker sleeps. A busy worker costs its senders no system call.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};

struct Shared<T> {
    queue: Mutex<Vec<T>>,
    /// Mirrors `queue.len()`, so that a sender can look without the lock.
    length: AtomicUsize,
    limit: usize,
    asleep: AtomicBool,
    wake: EventFd,
}

impl<T> Shared<T> {
    fn queue(&self) -> MutexGuard<'_, Vec<T>> {
        // A sender that panicked left a whole queue behind: `push` is its only change.
        self.queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The receiving end; one a worker.
pub struct Mailbox<T> {
    shared: Arc<Shared<T>>,
}

/// The sending end; clone it freely.
pub struct Post<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Clone for Post<T> {
    fn clone(&self) -> Post<T> {
        Post { shared: Arc::clone(&self.shared) }
    }
}

/// A mailbox that holds at most `limit` letters.
pub fn mailbox<T>(limit: usize) -> io::Result<(Post<T>, Mailbox<T>)> {
    let wake = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?;
    let shared = Arc::new(Shared {
        queue: Mutex::new(Vec::new()),
        length: AtomicUsize::new(0),
        limit,
        asleep: AtomicBool::new(false),
        wake,
    });
    Ok((Post { shared: Arc::clone(&shared) }, Mailbox { shared }))
}

impl<T> Post<T> {
    /// Leaves a letter and wakes the worker if it sleeps. A full mailbox gives it back.
    pub fn send(&self, letter: T) -> Result<(), T> {
        {
            let mut queue = self.shared.queue();
            if queue.len() >= self.shared.limit {
                return Err(letter);
            }
            queue.push(letter);
            self.shared.length.store(queue.len(), Ordering::Relaxed);
        }
        self.wake();
        Ok(())
    }

    /// As `send`, beyond the limit too: for letters that come once and must not be lost (a new
    /// directory, the end). Never for anything a peer can cause.
    pub fn send_always(&self, letter: T) {
        {
            let mut queue = self.shared.queue();
            queue.push(letter);
            self.shared.length.store(queue.len(), Ordering::Relaxed);
        }
        self.wake();
    }

    /// How many letters wait.
    pub fn length(&self) -> usize {
        self.shared.length.load(Ordering::Relaxed)
    }

    /// Wakes the worker without a letter.
    pub fn wake(&self) {
        // The lock taken above (or by the caller's own state) orders this load after the worker's
        // announcement in `is_empty_before_sleep`.
        if self.shared.asleep.swap(false, Ordering::SeqCst) {
            match self.shared.wake.write(1) {
                // A full counter means the worker has a wake-up waiting anyway.
                Ok(_) | Err(Errno::EAGAIN) => {}
                Err(error) => tracing::error!(%error, "cannot wake a worker"),
            }
        }
    }
}

impl<T> Mailbox<T> {
    /// Moves all letters, oldest first, into `into`, which must be empty; its capacity is kept for
    /// the senders.
    pub fn take(&self, into: &mut Vec<T>) {
        debug_assert!(into.is_empty());
        if self.shared.length.load(Ordering::Relaxed) == 0 && self.shared.queue().is_empty() {
            return;
        }
        let mut queue = self.shared.queue();
        std::mem::swap(&mut *queue, into);
        self.shared.length.store(0, Ordering::Relaxed);
    }

    /// Announces that the worker is about to wait for `fd()`. If this returns false a letter is
    /// already there and the worker must not wait.
    pub fn is_empty_before_sleep(&self) -> bool {
        self.shared.asleep.store(true, Ordering::SeqCst);
        let empty = self.shared.queue().is_empty();
        if !empty {
            self.shared.asleep.store(false, Ordering::SeqCst);
        }
        empty
    }

    /// Ends what `is_empty_before_sleep` began; call it after every wait.
    pub fn awake(&self) {
        if !self.shared.asleep.swap(false, Ordering::SeqCst) {
            // Somebody saw us asleep and wrote, or is about to; a write that comes later only
            // costs one empty round.
            let _ = self.shared.wake.read();
        }
    }

    /// What to poll for readability while asleep.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.shared.wake.as_fd()
    }

    /// How many letters wait.
    pub fn length(&self) -> usize {
        self.shared.length.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    fn readable(mailbox: &Mailbox<u32>, timeout: PollTimeout) -> bool {
        let mut fds = [PollFd::new(mailbox.fd(), PollFlags::POLLIN)];
        poll(&mut fds, timeout).unwrap() == 1
    }

    #[test]
    fn letters_arrive_in_order_and_the_limit_holds() {
        let (post, mailbox) = mailbox(2).unwrap();
        assert_eq!(post.send(1), Ok(()));
        assert_eq!(post.send(2), Ok(()));
        assert_eq!(post.send(3), Err(3));
        post.send_always(4);
        assert_eq!(post.length(), 3);
        let mut taken = Vec::new();
        mailbox.take(&mut taken);
        assert_eq!(taken, [1, 2, 4]);
        assert_eq!(mailbox.length(), 0);
        assert_eq!(post.send(5), Ok(()));
    }

    #[test]
    fn a_sleeping_worker_is_woken_and_a_busy_one_is_not() {
        let (post, mailbox) = mailbox(8).unwrap();
        post.send(1).unwrap();
        assert!(!readable(&mailbox, PollTimeout::ZERO), "nobody sleeps");
        assert!(!mailbox.is_empty_before_sleep(), "a letter is there");
        let mut taken = Vec::new();
        mailbox.take(&mut taken);
        assert!(mailbox.is_empty_before_sleep());
        post.send(2).unwrap();
        assert!(readable(&mailbox, PollTimeout::ZERO));
        mailbox.awake();
        assert!(!readable(&mailbox, PollTimeout::ZERO), "the wake-up is used up");
    }

    #[test]
    fn no_letter_is_lost_between_two_threads() {
        let (post, mailbox) = mailbox(64).unwrap();
        let sender = std::thread::spawn(move || {
            for letter in 0..20_000u32 {
                let mut letter = letter;
                while let Err(back) = post.send(letter) {
                    letter = back;
                    std::thread::yield_now();
                }
            }
        });
        let (mut seen, mut taken) = (0, Vec::new());
        while seen < 20_000 {
            mailbox.take(&mut taken);
            for letter in taken.drain(..) {
                assert_eq!(letter, seen);
                seen += 1;
            }
            if mailbox.is_empty_before_sleep() && seen < 20_000 {
                assert!(readable(&mailbox, PollTimeout::from(10_000u16)), "never woken");
            }
            mailbox.awake();
        }
        sender.join().unwrap();
    }
}
