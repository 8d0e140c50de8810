//! A Perennial node: configuration, keys, the archive, the network's event loop, shutdown.
//!
//! The only place where effects happen. [`Node::start`] may be called many times in one process;
//! each node has a data directory of its own. [`Archive`] is what a node can do. The command line
//! asks for it over the control socket in the data directory, also when the node runs inside the
//! command that asks; a program that embeds a node calls [`Node::archive`].

mod archive;
pub mod config;
pub mod daemon;
mod frontends;
pub mod keys;
mod network;
mod node;

pub use archive::{
    AddFiles, Archive, ArchiveError, Claim, ErrorKind, ExportError, FetchError, FetchedBlob,
    FetchedRelease, Import, ImportNews, ImportSource, ImportSummary, Observer, PinTarget, Progress,
    PublishOptions, Published, Rebuilt, SignError, Stage, Unresolved, Verified,
};
pub use config::Config;
pub use frontends::control::BindError;
pub use frontends::http::{HostName, ServeError};
pub use node::{Node, StartError};
