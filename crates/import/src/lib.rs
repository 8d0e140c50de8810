//! From an upstream to verified blobs in the store and an unsigned release: one file per upstream.
//!
//! Owns the requests to an upstream and the trust in its answers. Promises that bytes are stored as
//! they came and compared with every digest that the upstream states, that memory does not grow with
//! what is fetched, that an import continues where it was cut off, and that no address inside the
//! user's network is called unless that is allowed. Signs nothing.

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
pub use helm::{Chart, ChartImported, chart, images_of};
pub use http::{Urls, urls};
pub use layout::{Archive, layout};
pub use outcome::{Completeness, Failed, Imported, Progress, Watch};
pub use registry::{Images, images};
