//! Errors as the distribution specification writes them: `{"errors":[{"code","message","detail"}]}`.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use perennial_store::StoreError;
use serde_json::{Value, json};

use crate::http_error::HttpError;

/// Why a request of a registry's client is refused.
#[derive(Debug, Clone)]
pub(crate) struct OciError {
    status: StatusCode,
    code: &'static str,
    message: String,
    detail: Value,
    headers: Vec<(HeaderName, String)>,
}

impl OciError {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), detail: Value::Null, headers: Vec::new() }
    }

    /// With what a program may read of it.
    pub(crate) fn with(self, detail: Value) -> Self {
        Self { detail, ..self }
    }

    /// With headers.
    pub(crate) fn and(self, headers: Vec<(HeaderName, String)>) -> Self {
        Self { headers, ..self }
    }

    /// A name outside the grammar; the text given is not repeated, it may be anything.
    pub(crate) fn name() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "NAME_INVALID",
            "no name of a repository: lower-case letters and digits with single separators, at most 255 bytes",
        )
    }

    /// A digest outside the grammar, or of an algorithm that is not checked here.
    pub(crate) fn digest() -> Self {
        let message =
            "no digest: write sha256: and 64, or sha512: and 128 lower-case hexadecimal digits";
        Self::new(StatusCode::BAD_REQUEST, "DIGEST_INVALID", message)
    }

    /// A manifest that breaks a rule.
    pub(crate) fn invalid(why: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "MANIFEST_INVALID", why)
    }

    /// A manifest that is not there.
    pub(crate) fn manifest(problem: &HttpError) -> Self {
        Self::of(problem, "MANIFEST_UNKNOWN")
    }

    /// A blob that is not there.
    pub(crate) fn blob(problem: &HttpError) -> Self {
        Self::of(problem, "BLOB_UNKNOWN")
    }

    /// A problem of the node, with the code that it has where nothing is found.
    fn of(problem: &HttpError, missing: &'static str) -> Self {
        let code = match problem.status {
            StatusCode::NOT_FOUND => missing,
            StatusCode::TOO_MANY_REQUESTS => "TOOMANYREQUESTS",
            StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS => "DENIED",
            _ => "UNKNOWN",
        };
        Self::new(problem.status, code, problem.message.clone())
    }

    /// The store failed.
    pub(crate) fn store(error: &StoreError) -> Self {
        match error {
            StoreError::Denied(_) => {
                Self::new(StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS, "DENIED", error.to_string())
            }
            StoreError::DiskFull { .. } => full(),
            _ => Self::internal(error),
        }
    }

    /// A file of an upload failed.
    pub(crate) fn io(error: &std::io::Error) -> Self {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        match error.kind() {
            StorageFull | QuotaExceeded => full(),
            _ => Self::internal(error),
        }
    }

    /// Our own fault.
    pub(crate) fn internal(error: &dyn std::fmt::Display) -> Self {
        Self::of(&HttpError::internal(error), "UNKNOWN")
    }
}

fn full() -> OciError {
    let message = "the disk of this node is full: nothing was kept, try again when there is room";
    OciError::new(StatusCode::INSUFFICIENT_STORAGE, "DENIED", message)
}

/// An answer in JSON, byte for byte as the reference registry writes it.
pub(crate) fn json(status: StatusCode, body: &Value) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json; charset=utf-8")];
    (status, kind, format!("{body}\n")).into_response()
}

impl IntoResponse for OciError {
    fn into_response(self) -> Response {
        let mut error = json!({"code": self.code, "message": self.message});
        if !self.detail.is_null() {
            error["detail"] = self.detail;
        }
        let mut response = json(self.status, &json!({"errors": [error]}));
        for (name, value) in self.headers {
            let _ = HeaderValue::try_from(value)
                .map(|value| response.headers_mut().insert(name, value));
        }
        response
    }
}
