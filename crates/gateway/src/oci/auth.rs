//! Authentication as registry clients expect it. Clients with the node's token may push and delete;
//! reading needs no token.
//!
//! Owns the response to `GET /v2/` and the endpoint that exchanges a password for a bearer token.
//! docker makes both necessary: it sends a password only after a 401 from `/v2/`, and after a
//! `Basic` challenge there it does not pull without a password. The exchange returns the password
//! itself, so that the node keeps no session and no token expires; a client without a password gets
//! a token that allows no push.
//! allows no push.

use axum::extract::{Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::Registry;
use super::error::{self, OciError};
use crate::access::{is_owner, owner_token};
use crate::gateway::Options;
use crate::host;

/// The path of the endpoint that exchanges passwords.
pub(super) const PATH: &str = "/token";
/// Placeholder token for anonymous clients. Shorter than any real token, so that it never matches
/// one.
const ANONYMOUS: &str = "anonymous";
/// Seconds after which clients ask for a new token.
const EXPIRES: u32 = 3600;
/// The challenge to clients that send a wrong password to the exchange.
const BASIC: HeaderValue = HeaderValue::from_static("Basic realm=\"perennial\", charset=\"UTF-8\"");

/// The response to `GET /v2/`, which tells clients of a node with a token how to authenticate.
pub(super) fn ping(options: &Options, request: &Parts) -> Response {
    if options.token.is_some()
        && !is_owner(options, &request.headers)
        && !is_anonymous(&request.headers)
    {
        return refuse(options, request);
    }
    ([(header::CONTENT_TYPE, "application/json; charset=utf-8")], "{}").into_response()
}

/// Returns whether a client sent the token that the exchange issues without a password.
fn is_anonymous(headers: &HeaderMap) -> bool {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    given.and_then(|given| given.split_once(' ')).is_some_and(|(_, given)| given == ANONYMOUS)
}

/// Refuses a change requested without the token, and says how to authenticate.
pub(super) fn refuse(options: &Options, request: &Parts) -> Response {
    let challenge = host::origin(&options.hosts, request).and_then(|origin| {
        format!("Bearer realm=\"{origin}{PATH}\",service=\"perennial\"").parse().ok()
    });
    refused(options, challenge.unwrap_or(BASIC))
}

fn refused(options: &Options, challenge: HeaderValue) -> Response {
    if options.token.is_none() {
        let message = "this node accepts no pushes: its owner has to start it with --token-file";
        let error = OciError::new(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", message);
        return error.and(vec![(header::ALLOW, super::READS.to_owned())]).into_response();
    }
    let message = "give this node's token as the password, with any user name";
    let mut refused =
        OciError::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", message).into_response();
    refused.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    refused
}

/// Exchanges a password for a bearer token. A client that only asks to pull always gets a token for
/// that, even with a wrong password, because clients send passwords they once stored.
pub(super) async fn exchange(
    State(registry): State<Registry>,
    Query(query): Query<Vec<(String, String)>>,
    request: Request,
) -> Response {
    let options = &registry.gateway.options;
    let token = match owner_token(options, request.headers()) {
        Some(token) => token,
        None if !request.headers().contains_key(header::AUTHORIZATION) || only_pulls(&query) => {
            ANONYMOUS.to_owned()
        }
        None => return refused(options, BASIC),
    };
    let body = json!({"token": token, "access_token": token, "expires_in": EXPIRES});
    let mut response = error::json(StatusCode::OK, &body);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Returns whether the scopes request pulling and nothing else: `scope=repository:team/app:pull`,
/// with several scopes separated by spaces or repeated.
fn only_pulls(query: &[(String, String)]) -> bool {
    let scopes =
        query.iter().filter(|(key, _)| key == "scope").flat_map(|(_, value)| value.split(' '));
    let mut actions =
        scopes.filter(|scope| !scope.is_empty()).map(|scope| scope.rsplit(':').next()).peekable();
    actions.peek().is_some() && actions.all(|actions| actions == Some("pull"))
}
