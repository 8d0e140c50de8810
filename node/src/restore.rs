//! Taking a copy of a publisher's key into an archive that has none, before any node runs there.

use std::path::Path;

use perennial_manifest::PublisherId;
use perennial_store::{OpenOptions, OwnFeed, Store};

use crate::config::Config;
use crate::start_error::StartError;
use crate::{node, place};

/// Restores a publisher's key from a copy. The key may have signed elsewhere: before this archive
/// signs with it, it asks its peers for the entries.
///
/// # Errors
/// When a node runs there, when a key is there, or when the copy is no key. Blocks.
pub fn restore_key(config: &Config, from: &Path) -> Result<PublisherId, StartError> {
    place::check(config)?;
    let store = Store::open(&config.data, OpenOptions::default())?;
    place::made(config);
    let (keys, _) = node::keys_of(config)?;
    let publisher = keys.restore(from)?;
    // An archive whose key file was lost knows its own feed.
    let known = store.own_feed().is_some_and(|own| own.publisher == publisher && own.known);
    store.set_own_feed(OwnFeed::of(publisher, known)).map_err(perennial_store::OpenError::from)?;
    Ok(publisher)
}
