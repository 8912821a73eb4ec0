//! The price of one call by a tariff that comes with the question.

use axum::Json;
use axum::body::Bytes;
use serde::Deserialize;
use serde_json::Value;

use crate::Problem;
use crate::tariff::{Priced, Question, Tariff, TariffError};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    tariff: Value,
    call: Value,
}

/// `{"tariff": …, "call": {"start": …, "duration": …}}`. Changes nothing, so needs no key.
pub(crate) async fn price(body: Bytes) -> Result<Json<Priced>, Problem> {
    let asked: Asked = serde_json::from_slice(&body)
        .map_err(|why| Problem::new(422, "invalid_body", why.to_string()))?;
    let tariff = Tariff::read(asked.tariff.to_string().as_bytes()).map_err(within("tariff"))?;
    let question: Question = serde_path_to_error::deserialize(&asked.call).map_err(|why| {
        Problem::invalid(&format!("call.{}", why.path()), why.inner().to_string())
    })?;
    Ok(Json(tariff.price(&question).map_err(within("call"))?))
}

fn within(what: &'static str) -> impl Fn(TariffError) -> Problem {
    move |error| Problem::invalid(&format!("{what}.{}", error.path), error.what)
}
