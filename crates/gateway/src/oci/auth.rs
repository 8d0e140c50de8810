//! Who may push and delete, in the way that registries' clients know: whoever gives the node's token. Reading asks for nothing.
//!
//! Owns the answer to `GET /v2/` and the address where a password is exchanged for a bearer token. docker makes both necessary:
//! it sends a password only where `/v2/` answered 401, and after a `Basic` challenge there it pulls nothing without one. What the
//! exchange gives is the password itself, so that nothing is remembered here and nothing expires; who has none gets a token
//! that lets nobody push.

use axum::extract::{Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::Registry;
use super::error::{self, OciError};
use crate::access::is_owner;
use crate::gateway::Options;
use crate::host;

/// Where passwords are exchanged.
pub(super) const PATH: &str = "/token";
/// What those have who gave no password; shorter than any token.
const ANONYMOUS: &str = "anonymous";
/// Seconds after which clients ask again.
const EXPIRES: u32 = 3600;
/// For those who give a wrong password to the exchange itself.
const BASIC: HeaderValue = HeaderValue::from_static("Basic realm=\"perennial\", charset=\"UTF-8\"");

/// What `GET /v2/` says: where there is a token, clients learn here how to ask for theirs.
pub(super) fn ping(options: &Options, request: &Parts) -> Response {
    if options.token.is_some()
        && !is_owner(options, &request.headers)
        && !is_anonymous(&request.headers)
    {
        return refuse(options, request);
    }
    ([(header::CONTENT_TYPE, "application/json; charset=utf-8")], "{}").into_response()
}

/// Whether a client made the exchange without a password.
fn is_anonymous(headers: &HeaderMap) -> bool {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    given.and_then(|given| given.split_once(' ')).is_some_and(|(_, given)| given == ANONYMOUS)
}

/// Refuses whoever may not change anything, and says how to authenticate.
pub(super) fn refuse(options: &Options, request: &Parts) -> Response {
    let challenge = host::origin(&options.hosts, request).and_then(|origin| {
        format!("Bearer realm=\"{origin}{PATH}\",service=\"perennial\"").parse().ok()
    });
    refused(options, challenge.unwrap_or(BASIC))
}

fn refused(options: &Options, challenge: HeaderValue) -> Response {
    if options.token.is_none() {
        let message = "this node takes no pushes: its owner has to start it with --token-file";
        let refusal = OciError::new(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", message);
        return refusal.and(vec![(header::ALLOW, super::READS.to_owned())]).into_response();
    }
    let message = "give this node's token as the password, with any user name";
    let mut refused =
        OciError::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", message).into_response();
    refused.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    refused
}

/// Exchanges a password for what `Authorization: Bearer` takes. Whoever only wants to pull gets what is good for that, whatever
/// the password: clients send what they once stored.
pub(super) async fn exchange(
    State(registry): State<Registry>,
    Query(query): Query<Vec<(String, String)>>,
    request: Request,
) -> Response {
    let options = &registry.gateway.options;
    let token = match &options.token {
        Some(token) if is_owner(options, request.headers()) => token,
        _ if !request.headers().contains_key(header::AUTHORIZATION) || only_pulls(&query) => {
            ANONYMOUS
        }
        _ => return refused(options, BASIC),
    };
    let body = json!({"token": token, "access_token": token, "expires_in": EXPIRES});
    let mut response = error::json(StatusCode::OK, &body);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Whether something is asked for, and nothing but pulling: `scope=repository:team/app:pull`, several with spaces or repeated.
fn only_pulls(query: &[(String, String)]) -> bool {
    let scopes =
        query.iter().filter(|(key, _)| key == "scope").flat_map(|(_, value)| value.split(' '));
    let mut actions =
        scopes.filter(|scope| !scope.is_empty()).map(|scope| scope.rsplit(':').next()).peekable();
    actions.peek().is_some() && actions.all(|actions| actions == Some("pull"))
}
