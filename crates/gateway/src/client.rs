//! The client of a request: where it is, for the shares of what clients can hold open.
//!
//! Kept beside the task that answers the request, because everything between the server and the
//! places where shares are taken would only hand it on.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use perennial_protocol::Prefix;

/// The client that a request came from, in the request's extensions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client(pub(crate) Prefix);

tokio::task_local! {
    static CLIENT: Prefix;
}

/// The prefix of the client whose request this task answers; none outside of requests.
pub(crate) fn prefix() -> Prefix {
    CLIENT.try_with(|prefix| *prefix).unwrap_or_default()
}

/// Answers a request as that of its client.
pub(crate) async fn as_client(request: Request, next: Next) -> Response {
    let client = request.extensions().get::<Client>().map_or(Prefix::NONE, |client| client.0);
    CLIENT.scope(client, next.run(request)).await
}
