//! Errors in the format of the distribution specification:
//! `{"errors":[{"code","message","detail"}]}`.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use perennial_store::StoreError;
use serde_json::{Value, json};
use tokio::task::JoinError;

use crate::backend::SignError;
use crate::http_error::{HttpError, UNKNOWN};

/// An [`HttpError`] with an error code of the specification.
#[derive(Debug, Clone)]
pub(crate) struct OciError {
    error: HttpError,
    code: &'static str,
    detail: Value,
    headers: Vec<(HeaderName, String)>,
}

impl OciError {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self::with_code(HttpError::new(status, message), code)
    }

    fn with_code(error: HttpError, code: &'static str) -> Self {
        Self { error, code, detail: Value::Null, headers: Vec::new() }
    }

    /// Adds the machine-readable `detail`.
    pub(crate) fn with(self, detail: Value) -> Self {
        Self { detail, ..self }
    }

    /// Adds headers.
    pub(crate) fn and(self, headers: Vec<(HeaderName, String)>) -> Self {
        Self { headers, ..self }
    }

    /// The name breaks the grammar. The message does not repeat it, because it may be any text.
    pub(crate) fn name() -> Self {
        let message = "not a repository name: use lower-case letters and digits with single \
                       separators, at most 255 bytes";
        Self::new(StatusCode::BAD_REQUEST, "NAME_INVALID", message)
    }

    /// The digest breaks the grammar, or uses an algorithm that this node cannot check.
    pub(crate) fn digest() -> Self {
        let message = "not a digest: write sha256: and 64 lower-case hexadecimal digits, or \
                       sha512: and 128";
        Self::new(StatusCode::BAD_REQUEST, "DIGEST_INVALID", message)
    }

    /// The manifest breaks a rule.
    pub(crate) fn invalid(why: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "MANIFEST_INVALID", why)
    }

    /// A request for a manifest failed.
    pub(crate) fn manifest(error: HttpError) -> Self {
        Self::of(error, "MANIFEST_UNKNOWN")
    }

    /// A request for a blob failed.
    pub(crate) fn blob(error: HttpError) -> Self {
        Self::of(error, "BLOB_UNKNOWN")
    }

    /// Whether it says that something is not there.
    pub(crate) fn is_missing(&self) -> bool {
        self.error.status == StatusCode::NOT_FOUND
    }

    /// This node failed.
    pub(crate) fn internal(error: &dyn std::fmt::Display) -> Self {
        HttpError::internal(error).into()
    }

    /// Adds the code for the error's status; `missing` is the code for 404.
    fn of(error: HttpError, missing: &'static str) -> Self {
        let code = match error.status {
            StatusCode::NOT_FOUND => missing,
            StatusCode::TOO_MANY_REQUESTS => "TOOMANYREQUESTS",
            StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS | StatusCode::INSUFFICIENT_STORAGE => {
                "DENIED"
            }
            _ => "UNKNOWN",
        };
        Self::with_code(error, code)
    }
}

impl From<HttpError> for OciError {
    fn from(error: HttpError) -> Self {
        Self::of(error, "UNKNOWN")
    }
}

impl From<StoreError> for OciError {
    fn from(error: StoreError) -> Self {
        HttpError::from(error).into()
    }
}

impl From<std::io::Error> for OciError {
    fn from(error: std::io::Error) -> Self {
        HttpError::from(error).into()
    }
}

impl From<JoinError> for OciError {
    fn from(error: JoinError) -> Self {
        HttpError::from(error).into()
    }
}

impl From<serde_json::Error> for OciError {
    fn from(error: serde_json::Error) -> Self {
        HttpError::from(error).into()
    }
}

impl From<SignError> for OciError {
    fn from(error: SignError) -> Self {
        HttpError::from(error).into()
    }
}

/// A JSON response, byte for byte as the reference registry writes it.
pub(crate) fn json(status: StatusCode, body: &Value) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json; charset=utf-8")];
    (status, kind, format!("{body}\n")).into_response()
}

impl IntoResponse for OciError {
    fn into_response(self) -> Response {
        let more = self.error.headers();
        let HttpError { status, message } = self.error;
        // Clients write the code in front, which says so.
        let message = message.strip_prefix(UNKNOWN).unwrap_or(&message);
        let mut error = json!({"code": self.code, "message": message});
        if !self.detail.is_null() {
            error["detail"] = self.detail;
        }
        let mut response = json(status, &json!({"errors": [error]}));
        response.headers_mut().extend(more);
        for (name, value) in self.headers {
            let _ = HeaderValue::try_from(value)
                .map(|value| response.headers_mut().insert(name, value));
        }
        response
    }
}
