//! Imports releases from upstreams: verified blobs in the store, and an unsigned release. One file
//! per upstream.
//!
//! Owns the requests to an upstream and the trust in its answers. Promises that bytes are stored
//! unchanged and verified against every digest that the upstream states, that memory does not grow
//! with the download, that an interrupted import resumes where it stopped, and that no address
//! inside the user's network is contacted unless that is allowed. Signs nothing.

mod client;
mod collected;
mod download;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod guard;
mod helm;
mod html;
mod http;
mod image;
mod layout;
mod locked;
mod meter;
mod outcome;
mod registry;
mod retry;

pub use error::ImportError;
pub use guard::Options;
pub use helm::{Chart, ChartImported, chart, images_of, is_chart};
pub use http::{Urls, urls};
pub use layout::{Archive, layout};
pub use outcome::{Imported, Progress, Watch};
pub use perennial_operation::{Completeness, Failed};
pub use registry::{Images, all_tags, images};
