//! A dip by HTTP: one request, whose answer is the number, or JSON that has it.

use std::time::Duration;

use bytes::Bytes;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue};
use serde_json::Value;
use switch::lookup::{HttpLookup, NUMBER_PLACE};
use vocabulary::Number;

use super::{DipError, lrn, masked};
use crate::net::http::{FetchLimits, HttpClient, Reach, Request, Url};

/// An answer has a few numbers and not more.
const BODY_MAX: usize = 64 * 1024;

pub(super) async fn ask(
    client: &HttpClient,
    lookup: &HttpLookup,
    number: &Number,
    time: Duration,
) -> Result<Option<Number>, DipError> {
    let request = request(lookup, number)?;
    let response = client.fetch(&request, FetchLimits { time, body_max: BODY_MAX }).await?;
    if !response.status.is_success() {
        return Err(DipError::Status(response.status.as_u16()));
    }
    read(&response.body, lookup.pointer.as_deref(), number)
}

fn request(lookup: &HttpLookup, number: &Number) -> Result<Request, DipError> {
    let url = lookup.url.replace(NUMBER_PLACE, number.as_str());
    let url = Url::parse(&url).map_err(|_| DipError::Url)?;
    // The operator has written it.
    let mut request = match &lookup.body {
        None => Request::get(url, Reach::Anywhere),
        Some(body) => {
            let body = Bytes::from(body.replace(NUMBER_PLACE, number.as_str()));
            Request::post(url, Reach::Anywhere, body)
        }
    };
    if let Some(body) = &lookup.body {
        let kind = match body.trim_start().starts_with(['{', '[']) {
            true => "application/json",
            false => "application/x-www-form-urlencoded",
        };
        request.headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    request.headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/plain"));
    if let Some((name, value)) = &lookup.header {
        let name = HeaderName::from_bytes(name.as_bytes());
        let value = HeaderValue::from_str(value);
        if let (Ok(name), Ok(mut value)) = (name, value) {
            value.set_sensitive(true);
            request.headers.insert(name, value);
        }
    }
    Ok(request)
}

/// A member that is null or empty says that the number is not ported; one that is missing says nothing.
fn read(body: &[u8], pointer: Option<&str>, called: &Number) -> Result<Option<Number>, DipError> {
    let no_number = || DipError::NoNumber(masked(body));
    let Some(pointer) = pointer else {
        let text = std::str::from_utf8(body).map_err(|_| no_number())?;
        return lrn(text, called).ok_or_else(no_number);
    };
    let json: Value = serde_json::from_slice(body).map_err(|_| no_number())?;
    match json.pointer(pointer) {
        Some(Value::String(text)) => lrn(text, called).ok_or_else(no_number),
        Some(Value::Number(digits)) => lrn(&digits.to_string(), called).ok_or_else(no_number),
        Some(Value::Null) => Ok(None),
        _ => Err(no_number()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called() -> Number {
        "12025551234".parse().unwrap()
    }

    #[track_caller]
    fn check(body: &str, pointer: Option<&str>, expected: Option<Option<&str>>) {
        let found = read(body.as_bytes(), pointer, &called()).ok();
        let expected = expected.map(|lrn| lrn.map(|lrn| lrn.parse().unwrap()));
        assert_eq!(found, expected, "{body}");
    }

    #[test]
    fn the_number_is_found_in_the_answer() {
        // T7
        check("12025550000\r\n", None, Some(Some("12025550000")));
        check("", None, Some(None));
        check("<html>", None, None);
        let pointer = Some("/data/0/lrn");
        check(r#"{"data":[{"lrn":"+12025550000"}]}"#, pointer, Some(Some("12025550000")));
        check(r#"{"data":[{"lrn":2025550000}]}"#, pointer, Some(Some("12025550000")));
        check(r#"{"data":[{"lrn":null}]}"#, pointer, Some(None));
        check(r#"{"data":[{"lrn":""}]}"#, pointer, Some(None));
        check(r#"{"error":"no such key"}"#, pointer, None);
        check(r#"{"data":[{"lrn":true}]}"#, pointer, None);
        check("12025550000", pointer, None);
        check(r#""12025550000""#, Some(""), Some(Some("12025550000")));
    }

    fn lookup(url: &str, body: Option<&str>) -> HttpLookup {
        let header = Some(("X-Key".into(), "s3cret".into()));
        HttpLookup { url: url.into(), body: body.map(Box::from), pointer: None, header }
    }

    #[test]
    fn the_number_stands_where_it_belongs() {
        let asked = request(&lookup("http://lrn.test/v1/{number}?n={number}", None), &called());
        let asked = asked.unwrap();
        assert_eq!(asked.url.to_string(), "http://lrn.test/v1/12025551234?n=12025551234");
        assert_eq!(asked.headers["x-key"], "s3cret");
        assert!(asked.headers["x-key"].is_sensitive());
        let asked = request(&lookup("http://lrn.test/", Some(r#"{"tn":"{number}"}"#)), &called());
        let asked = asked.unwrap();
        assert_eq!(asked.body, r#"{"tn":"12025551234"}"#);
        assert_eq!(asked.headers[CONTENT_TYPE], "application/json");
        let asked = request(&lookup("http://lrn.test/", Some("tn={number}")), &called()).unwrap();
        assert_eq!(asked.headers[CONTENT_TYPE], "application/x-www-form-urlencoded");
        assert!(matches!(request(&lookup("http://", None), &called()), Err(DipError::Url)));
    }
}
