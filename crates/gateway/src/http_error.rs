//! An error response: a status, and a text that says what happened, to what, and what to do next.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use perennial_store::StoreError;
use tokio::task::JoinError;

use crate::backend::{FetchError, SignError};

/// Why a request yields no content. Frontends with an error format of their own wrap it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HttpError {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
}

impl HttpError {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// The request is malformed or contradictory.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// No publisher known to this node signed `what`.
    pub(crate) fn unknown(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("unknown: this node knows no {what}"))
    }

    /// A publisher signed `what`, but no reachable peer has the bytes.
    pub(crate) fn no_holder(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("known but no reachable holder: {what}"))
    }

    /// This node failed.
    pub(crate) fn internal(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    }

    /// The node cannot read what it holds.
    pub(crate) fn unavailable(reason: &impl std::fmt::Display) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, reason.to_string())
    }

    /// Fetching `what` failed.
    pub(crate) fn fetch(error: &FetchError, what: &str) -> Self {
        match error {
            FetchError::NoHolder => Self::no_holder(what),
            FetchError::Failed(source) => Self::internal(source),
        }
    }
}

impl From<StoreError> for HttpError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Denied(_) => {
                Self::new(StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS, error.to_string())
            }
            StoreError::DiskFull { .. } => disk_full(),
            _ => Self::internal(&error),
        }
    }
}

impl From<std::io::Error> for HttpError {
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        match error.kind() {
            StorageFull | QuotaExceeded => disk_full(),
            _ => Self::internal(&error),
        }
    }
}

impl From<JoinError> for HttpError {
    fn from(error: JoinError) -> Self {
        Self::internal(&error)
    }
}

impl From<serde_json::Error> for HttpError {
    fn from(error: serde_json::Error) -> Self {
        Self::internal(&error)
    }
}

impl From<SignError> for HttpError {
    fn from(error: SignError) -> Self {
        Self::internal(&error)
    }
}

fn disk_full() -> HttpError {
    let message = "the disk of this node is full: nothing was kept; try again when there is room";
    HttpError::new(StatusCode::INSUFFICIENT_STORAGE, message)
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
        (self.status, kind, format!("{}\n", self.message)).into_response()
    }
}
