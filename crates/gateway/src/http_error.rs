//! An error response: a status, and a text that says what happened, to what, and what to do next.

use std::error::Error;
use std::io;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use perennial_store::StoreError;
use tokio::task::JoinError;

use crate::backend::{FetchError, SignError};

/// The system's codes for too many open files: `EMFILE` of the process, `ENFILE` of the machine.
const OPEN_FILES: [i32; 2] = [24, 23];

/// The beginning of an error about something that no statement known here names.
pub(crate) const UNKNOWN: &str = "unknown: ";

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
        Self::new(StatusCode::NOT_FOUND, format!("{UNKNOWN}this node knows no {what}"))
    }

    /// Whether it says that no publisher known to this node signed what was asked for.
    pub(crate) fn is_unknown(&self) -> bool {
        self.status == StatusCode::NOT_FOUND && self.message.starts_with(UNKNOWN)
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

    /// This node failed, or has too many files open to serve one client more at the moment.
    fn failed(error: &(dyn Error + 'static)) -> Self {
        let mut cause = Some(error);
        let mut code = None;
        while let (Some(at), None) = (cause, code) {
            code = at.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
            cause = at.source();
        }
        if code.is_some_and(|code| OPEN_FILES.contains(&code)) {
            tracing::warn!(%error, "too many open files; raise the limit (ulimit -n)");
            let message = "this node is busy: too many files are open; try again in a moment";
            return Self::new(StatusCode::SERVICE_UNAVAILABLE, message);
        }
        Self::internal(&error)
    }

    /// The headers that go with the status.
    pub(crate) fn headers(&self) -> Option<(HeaderName, HeaderValue)> {
        let is_busy = self.status == StatusCode::SERVICE_UNAVAILABLE;
        is_busy.then_some((header::RETRY_AFTER, HeaderValue::from_static("2")))
    }

    /// Fetching `what` failed.
    pub(crate) fn fetch(error: &FetchError, what: &str) -> Self {
        match error {
            FetchError::NoHolder => Self::no_holder(what),
            FetchError::NoRoom => {
                let message = format!("this node has no room for {what}: try another node");
                Self::new(StatusCode::INSUFFICIENT_STORAGE, message)
            }
            FetchError::Failed(source) => Self::failed(source.as_ref()),
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
            StoreError::OverQuota { .. } => over_quota(),
            _ => Self::failed(&error),
        }
    }
}

impl From<std::io::Error> for HttpError {
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        match error.kind() {
            StorageFull | QuotaExceeded => disk_full(),
            _ => Self::failed(&error),
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

fn over_quota() -> HttpError {
    let message = "this node has all the disk space that its owner gives it: nothing was kept; try \
                   again when there is room";
    HttpError::new(StatusCode::INSUFFICIENT_STORAGE, message)
}

fn disk_full() -> HttpError {
    let message = "the disk of this node is full: nothing was kept; try again when there is room";
    HttpError::new(StatusCode::INSUFFICIENT_STORAGE, message)
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
        let more = self.headers();
        let mut response = (self.status, kind, format!("{}\n", self.message)).into_response();
        response.headers_mut().extend(more);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_open_files_are_a_reason_to_come_back() {
        for code in OPEN_FILES {
            let source = io::Error::from_raw_os_error(code);
            let wrapped = StoreError::Io { path: "blobs/x".into(), source };
            for error in [
                HttpError::from(io::Error::from_raw_os_error(code)),
                HttpError::from(wrapped),
                HttpError::fetch(&FetchError::failed(io::Error::from_raw_os_error(code)), "x"),
            ] {
                let response = error.into_response();
                assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
                assert!(response.headers().contains_key(header::RETRY_AFTER));
            }
        }
        let other = HttpError::from(io::Error::from_raw_os_error(5)).into_response();
        assert_eq!(other.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!other.headers().contains_key(header::RETRY_AFTER));
    }
}
