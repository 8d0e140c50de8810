//! A Perennial node: configuration, keys, the archive, the network's event loop, shutdown.
//!
//! The only crate that performs effects. [`Node::start`] may be called several times in one
//! process; each node has its own data directory. [`Archive`] offers the operations of a node. The
//! command line requests them over the control socket in the data directory, even when the node
//! runs inside the same process; a program that embeds a node calls [`Node::archive`].

mod archive;
pub mod config;
pub mod daemon;
mod descriptors;
mod disk;
mod frontends;
pub mod keys;
mod memory;
mod network;
mod node;
pub mod place;
mod restore;
mod start_error;
mod waiting;

pub use archive::{
    Archive, ArchiveError, Claim, ExportError, FetchError, FetchedBlob, FetchedRelease, Image,
    ImageError, Observer, Offender, PublishOptions, Rebuilt, SignError, Unreached, Unresolved,
    Verified,
};
pub use config::Config;
pub use disk::DiskError;
pub use frontends::control::BindError;
pub use frontends::http::{HostName, HostNameError, ServeError};
pub use node::Node;
pub use perennial_operation::{
    Add, Completeness, ErrorKind, Failed, Import, ImportEvent, ImportSource, ImportSummary,
    Progress, Published, Stage,
};
pub use perennial_store::log_index_panics;
pub use restore::restore_key;
pub use start_error::StartError;
