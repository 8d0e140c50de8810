//! The faces: what ordinary tools read from the archive over HTTP. One module a face.
//!
//! Owns the HTTP server and what each path means. Promises that no byte leaves that did not verify, that nothing here ever
//! calls an upstream, that anonymous requests change nothing and cost bounded work, and that archived pages never run in the
//! node's origin. Keeps nothing of its own: everything comes from the store, or through the node around it ([`Backend`]).

mod access;
mod backend;
mod content;
mod document;
mod feed;
mod fetching;
mod files;
mod helm;
mod host;
mod lists;
mod made;
mod oci;
mod problem;
mod range;
mod server;

pub use backend::{Backend, FetchError, Fetched};
pub use host::HostName;
pub use server::{Limits, Tls, TlsError, serve};

use std::sync::Arc;

use axum::{Router, middleware};

use fetching::Fetching;

/// How the faces behave.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Who gives this may push and delete (`Authorization: Bearer`, or the password of basic authentication, or of `/token`);
    /// none: nobody.
    pub token: Option<String>,
    /// Bytes an hour that anonymous requests may make the node fetch from its peers; none: any number.
    pub fetch_budget: Option<u64>,
    /// Names that this node is asked by, besides its addresses and `localhost`.
    pub hosts: Vec<HostName>,
}

/// What every face works with.
#[derive(Clone)]
pub(crate) struct Faces {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) options: Arc<Options>,
    pub(crate) fetching: Arc<Fetching>,
    pub(crate) lists: Arc<lists::Lists>,
    pub(crate) sending: content::Sending,
}

/// All faces under one roof.
pub fn router(backend: Arc<dyn Backend>, options: Options) -> Router {
    let fetching = Fetching::new(options.fetch_budget);
    let faces = Faces {
        backend,
        options: Arc::new(options),
        fetching,
        lists: Arc::default(),
        sending: content::Sending::default(),
    };
    Router::new()
        .merge(files::routes(&faces))
        .merge(helm::routes(&faces))
        .merge(feed::routes(&faces))
        .merge(oci::routes(faces))
        .layer(middleware::from_fn(access::with_security_headers))
}
