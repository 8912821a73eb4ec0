//! What the targets of this folder do with their bytes. A target whose input is a sequence of
//! operations reads it with [`Choices`], so that every input means something.

pub mod books;
pub mod calls;
pub mod journal;
pub mod peers;
pub(crate) mod questions;
pub mod setting;

/// Bytes as a series of decisions. When they are used up, every further one is zero.
#[derive(Clone, Debug)]
pub struct Choices<'a> {
    bytes: &'a [u8],
}

impl<'a> Choices<'a> {
    /// All decisions of one run.
    pub fn new(bytes: &'a [u8]) -> Choices<'a> {
        Choices { bytes }
    }

    /// The next one, or the end.
    pub fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }

    /// The next one.
    pub fn byte(&mut self) -> u8 {
        self.next().unwrap_or(0)
    }

    /// The next two.
    pub fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// A number below `limit`, which is at most 256.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::from(self.byte()) % limit.max(1)
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// True in about `part` of 256 cases, and never once the bytes are used up.
    pub fn chance(&mut self, part: u8) -> bool {
        self.next().is_some_and(|byte| byte < part)
    }

    /// Everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.bytes)
    }
}
