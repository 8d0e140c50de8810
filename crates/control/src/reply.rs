//! The frames a node replies with: any number of events, then one answer or one failure.

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use perennial_operation::Progress;

/// An event before the answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Event<I> {
    /// The progress of the request.
    Progress(Progress),
    /// One row.
    Item(I),
}

/// One frame from the node; `Done` or `Error` ends the conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Reply<I, A> {
    /// The progress of the request. Dropped when the client is slow.
    Progress(Progress),
    /// One row.
    Item(I),
    /// The answer.
    Done(A),
    /// Why the request was not answered.
    Error(Failure),
}

impl<I, A> From<Event<I>> for Reply<I, A> {
    fn from(event: Event<I>) -> Reply<I, A> {
        match event {
            Event::Progress(progress) => Reply::Progress(progress),
            Event::Item(item) => Reply::Item(item),
        }
    }
}

/// The rows of a request that streams none: this type has no values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoRows {}

/// The answer to a request for a list: all its rows were sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Number of rows sent.
    pub rows: u64,
    /// Set if more rows exist than the request's limit.
    pub more: bool,
    /// Notices for the user about listed releases, such as lost files.
    #[serde(default)]
    pub notices: Vec<String>,
}
