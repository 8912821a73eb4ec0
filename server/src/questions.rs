//! The desk where workers leave what calls ask of the outside: each question becomes a task on the
//! runtime, and the answer a letter. A worker never waits for it.

use std::sync::Arc;
use std::time::Duration;

use switch::{Answer, QueryId, Question};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::dip::Dips;
use crate::dispatch::{Dispatch, Letter};
use crate::stir::Stir;

/// Questions of one kind under way at the same time; beyond it they are answered with nothing.
const QUESTIONS_MAX: usize = 1024;

/// What keeps to the limit by itself notes more than that it was late.
const GRACE: Duration = Duration::from_millis(100);

/// Each kind has its own: one that waits for slow hosts does not take the places of another.
#[derive(Clone)]
struct Places {
    verify: Arc<Semaphore>,
    dip: Arc<Semaphore>,
}

/// There is no place left for this kind.
#[derive(Debug)]
struct Full;

impl Places {
    fn new(max: usize) -> Places {
        let places = || Arc::new(Semaphore::new(max));
        Places { verify: places(), dip: places() }
    }

    /// `None`: it needs none.
    fn take(&self, question: &Question) -> Result<Option<OwnedSemaphorePermit>, Full> {
        let places = match question {
            Question::Verify(_) => &self.verify,
            Question::Dip(_) => &self.dip,
            // It waits for no network and no disk: a signature with a key that is in memory.
            Question::Sign(_) => return Ok(None),
        };
        Arc::clone(places).try_acquire_owned().map(Some).map_err(|_| Full)
    }
}

/// Shared by all workers.
#[derive(Clone)]
pub(crate) struct Questions {
    dispatch: Dispatch,
    runtime: Handle,
    places: Places,
    /// Signs callers and verifies them.
    stir: Arc<Stir>,
    dips: Dips,
}

impl Questions {
    /// Answers go by `dispatch`; tasks run on `runtime`.
    pub(crate) fn new(dispatch: Dispatch, runtime: Handle, stir: Stir, dips: Dips) -> Questions {
        let (places, stir) = (Places::new(QUESTIONS_MAX), Arc::new(stir));
        Questions { dispatch, runtime, places, stir, dips }
    }

    /// Answers `worker` with a letter, about when its call stops waiting for it at the latest.
    pub(crate) fn ask(&self, worker: u8, query: QueryId, question: Question) {
        if let Question::Dip(dip) = &question
            && let Some(answer) = self.dips.at_once(dip)
        {
            return self.dispatch.send(worker, Letter::Told { query, answer });
        }
        let Ok(place) = self.places.take(&question) else {
            let answer = Answer::Nothing;
            return self.dispatch.send(worker, Letter::Told { query, answer });
        };
        let desk = self.clone();
        self.runtime.spawn(async move {
            let limit = question.limit() + GRACE;
            let answer = timeout(limit, desk.answer(question)).await.unwrap_or(Answer::Nothing);
            desk.dispatch.send(worker, Letter::Told { query, answer });
            drop(place);
        });
    }

    async fn answer(&self, question: Question) -> Answer {
        match question {
            Question::Sign(said) => self.stir.sign(&said),
            Question::Verify(asked) => self.stir.verify(&asked).await,
            Question::Dip(dip) => self.dips.ask(&dip).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use switch::lookup::{Lookup, LookupId, LookupKind, OnFailure, SipLookup};
    use switch::question::{IdentityToSign, IdentityToVerify, NumberToDip};
    use switch::stir::Attestation;
    use vocabulary::{CallId, Number, Utc};

    use super::*;

    fn number() -> Number {
        "12025551234".parse().unwrap()
    }

    fn verify() -> Question {
        let (caller, called) = (number(), number());
        let value = Bytes::new();
        Question::Verify(Box::new(IdentityToVerify { value, caller, called, at: Utc(0) }))
    }

    fn sign() -> Question {
        Question::Sign(Box::new(IdentityToSign {
            call: CallId(1),
            caller: number(),
            called: number(),
            attestation: Attestation::Full,
            at: Utc(0),
        }))
    }

    fn dip() -> Question {
        let lookup = Lookup {
            id: LookupId(1),
            name: "dip".into(),
            asks: LookupKind::Sip(SipLookup { host: "lrn.test".into(), port: 5060 }),
            timeout: Duration::from_millis(300),
            ttl: Duration::ZERO,
            on_failure: OnFailure::Ignore,
            prefixes: ["1".into()].into(),
        };
        Question::Dip(Box::new(NumberToDip { lookup: Arc::new(lookup), number: number() }))
    }

    #[test]
    fn one_kind_does_not_take_the_places_of_another() {
        // S5, T7
        let places = Places::new(1);
        let verifying = places.take(&verify()).unwrap();
        assert!(verifying.is_some() && places.take(&verify()).is_err());
        let dipping = places.take(&dip()).unwrap();
        assert!(dipping.is_some() && places.take(&dip()).is_err());
        for _ in 0..3 {
            assert!(places.take(&sign()).unwrap().is_none());
        }
        drop(verifying);
        assert!(places.take(&verify()).is_ok());
        assert!(places.take(&dip()).is_err());
    }
}
