//! Responses of a registry: bodies of bounded length, and refusals as errors.

use reqwest::header::HeaderMap;
use reqwest::{Response, StatusCode, Url};

use crate::ImportError;
use crate::client::why;
use crate::error::shown;
use crate::retry::wish;

/// Longest error response that is read for its message, in bytes.
const MAX_ERROR: u64 = 16 << 10;

/// The reason that a body was not read to its end.
pub(super) enum Short {
    TooLong,
    Broken(String),
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
    let said = said_in(body).map(|said| format!(": {said}")).unwrap_or_default();
    let later = wish(headers).map(|wait| format!("; it asks to wait {} seconds", wait.as_secs()));
    let reason = format!("the registry answers {status}{said}{}", later.unwrap_or_default());
    let what = shown(url);
    if is_gone(status) {
        ImportError::Gone { what, reason }
    } else {
        ImportError::Upstream { what, reason }
    }
}

/// The message of a registry's error (`{"errors": [{"code": …, "message": …}]}`).
fn said_in(body: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Errors {
        errors: Vec<One>,
    }
    #[derive(serde::Deserialize)]
    struct One {
        message: String,
    }
    let errors: Errors = serde_json::from_slice(body).ok()?;
    let message = errors.errors.into_iter().next()?.message;
    Some(message.chars().filter(|c| !c.is_control()).take(200).collect())
}

/// Reads a whole body of at most `most` bytes.
pub(super) async fn read(mut answer: Response, most: u64) -> Result<Vec<u8>, Short> {
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
