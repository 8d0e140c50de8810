//! Errors on their way to the user: what happened, and whose turn it is.

use perennial_control::{ErrorCode, Failure};

/// Something went wrong that the user did not ask for.
pub(crate) fn failed(error: impl ToString) -> Failure {
    Failure::new(ErrorCode::Failed, error.to_string())
}

/// What was asked for makes no sense.
pub(crate) fn usage(error: impl ToString) -> Failure {
    Failure::new(ErrorCode::Usage, error.to_string())
}
