//! What those hear who may not push and delete: only whoever gives the node's token may. Reading asks for nothing.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::refusal::Refusal;

/// What a client is asked for.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Basic realm=\"perennial\", charset=\"UTF-8\"");

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
