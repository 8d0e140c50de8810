//! The owner's token, and the browser security headers.
//!
//! Owns the check of the token and the security headers of every response. Decides nothing about
//! content.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::stream;
use subtle::ConstantTimeEq;

use crate::gateway::Options;

/// Security headers of every response: archived pages are data, never pages of this node.
const SECURITY: [(HeaderName, HeaderValue); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("cross-origin"),
    ),
];

/// Returns whether a request carries the node's token, as `Authorization: Bearer` or as the
/// password of basic authentication. A node without a token has no owner.
pub(crate) fn is_owner(options: &Options, request: &HeaderMap) -> bool {
    owner_token(options, request).is_some()
}

/// The token that a request carries, if it is the node's. The node's is looked at only when a
/// request brings one.
pub(crate) fn owner_token(options: &Options, request: &HeaderMap) -> Option<String> {
    let token = options.token.as_ref()?;
    let given = request.get(header::AUTHORIZATION)?.to_str().ok().and_then(secret)?;
    let token = token.now();
    let is_it = !token.is_empty() && bool::from(given.as_bytes().ct_eq(token.as_bytes()));
    is_it.then_some(token)
}

/// The secret part of an `Authorization` header.
fn secret(authorization: &str) -> Option<String> {
    let (scheme, rest) = authorization.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
    decoded.split_once(':').map(|(_, password)| password.to_owned())
}

/// The media types that browsers render as pages. No frontend generates such content: it was
/// archived, and its publisher chose the type.
const PAGES: [&str; 3] = ["text/html", "application/xhtml+xml", "image/svg+xml"];

/// Returns whether a browser would render a response as a page.
fn is_page(headers: &HeaderMap) -> bool {
    let kind =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    PAGES.iter().any(|page| kind.eq_ignore_ascii_case(page))
}

/// Adds the security headers to a response, except those that the frontend set itself. Where HTTP
/// forbids a length, the body becomes an empty stream of unknown length: axum would answer HEAD
/// with a length of 0, which clients would take for the content's (RFC 9110, section 8.6).
pub(crate) async fn with_security_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if is_page(response.headers()) {
        let download = HeaderValue::from_static("attachment");
        response.headers_mut().entry(header::CONTENT_DISPOSITION).or_insert(download);
    }
    for (name, value) in SECURITY {
        response.headers_mut().entry(name).or_insert(value);
    }
    if matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        *response.body_mut() = Body::from_stream(stream::empty::<Result<Bytes, Infallible>>());
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        Options { token: Some("s3:cret".into()), ..Options::default() }
    }

    fn owner(authorization: &str) -> bool {
        let headers = [(header::AUTHORIZATION, authorization.parse().expect("a value"))]
            .into_iter()
            .collect();
        is_owner(&options(), &headers)
    }

    #[test]
    fn the_token_is_taken_as_bearer_and_as_password() {
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        assert!(owner("Bearer s3:cret") && owner("bearer s3:cret"));
        assert!(owner(&basic("anybody:s3:cret")) && owner(&basic(":s3:cret")));
        for wrong in [
            "Bearer s3:cre",
            "Bearer s3:crets",
            "Bearer ",
            "s3:cret",
            "Digest s3:cret",
            "Basic ???",
        ] {
            assert!(!owner(wrong), "{wrong}");
        }
        assert!(!owner(&basic("s3:cret")) && !owner(&basic("a:b")));
        let headers =
            [(header::AUTHORIZATION, "Bearer ".parse().expect("a value"))].into_iter().collect();
        for token in [None, Some("".into())] {
            assert!(
                !is_owner(&Options { token, ..Options::default() }, &headers),
                "without a token, no client is the owner"
            );
        }
    }
}
