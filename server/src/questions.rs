//! The desk where workers leave what calls ask of the outside: each question becomes a task on the
//! runtime, and the answer a letter. A worker never waits for it.

use std::sync::Arc;
use std::time::Duration;

use switch::{Answer, QueryId, Question};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::dip::Dips;
use crate::dispatch::{Dispatch, Letter};
use crate::stir::Stir;

/// Questions under way at the same time; beyond it they are answered with nothing.
const QUESTIONS_MAX: usize = 1024;

/// What keeps to the limit by itself notes more than that it was late.
const GRACE: Duration = Duration::from_millis(100);

/// Shared by all workers.
#[derive(Clone)]
pub(crate) struct Questions {
    dispatch: Dispatch,
    runtime: Handle,
    places: Arc<Semaphore>,
    /// Signs callers and verifies them.
    stir: Arc<Stir>,
    dips: Dips,
}

impl Questions {
    /// Answers go by `dispatch`; tasks run on `runtime`.
    pub(crate) fn new(dispatch: Dispatch, runtime: Handle, stir: Stir, dips: Dips) -> Questions {
        let (places, stir) = (Arc::new(Semaphore::new(QUESTIONS_MAX)), Arc::new(stir));
        Questions { dispatch, runtime, places, stir, dips }
    }

    /// Answers `worker` with a letter, about when its call stops waiting for it at the latest.
    pub(crate) fn ask(&self, worker: u8, query: QueryId, question: Question) {
        if let Question::Dip(dip) = &question
            && let Some(answer) = self.dips.at_once(dip)
        {
            return self.dispatch.send(worker, Letter::Told { query, answer });
        }
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
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
