//! Responses of a registry: bodies of bounded length, and refusals as errors.

use std::io::Read;

use flate2::bufread::MultiGzDecoder;
use reqwest::header::HeaderMap;
use reqwest::{Response, StatusCode, Url};
use serde_json::Value;

use crate::ImportError;
use crate::client::why;
use crate::download::{Coding, GZIP};
use crate::error::shown;
use crate::retry::asked_to_wait;

/// Longest error response that is read for its message, in bytes.
const MAX_ERROR: u64 = 16 << 10;

/// The reason that a body was not read to its end.
pub(super) enum Short {
    TooLong,
    Broken(String),
    /// It is packed, in the way that is named.
    Packed(String),
}

pub(super) fn is_gone(status: StatusCode) -> bool {
    matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE)
}

/// Turns an unsuccessful response into an error, with the registry's message.
pub(super) async fn accepted(answer: Response) -> Result<Response, ImportError> {
    let (status, mut url, headers) =
        (answer.status(), answer.url().clone(), answer.headers().clone());
    if status.is_success() {
        return Ok(answer);
    }
    let body = read(answer, MAX_ERROR).await.unwrap_or_default();
    // The query of a redirected blob's URL may contain a secret.
    url.set_query(None);
    Err(refusal(&url, status, &headers, &body))
}

/// The error for an unsuccessful response.
pub(super) fn refusal(
    url: &Url,
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
) -> ImportError {
    let said = said_in(body, status).map(|said| format!(": {said}")).unwrap_or_default();
    let reason = format!("the registry answers {status}{said}{}", asked_to_wait(headers));
    let what = shown(url);
    if is_gone(status) {
        ImportError::Gone { what, reason }
    } else {
        ImportError::Upstream { what, reason }
    }
}

/// The message of an error, in the shapes in which registries and token servers write one:
/// `{"errors": [{"code": …, "message": …}]}`, `{"error": …}`, `{"message": …}`, `{"details": …}`.
fn said_in(body: &[u8], status: StatusCode) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let one = match body.get("errors") {
        Some(Value::Array(errors)) => errors.first()?,
        Some(error) => error,
        None => &body,
    };
    let text = |name| one.get(name).and_then(Value::as_str).map(str::trim);
    let all = ["message", "error_description", "details", "error", "detail", "code"];
    let mut found = all.into_iter().filter_map(text).chain(one.as_str());
    // A code stands for a message that says nothing; what the status says is not said twice.
    let is_news = |said: &&str| {
        let known = [status.canonical_reason().unwrap_or_default(), "unknown", "error", ""];
        !known.iter().any(|known| known.eq_ignore_ascii_case(said))
    };
    let said = found.find(is_news)?;
    Some(said.chars().filter(|c| !c.is_control()).take(200).collect())
}

/// Reads a whole body of at most `most` bytes, and unpacks it if the registry packed it.
pub(super) async fn read(answer: Response, most: u64) -> Result<Vec<u8>, Short> {
    let codings = Coding::all(answer.headers());
    let mut bytes = read_as_it_is(answer, most).await?;
    for coding in codings.iter().rev() {
        match coding {
            Coding::Gzip if bytes.starts_with(GZIP) => {
                let mut plain = Vec::new();
                let mut packed = MultiGzDecoder::new(&bytes[..]).take(most + 1);
                if let Err(error) = packed.read_to_end(&mut plain) {
                    return Err(Short::Packed(format!("gzip, and does not unpack: {error}")));
                }
                if plain.len() as u64 > most {
                    return Err(Short::TooLong);
                }
                bytes = plain;
            }
            Coding::Gzip => {}
            // What reads as JSON is not packed, whatever its label says.
            Coding::Other(_) if bytes.trim_ascii_start().starts_with(b"{") => {}
            Coding::Other(word) => {
                return Err(Short::Packed(format!("{word}, and only gzip is unpacked here")));
            }
        }
    }
    Ok(bytes)
}

async fn read_as_it_is(mut answer: Response, most: u64) -> Result<Vec<u8>, Short> {
    let mut bytes = Vec::new();
    loop {
        match answer.chunk().await {
            Ok(None) => return Ok(bytes),
            Ok(Some(chunk)) if (bytes.len() + chunk.len()) as u64 <= most => {
                bytes.extend_from_slice(&chunk);
            }
            Ok(Some(_)) => return Err(Short::TooLong),
            Err(error) => return Err(Short::Broken(why(error))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_registry_says_is_said_once() {
        for (body, expected) in [
            (r#"{"errors":[{"code":"DENIED","message":"no access"}]}"#, Some("no access")),
            (r#"{"errors":[{"code":"DENIED"}]}"#, Some("DENIED")),
            (r#"{"errors":[{"code":"DENIED","message":""}]}"#, Some("DENIED")),
            (r#"{"errors":[{"code":"UNKNOWN","message":"unknown"}]}"#, None),
            (
                r#"{"errors":[{"code":"UNKNOWN","message":"unknown","detail":"disk"}]}"#,
                Some("disk"),
            ),
            (r#"{"errors":[]}"#, None),
            (r#"{"errors":"quota"}"#, Some("quota")),
            (
                r#"{"details":"incorrect username or password"}"#,
                Some("incorrect username or password"),
            ),
            (r#"{"error":"invalid_grant","error_description":"expired"}"#, Some("expired")),
            (r#"{"message":"Not Found"}"#, None),
            (r#""too many""#, Some("too many")),
            ("<html>", None),
        ] {
            let said = said_in(body.as_bytes(), StatusCode::NOT_FOUND);
            assert_eq!(said.as_deref(), expected, "{body}");
        }
    }
}
