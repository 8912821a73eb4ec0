//! What calls ask of the outside, and what it may answer.

use bytes::Bytes;
use switch::stir::{Attestation, IdentityFault};
use switch::{Answer, Input, QueryId, Question};

use crate::Choices;

/// So many are remembered, to be answered late or again.
const MEMORY: usize = 24;

/// What was asked.
#[derive(Default)]
pub(crate) struct Questions {
    all: Vec<(QueryId, Question)>,
    /// Those from here on have no answer yet.
    answered: usize,
}

impl Questions {
    pub(crate) fn keep(&mut self, query: QueryId, question: Question) {
        if self.all.len() == MEMORY {
            self.all.remove(0);
            self.answered = self.answered.saturating_sub(1);
        }
        self.all.push((query, question));
    }

    /// The answer that the oldest question wants.
    pub(crate) fn answer(&mut self) -> Option<Input> {
        let (query, question) = self.all.get(self.answered)?;
        self.answered += 1;
        Some(Input::Told { query: *query, answer: answer(question) })
    }

    /// Any answer, to what was asked at any time, or to what was not.
    pub(crate) fn any_answer(&self, choices: &mut Choices<'_>) -> Input {
        let made_up = QueryId(u64::from(choices.word()) << choices.pick(&[0, 16, 32, 48]));
        let asked = self.all.get(choices.below(MEMORY));
        let query = asked.map_or(made_up, |(query, _)| *query);
        let answer = match choices.below(4) {
            0 => Answer::Nothing,
            1 => Answer::Verified(Err(IdentityFault::Signature)),
            2 => asked.map_or(Answer::Nothing, |(_, question)| answer(question)),
            _ => Answer::Signed(Bytes::new()),
        };
        Input::Told { query, answer }
    }
}

fn answer(question: &Question) -> Answer {
    match question {
        Question::Verify(_) => Answer::Verified(Ok(Attestation::Full)),
        Question::Dip(dip) => Answer::Dipped(Some(dip.number)),
        Question::Sign(_) => Answer::Signed(Bytes::from_static(b"a.b.c;info=<https://a>")),
    }
}
