//! Serves the frontends over a store directory, without a node: reading works, fetching and signing
//! do not.
//!
//! ```sh
//! cargo run -p perennial-gateway --example serve -- DATA-DIRECTORY DID [ADDRESS]
//! curl http://127.0.0.1:4480/releases.json
//! ```
//!
//! `DID` is the publisher whose names resolve, in addition to those that the store's user follows.
//! The store must not be in use: stop the node first.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt, ready};
use perennial_gateway::{
    Backend, BlobRequest, FetchError, Limits, Options, SignError, router, serve,
};
use perennial_manifest::{Draft, PublisherId, ReleaseId};
use perennial_store::{OpenOptions, Store};
use tokio::net::TcpListener;

/// A backend with a store and no peers.
struct Offline {
    store: Store,
    publisher: PublisherId,
}

impl Backend for Offline {
    fn store(&self) -> &Store {
        &self.store
    }

    fn publisher(&self) -> PublisherId {
        self.publisher
    }

    fn fetch(&self, _: BlobRequest) -> BoxFuture<'static, Result<(), FetchError>> {
        ready(Err(FetchError::NoHolder)).boxed()
    }

    fn fetch_list(&self, _: ReleaseId) -> BoxFuture<'static, Result<(), FetchError>> {
        ready(Err(FetchError::NoHolder)).boxed()
    }

    fn sign(&self, _: Draft) -> BoxFuture<'static, Result<ReleaseId, SignError>> {
        ready(Err(SignError::new("this archive is read-only"))).boxed()
    }

    fn yank(
        &self,
        _: ReleaseId,
        _: String,
        _: Vec<String>,
    ) -> BoxFuture<'static, Result<(), SignError>> {
        ready(Err(SignError::new("this archive is read-only"))).boxed()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (directory, publisher, address) = match &arguments[..] {
        [directory, did] => (directory, did.parse()?, "127.0.0.1:4480"),
        [directory, did, address] => (directory, did.parse()?, address.as_str()),
        _ => return Err("usage: serve DATA-DIRECTORY DID [ADDRESS]".into()),
    };
    let store = Store::open(Path::new(directory), OpenOptions::default())?;
    let listener = TcpListener::bind(address).await?;
    println!("serving {directory} at http://{}/", listener.local_addr()?);
    // Without a token in the options, pushing is disabled.
    let frontends = router(Arc::new(Offline { store, publisher }), Options::default());
    let stop = async {
        // An error means that signals cannot be received: stop at once.
        let _ = tokio::signal::ctrl_c().await;
    };
    serve(listener, None, frontends, Limits::default(), stop).await;
    Ok(())
}
