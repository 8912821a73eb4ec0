//! One value for each payer of a call: the account that calls, its reseller, the reseller's
//! reseller. Most calls have one payer, which costs no allocation.

use crate::codec::{Code, DecodeError, Reader, put_list, take_list};

/// Payers of a call at most: the account that calls and five resellers above it.
pub const LEVELS_MAX: usize = 6;

/// At least one value, lowest level first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain<T> {
    /// Of the account that calls: level 0.
    pub first: T,
    /// Of its resellers, from level 1 up. Usually empty.
    pub upper: Vec<T>,
}

impl<T> Chain<T> {
    /// Of an account without a reseller.
    pub fn of(first: T) -> Chain<T> {
        Chain { first, upper: Vec::new() }
    }

    /// How many levels there are; at least 1.
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        1 + self.upper.len()
    }

    /// From level 0 up.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> + Clone {
        std::iter::once(&self.first).chain(&self.upper)
    }

    /// From level 0 up.
    pub fn iter_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut T> {
        std::iter::once(&mut self.first).chain(&mut self.upper)
    }

    /// One level's.
    pub fn get(&self, level: usize) -> Option<&T> {
        match level.checked_sub(1) {
            None => Some(&self.first),
            Some(above) => self.upper.get(above),
        }
    }

    /// The highest level's: whoever pays us.
    pub fn last(&self) -> &T {
        self.upper.last().unwrap_or(&self.first)
    }

    /// A value made of each, and of its level.
    pub fn map<U>(&self, mut make: impl FnMut(usize, &T) -> U) -> Chain<U> {
        let first = make(0, &self.first);
        let upper = self.upper.iter().enumerate().map(|(n, value)| make(n + 1, value));
        Chain { first, upper: upper.collect() }
    }

    /// Like `map`, if all of it can be made.
    pub fn try_map<U, E>(
        &self,
        mut make: impl FnMut(usize, &T) -> Result<U, E>,
    ) -> Result<Chain<U>, E> {
        let first = make(0, &self.first)?;
        let upper = self.upper.iter().enumerate().map(|(n, value)| make(n + 1, value));
        Ok(Chain { first, upper: upper.collect::<Result<_, E>>()? })
    }
}

impl<T: Code> Code for Chain<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.first.put(out);
        put_list(&self.upper, out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Chain<T>, DecodeError> {
        let chain = Chain { first: T::take(from)?, upper: take_list(from)? };
        if chain.len() > LEVELS_MAX {
            return Err(DecodeError::Value("number of payers"));
        }
        Ok(chain)
    }
}
