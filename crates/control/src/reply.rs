//! The frames a node replies with: any number of events, then one answer or one failure.

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::progress::Progress;

/// What arrives before an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Event<I> {
    /// How far the request is.
    Progress(Progress),
    /// One row.
    Item(I),
}

/// One frame from the node; `Done` or `Error` is the last of a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Reply<I, A> {
    /// How far the request is. Dropped when the client is slow.
    Progress(Progress),
    /// One row.
    Item(I),
    /// The answer.
    Done(A),
    /// Why there is no answer.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Number of rows sent.
    pub rows: u64,
    /// Whether the request's limit left rows out.
    pub more: bool,
}
