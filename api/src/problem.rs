//! Errors as RFC 9457 problem details, naming the field where there is one.

use axum::Json;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use store::directory::{ChangeError, DatabaseTrouble};

/// What went wrong. Boxed, since it is the rarer half of every result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem(Box<Details>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Details {
    /// A URI that names the kind of problem.
    #[serde(rename = "type")]
    kind: String,
    /// The HTTP status in words.
    title: String,
    /// The HTTP status.
    status: u16,
    /// One sentence with the remedy.
    detail: String,
    /// The field it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// Several faults of one rate sheet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<RowProblem>,
}

/// One fault of a rate sheet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct RowProblem {
    pub(crate) row: u64,
    pub(crate) column: String,
    pub(crate) detail: String,
}

impl Problem {
    /// `kind` is a stable word, `detail` one sentence with the remedy.
    pub fn new(status: u16, kind: &str, detail: impl Into<String>) -> Problem {
        let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Problem(Box::new(Details {
            kind: format!("urn:tandem:problem:{kind}"),
            title: code.canonical_reason().unwrap_or("Error").to_owned(),
            status,
            detail: detail.into(),
            field: None,
            errors: Vec::new(),
        }))
    }

    /// A field's value breaks a rule.
    pub(crate) fn invalid(field: &str, detail: impl Into<String>) -> Problem {
        Problem::new(422, "invalid_value", detail).about(field)
    }

    fn about(mut self, field: &str) -> Problem {
        self.0.field = Some(field.to_owned());
        self
    }

    /// As the fault of a row: the column and what to do.
    pub(crate) fn about_column(self) -> (String, String) {
        let Details { field, detail, .. } = *self.0;
        (field.unwrap_or_default(), detail)
    }

    pub(crate) fn with_rows(mut self, rows: Vec<RowProblem>) -> Problem {
        self.0.errors = rows;
        self
    }

    pub(crate) fn unauthorized() -> Problem {
        let detail = "send `Authorization: Bearer TOKEN` with the token from the data directory's \
                      file `token`";
        Problem::new(401, "unauthorized", detail)
    }

    /// The database cannot take it now. What was carried out before is known by its key.
    fn trouble(trouble: DatabaseTrouble, error: &ChangeError) -> Problem {
        tracing::error!(%error, "a request failed");
        let (status, kind, what) = match trouble {
            DatabaseTrouble::Away => (
                503,
                "database_away",
                "the database cannot be reached; calls go on, and nothing of them is lost; bring \
                 PostgreSQL back",
            ),
            DatabaseTrouble::Locked => (
                503,
                "database_locked",
                "another program holds the lock of the database (a person with sqlite3, a copy \
                 being made); end it",
            ),
            DatabaseTrouble::DiskFull => {
                (507, "disk_full", "the disk with the data directory is full; make room on it")
            }
            DatabaseTrouble::NotWritable => (
                503,
                "database_not_writable",
                "the database cannot be read or written; look at the disk and at who may write \
                 the data directory",
            ),
        };
        let again = "then send this again with the same Idempotency-Key: it is carried out once";
        Problem::new(status, kind, format!("{what}, {again}"))
    }

    /// The journal does not take anything now, so nothing was begun.
    pub(crate) fn journal_stuck() -> Problem {
        let detail = "the journal cannot be written, so no money moves: nothing was booked; make \
                      room on the disk with the data directory or replace it, then send this again";
        Problem::new(503, "journal_stuck", detail)
    }

    fn internal(error: &dyn std::fmt::Display) -> Problem {
        tracing::error!(%error, "a request failed");
        Problem::new(500, "internal", "the server failed; its log says why")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let is_unauthorized = status == StatusCode::UNAUTHORIZED;
        let mut response = (status, Json(self.0)).into_response();
        let json = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        if is_unauthorized {
            let bearer = HeaderValue::from_static("Bearer realm=\"tandem\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, bearer);
        }
        response
    }
}

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Problem {
        match error {
            ChangeError::Invalid { field, what } => Problem::invalid(field, what),
            ChangeError::NotFound { .. } => Problem::new(404, "not_found", error.to_string()),
            ChangeError::Taken { field, .. } => {
                Problem::new(409, "taken", error.to_string()).about(field)
            }
            ChangeError::InUse(what) => Problem::new(409, "conflict", what),
            ChangeError::Connect(_) | ChangeError::Database(_) | ChangeError::Corrupt { .. } => {
                match error.trouble() {
                    Some(trouble) => Problem::trouble(trouble, &error),
                    None => Problem::internal(&error),
                }
            }
        }
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Problem {
        Problem::new(400, "invalid_query", rejection.body_text())
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Problem {
        Problem::new(400, "invalid_path", rejection.body_text())
    }
}

impl From<BytesRejection> for Problem {
    fn from(rejection: BytesRejection) -> Problem {
        let status = rejection.status().as_u16();
        let kind = if status == 413 { "too_large" } else { "invalid_body" };
        Problem::new(status, kind, rejection.body_text())
    }
}
