//! An answer that is no content: which status, and a text that says what happened, to what, and what to do next.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Why there is no content. Gateway with a format of their own for errors make theirs of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HttpError {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
}

impl HttpError {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// The request makes no sense.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// Nobody signed such a thing, as far as this node knows.
    pub(crate) fn unknown(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("unknown: this node knows no {what}"))
    }

    /// It was signed, and its bytes cannot be had now.
    pub(crate) fn no_holder(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("known but no reachable holder: {what}"))
    }

    /// Our own fault.
    pub(crate) fn internal(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "a request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
        (self.status, kind, format!("{}\n", self.message)).into_response()
    }
}
