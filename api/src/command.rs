//! One command from outside: its body, its idempotency key, its turn, and the new snapshots that
//! come of it.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use billing::OpId;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use store::directory::{Change, ChangeError, Loaded};
use store::idempotency::{Answer, Seen};
use tokio::sync::OwnedMutexGuard;

use crate::control::Snapshot;
use crate::{Api, Problem};

const KEY_BYTES_MAX: usize = 200;

/// A request that changes something.
pub(crate) struct Command {
    key: Option<String>,
    fingerprint: [u8; 32],
    pub(crate) body: Bytes,
}

impl<S: Send + Sync> FromRequest<S> for Command {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Command, Problem> {
        let key = idempotency_key(request.headers())?;
        let mut hash = Sha256::new();
        hash.update(request.method().as_str());
        hash.update([0]);
        hash.update(request.uri().to_string());
        hash.update([0]);
        let body = Bytes::from_request(request, state).await?;
        hash.update(&body);
        Ok(Command { key, fingerprint: hash.finalize().into(), body })
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text.is_empty() || text.len() > KEY_BYTES_MAX {
        let detail = "the header Idempotency-Key is 1 to 200 visible characters";
        return Err(Problem::new(400, "invalid_idempotency_key", detail));
    }
    Ok(Some(text.to_owned()))
}

impl Command {
    /// The body, with the field that is wrong named.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        let mut json = serde_json::Deserializer::from_slice(&self.body);
        serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let path = error.path().to_string();
            let what = error.inner().to_string();
            match path.as_str() {
                "." | "?" => Problem::new(422, "invalid_body", what),
                _ => Problem::invalid(&path, what),
            }
        })
    }

    /// The id under which a movement of money is booked: the same for the same key.
    pub(crate) fn op_id(&self) -> Result<OpId, Problem> {
        let Some(key) = &self.key else {
            let detail = "moving money needs the header Idempotency-Key: any text that is new for \
                          each payment and the same when it is sent again";
            return Err(Problem::new(400, "idempotency_key_missing", detail));
        };
        let hash = Sha256::digest(key);
        let bytes: [u8; 16] = hash[..16].try_into().expect("a hash has 32 bytes");
        Ok(OpId::outside(u128::from_be_bytes(bytes)))
    }
}

/// Why a command ends early: something is wrong, or it was carried out before.
pub(crate) enum Stop {
    Problem(Problem),
    Before(Answer),
}

impl<E: Into<Problem>> From<E> for Stop {
    fn from(error: E) -> Stop {
        Stop::Problem(error.into())
    }
}

impl IntoResponse for Stop {
    fn into_response(self) -> Response {
        match self {
            Stop::Problem(problem) => problem.into_response(),
            Stop::Before(answer) => {
                let mut response = respond(answer);
                let replayed = HeaderValue::from_static("true");
                response.headers_mut().insert("idempotent-replayed", replayed);
                response
            }
        }
    }
}

fn respond(answer: Answer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    (status, [(CONTENT_TYPE, "application/json")], answer.body).into_response()
}

/// A command's turn: no other changes anything meanwhile.
pub(crate) struct Turn {
    pub(crate) change: Change,
    pub(crate) snapshot: OwnedMutexGuard<Snapshot>,
    pub(crate) key: Option<String>,
    pub(crate) fingerprint: [u8; 32],
}

/// What a command changed.
#[derive(Clone, Copy)]
pub(crate) enum Touched {
    /// Rows that snapshots are made of; the store knows which.
    Directory,
    /// Only money: no snapshot changes.
    Money,
    /// How sheets are read, or what is written for SQL only: no snapshot changes.
    Layouts,
}

impl Api {
    /// Waits for the command's turn. Before [`Api::begin_in`] the database is free for others.
    pub(crate) async fn queue(&self) -> OwnedMutexGuard<Snapshot> {
        Arc::clone(&self.turn).lock_owned().await
    }

    /// Waits for the command's turn and begins it.
    pub(crate) async fn begin(&self, command: &Command) -> Result<Turn, Stop> {
        self.begin_in(self.queue().await, command).await
    }

    /// Begins a command whose turn it is; stops it if its key was used before.
    pub(crate) async fn begin_in(
        &self,
        mut snapshot: OwnedMutexGuard<Snapshot>,
        command: &Command,
    ) -> Result<Turn, Stop> {
        let mut change = self.store.begin().await?;
        self.follow_in(&mut change, &mut snapshot).await?;
        if let Some(key) = &command.key {
            match change.seen(key, &command.fingerprint).await? {
                Seen::Never => {}
                Seen::Before(answer) => return Err(Stop::Before(answer)),
                Seen::WithAnotherCommand => {
                    let detail =
                        "this Idempotency-Key was used with another request; use a new key";
                    return Err(Problem::new(422, "idempotency_key_reused", detail).into());
                }
            }
        }
        let (key, fingerprint) = (command.key.clone(), command.fingerprint);
        Ok(Turn { change, snapshot, key, fingerprint })
    }

    /// Makes the command permanent and live, and answers it.
    pub(crate) async fn finish(
        &self,
        turn: Turn,
        touched: Touched,
        status: u16,
        body: &impl Serialize,
    ) -> Result<Response, Stop> {
        self.finish_once(turn, touched, status, body, body).await
    }

    /// The same with an answer that is given once: a repeat gets `kept`, which holds no secrets.
    pub(crate) async fn finish_once(
        &self,
        turn: Turn,
        touched: Touched,
        status: u16,
        body: &impl Serialize,
        kept: &impl Serialize,
    ) -> Result<Response, Stop> {
        let Turn { mut change, mut snapshot, key, fingerprint } = turn;
        let body = serde_json::to_string(body).expect("wire types are always JSON");
        if let Some(key) = key {
            let body = serde_json::to_string(kept).expect("wire types are always JSON");
            let kept = Answer { status, body };
            change.remember(&key, &fingerprint, &kept, self.control.now()).await?;
        }
        match touched {
            Touched::Money | Touched::Layouts => change.commit().await?,
            Touched::Directory => self.take_effect(change, &mut snapshot).await?,
        }
        Ok(respond(Answer { status, body }))
    }

    /// Makes a change of the directory permanent and live, here and on the other nodes.
    pub(crate) async fn take_effect(
        &self,
        mut change: Change,
        snapshot: &mut Snapshot,
    ) -> Result<(), ChangeError> {
        let next = self.remake(&mut change, snapshot).await?;
        let told = self.tell_nodes(&mut change).await?;
        change.commit().await?;
        self.have_told(told);
        self.go_live(snapshot, next);
        Ok(())
    }

    /// The snapshots that follow `before`: what the command has changed is read again.
    pub(crate) async fn remake(
        &self,
        change: &mut Change,
        before: &Snapshot,
    ) -> Result<Loaded, ChangeError> {
        change.reload(&before.directory, &before.rate_book, self.seed).await
    }

    /// Hands new snapshots to the running switch, once what they are made of is committed.
    pub(crate) fn go_live(&self, snapshot: &mut Snapshot, next: Loaded) {
        let Loaded { directory, rate_book, terms } = next;
        let next = Snapshot { directory, rate_book };
        self.control.publish(&next, &terms);
        *snapshot = next;
    }
}
