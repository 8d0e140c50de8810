//! containerd's `_default/hosts.toml`, pointing here: every registry is asked for at this node.

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::Registry;
use crate::host;

/// The file, for the address that it was asked by.
pub(super) async fn file(State(registry): State<Registry>, request: Request) -> Response {
    let (request, _) = request.into_parts();
    let Some(origin) = host::origin(&registry.gateway.options.hosts, &request) else {
        let message = "the Host header tells no host to write into hosts.toml\n";
        return (StatusCode::BAD_REQUEST, message).into_response();
    };
    let text = format!("[host.\"{origin}\"]\n  capabilities = [\"pull\", \"resolve\"]\n");
    ([(header::CONTENT_TYPE, "application/toml")], text).into_response()
}
