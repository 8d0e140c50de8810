//! Who asks, by which name of this node, and what browsers may do with an answer.
//!
//! Owns the token's check, the check of the Host header, and the headers of every answer. Decides nothing about content.

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, uri::Authority};
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq;

use crate::Options;
use crate::problem::Problem;

/// On every answer: archived pages are data, never a page of this node.
const SECURITY: [(HeaderName, HeaderValue); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("cross-origin")),
];

/// Whether a request came with the node's token: as `Authorization: Bearer`, or as the password of basic authentication. Where
/// there is no token, nobody is the owner.
pub(crate) fn is_owner(options: &Options, request: &HeaderMap) -> bool {
    let Some(token) = options.token.as_deref().filter(|token| !token.is_empty()) else { return false };
    let given = request.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(secret);
    given.is_some_and(|given| bool::from(given.as_bytes().ct_eq(token.as_bytes())))
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

/// Refuses a request for a name that is not this node's, as a page of another origin makes whose name was pointed here (DNS
/// rebinding). Addresses, `localhost` and the names that are configured are this node's.
pub(crate) fn check_host(
    options: &Options,
    request: &HeaderMap,
    authority: Option<&Authority>,
) -> Result<(), Problem> {
    let named = request.get(header::HOST).and_then(|value| value.to_str().ok()).map(str::to_owned);
    // HTTP/2 names it in the request's target
    let named = named.or_else(|| authority.map(ToString::to_string));
    let host = named.as_deref().and_then(host_of);
    let ours = host.as_deref().is_some_and(|host| {
        host.parse::<IpAddr>().is_ok()
            || host == "localhost"
            || options.hosts.iter().any(|ours| ours.eq_ignore_ascii_case(host))
    });
    if ours {
        return Ok(());
    }
    let named = named.unwrap_or_default();
    Err(Problem::new(
        StatusCode::MISDIRECTED_REQUEST,
        format!("{named:?} is no name of this node: ask by its address or localhost, or configure the name"),
    ))
}

/// The host of an authority in lower case, without port and brackets.
fn host_of(named: &str) -> Option<String> {
    let authority: Authority = named.parse().ok()?;
    if authority.as_str().contains('@') {
        return None;
    }
    let host = authority.host();
    Some(host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase())
}

/// Puts the security headers on an answer; what a face set itself stays.
pub(crate) async fn with_security_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in SECURITY {
        response.headers_mut().entry(name).or_insert(value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        Options { token: Some("s3:cret".into()), hosts: vec!["archive.example".into()], ..Options::default() }
    }

    fn owner(authorization: &str) -> bool {
        let headers =
            [(header::AUTHORIZATION, authorization.parse().expect("a value"))].into_iter().collect();
        is_owner(&options(), &headers)
    }

    #[test]
    fn the_token_is_taken_as_bearer_and_as_password() {
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        assert!(owner("Bearer s3:cret") && owner("bearer s3:cret"));
        assert!(owner(&basic("anybody:s3:cret")) && owner(&basic(":s3:cret")));
        for wrong in ["Bearer s3:cre", "Bearer s3:crets", "Bearer ", "s3:cret", "Digest s3:cret", "Basic ???"]
        {
            assert!(!owner(wrong), "{wrong}");
        }
        assert!(!owner(&basic("s3:cret")) && !owner(&basic("a:b")));
        let headers = [(header::AUTHORIZATION, "Bearer ".parse().expect("a value"))].into_iter().collect();
        for token in [None, Some(String::new())] {
            assert!(!is_owner(&Options { token, ..Options::default() }, &headers), "without a token: nobody");
        }
    }

    #[test]
    fn only_names_of_this_node_are_answered() {
        let check = |host: &str| {
            let headers = [(header::HOST, host.parse().expect("a value"))].into_iter().collect();
            check_host(&options(), &headers, None).is_ok()
        };
        for ours in [
            "127.0.0.1:4480",
            "127.0.0.1",
            "[::1]:4480",
            "localhost:4480",
            "LocalHost",
            "archive.example",
            "Archive.Example.:1",
        ] {
            assert!(check(ours), "{ours}");
        }
        for other in [
            "evil.example:4480",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "",
            "a@localhost",
            "b c",
        ] {
            assert!(!check(other), "{other}");
        }
        let authority: Authority = "evil.example".parse().expect("an authority");
        assert!(check_host(&options(), &HeaderMap::new(), Some(&authority)).is_err());
        assert!(check_host(&options(), &HeaderMap::new(), None).is_err());
    }
}
