//! Who may push and delete: whoever gives the node's token. Reading asks for nothing.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::refusal::Refusal;

/// What a client is asked for.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Basic realm=\"perennial\", charset=\"UTF-8\"");

/// Whether a request gives the token, as `Bearer` or as the password of basic authentication.
pub(crate) fn is_owner(token: Option<&str>, headers: &HeaderMap) -> bool {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let (Some(token), Some((scheme, given))) = (token, given.and_then(|text| text.split_once(' '))) else {
        return false;
    };
    if token.is_empty() {
        return false;
    }
    let given = match scheme.to_ascii_lowercase().as_str() {
        "bearer" => given.trim().as_bytes().to_vec(),
        "basic" => match STANDARD.decode(given.trim()) {
            Ok(pair) => match pair.iter().position(|b| *b == b':') {
                Some(colon) => pair[colon + 1..].to_vec(),
                None => return false,
            },
            Err(_) => return false,
        },
        _ => return false,
    };
    // digests are compared, so that the time it takes tells nothing of the token
    Sha256::digest(&given) == Sha256::digest(token.as_bytes())
}

/// Refuses whoever may not change anything.
pub(crate) fn refuse(token: Option<&str>) -> Response {
    if token.is_none() {
        let message = "this node takes no pushes: its owner has to start it with a token";
        return Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", message).into_response();
    }
    let message = "give this node's token as the password, with any user name";
    let refusal = Refusal::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", message);
    challenged(refusal.into_response())
}

/// Says how to authenticate. On the answer to `GET /v2/` as well: clients that ask there look for it even on a 200.
pub(crate) fn challenged(mut response: Response) -> Response {
    response.headers_mut().insert(header::WWW_AUTHENTICATE, CHALLENGE);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(token: Option<&str>, given: &str) -> bool {
        let headers = [(header::AUTHORIZATION, given.parse().expect("a value"))].into_iter().collect();
        is_owner(token, &headers)
    }

    #[test]
    fn the_token_is_taken_in_both_forms_and_nothing_else_is() {
        assert!(owner(Some("s3:cret"), "Bearer s3:cret"));
        assert!(owner(Some("s3:cret"), &format!("basic {}", STANDARD.encode("any:s3:cret"))));
        for given in ["Bearer s3:cre", "Bearer", "Bearer ", "Digest s3:cret", "Basic !!", "s3:cret"] {
            assert!(!owner(Some("s3:cret"), given), "{given}");
        }
        assert!(!owner(Some("s3:cret"), &format!("Basic {}", STANDARD.encode("s3:cret"))));
        assert!(!owner(None, "Bearer ") && !owner(Some(""), "Bearer ") && !owner(None, "Bearer x"));
        assert!(!is_owner(Some("x"), &HeaderMap::new()));
    }
}
