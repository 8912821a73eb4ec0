//! What waits to be polled.

use std::collections::VecDeque;

use bytes::Bytes;

use super::Event;
use crate::transport::{Path, Transmit};

#[derive(Default)]
pub(super) struct Outbox {
    pub(super) events: VecDeque<Event>,
    pub(super) transmits: VecDeque<Transmit>,
}

impl Outbox {
    pub(super) fn event(&mut self, event: Event) {
        self.events.push_back(event);
    }

    pub(super) fn transmit(&mut self, path: Path, bytes: Bytes) {
        self.transmits.push_back(Transmit { path, bytes });
    }
}
