//! Uploads in progress: one file each, written in order, its SHA-256 computed along the way.
//!
//! Bytes become a blob only after their digest was checked, and abandoned uploads are removed after
//! a day. The store's garbage collection removes files left by an earlier run of the node.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use futures::stream::StreamExt;
use perennial_manifest::Sha256;
use perennial_oci::Digest;
use perennial_protocol::Prefix;
use perennial_store::{Added, Lease, MAX_BLOB, Room, SMALL, Store};

use super::error::OciError;
use super::name::Named;
use super::pending::PATIENCE;
use crate::blocking::blocking;

/// Concurrent uploads, at most.
const MOST: usize = 1024;
/// Concurrent uploads of clients of one address prefix, at most. An engine has a few of each image.
const PER_PREFIX: usize = MOST / 4;
/// Pieces of a body queued for writing, at most.
const QUEUE: usize = 16;

/// All uploads in progress.
#[derive(Debug)]
pub(crate) struct Uploads {
    room: Room,
    sessions: Mutex<HashMap<String, Session>>,
}

#[derive(Debug)]
struct Session {
    name: Named,
    client: Prefix,
    touched: Instant,
    part: Arc<tokio::sync::Mutex<Part>>,
}

/// The received part of a blob.
#[derive(Debug)]
pub(crate) struct Part {
    path: PathBuf,
    room: Room,
    received: u64,
    sha256: Sha256,
}

/// An upload locked by one request.
pub(crate) type Open = tokio::sync::OwnedMutexGuard<Part>;

impl Uploads {
    pub(crate) fn new(room: Room) -> Self {
        Self { room, sessions: Mutex::default() }
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins an upload to a repository, and removes uploads abandoned for a day.
    pub(crate) fn begin(
        &self,
        name: Named,
        client: Prefix,
        now: Instant,
    ) -> Result<String, OciError> {
        let mut sessions = self.sessions();
        sessions.retain(|_, session| {
            let left = now.duration_since(session.touched) >= PATIENCE;
            // An upload that a request is still writing to is not abandoned.
            let part = left.then(|| session.part.try_lock().ok()).flatten();
            if let Some(part) = &part {
                remove(&part.path);
                self.room.has_shrunk();
            }
            part.is_none()
        });
        let is_near = |other: &&Session| client.is_shared() && other.client == client;
        if sessions.len() >= MOST || sessions.values().filter(is_near).count() >= PER_PREFIX {
            let message = format!(
                "too many uploads are in progress ({MOST} in all, {PER_PREFIX} of one network): \
                 finish or cancel one"
            );
            return Err(OciError::new(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS", message));
        }
        let id = format!("{:032x}", rand::random::<u128>());
        let path = self.path(&id);
        OpenOptions::new().write(true).create_new(true).open(&path)?;
        let room = self.room.clone();
        let part = Part { path, room, received: 0, sha256: Sha256::new() };
        let part = Arc::new(tokio::sync::Mutex::new(part));
        sessions.insert(id.clone(), Session { name, client, touched: now, part });
        Ok(id)
    }

    /// Locks an upload for one request.
    pub(crate) fn open(&self, name: &Named, id: &str, now: Instant) -> Result<Open, OciError> {
        let mut sessions = self.sessions();
        let session =
            sessions.get_mut(id).filter(|session| session.name == *name).ok_or_else(unknown)?;
        session.touched = now;
        Arc::clone(&session.part).try_lock_owned().map_err(|_| {
            let message = "another request is writing to this upload: wait until it ends";
            OciError::new(StatusCode::CONFLICT, "BLOB_UPLOAD_INVALID", message)
        })
    }

    /// Ends an upload and removes its file unless it became a blob.
    pub(crate) fn end(&self, id: &str) {
        if self.sessions().remove(id).is_some() {
            remove(&self.path(id));
            self.room.has_shrunk();
        }
    }

    /// Ends an upload when the returned guard is dropped, for uploads that no client can resume.
    pub(crate) fn ending<'a>(&'a self, id: &'a str) -> Ending<'a> {
        Ending { uploads: self, id }
    }

    fn path(&self, id: &str) -> PathBuf {
        self.room.dir().join(format!("oci-upload-{id}"))
    }
}

/// See [`Uploads::ending`].
pub(crate) struct Ending<'a> {
    uploads: &'a Uploads,
    id: &'a str,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.uploads.end(self.id);
    }
}

fn remove(path: &std::path::Path) {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            let path = path.display();
            tracing::warn!(%path, %error, "removing an upload failed; the next gc removes it");
        }
        _ => {}
    }
}

fn unknown() -> OciError {
    OciError::new(StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN", "no such upload: begin a new one")
}

impl Part {
    /// Bytes received.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    fn write(&mut self, file: &mut File, bytes: &Bytes) -> Result<(), OciError> {
        let received = self.received.saturating_add(bytes.len() as u64);
        if received > MAX_BLOB {
            return Err(too_large());
        }
        self.room.take_room(bytes.len() as u64)?;
        if let Err(error) = file.write_all(bytes) {
            // Discards a partial write.
            let _ = file.set_len(self.received);
            return Err(OciError::from(error));
        }
        self.sha256.update(bytes);
        self.received = received;
        Ok(())
    }

    /// Checks the bytes against their digest and stores them as a blob.
    fn finish(&mut self, store: &Store, digest: &Digest) -> Result<(Added, Lease), OciError> {
        let matches = match digest {
            Digest::Sha256(_) => Digest::from(self.sha256.clone().finish()) == *digest,
            Digest::Sha512(_) => {
                let mut file = File::open(&self.path)?;
                let mut check = digest.check();
                std::io::copy(&mut file, &mut check)?;
                check.finish().is_ok()
            }
        };
        if !matches {
            let message =
                format!("the {} bytes received do not have the digest {digest}", self.received);
            return Err(OciError::new(StatusCode::BAD_REQUEST, "DIGEST_INVALID", message));
        }
        let mut batch = store.batch();
        let added = batch.take_file(&self.path, &|_| {})?;
        if digest.sha256().is_some_and(|sha256| sha256 != added.sha256) {
            return Err(OciError::internal(&"the upload changed on disk while it was stored"));
        }
        let lease = batch.commit()?;
        if added.size > SMALL {
            store.note_sha256(&[(added.sha256, added.blob)])?;
        }
        Ok((added, lease))
    }
}

/// The error for a blob larger than any release may contain.
pub(crate) fn too_large() -> OciError {
    let message = format!("a blob has at most {MAX_BLOB} bytes");
    OciError::new(StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID", message)
}

/// Appends a body to an upload. If the body breaks off, the part received is kept.
pub(crate) async fn append(mut part: Open, body: Body) -> Result<Open, OciError> {
    let (send, mut receive) = tokio::sync::mpsc::channel::<Bytes>(QUEUE);
    let writer = tokio::task::spawn_blocking(move || {
        let file = OpenOptions::new().append(true).open(&part.path);
        let mut file = file.map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => unknown(),
            _ => OciError::from(error),
        })?;
        while let Some(bytes) = receive.blocking_recv() {
            part.write(&mut file, &bytes)?;
        }
        Ok::<_, OciError>(part)
    });
    let (mut pieces, mut broken) = (body.into_data_stream(), None);
    while let Some(piece) = pieces.next().await {
        match piece {
            Ok(bytes) => {
                if send.send(bytes).await.is_err() {
                    // The writer failed, and reports the reason when joined.
                    break;
                }
            }
            Err(error) => {
                broken = Some(error);
                break;
            }
        }
    }
    drop(send);
    let part = writer.await??;
    match broken {
        None => Ok(part),
        Some(error) => {
            let message = format!("the body broke off, {} bytes are here: {error}", part.received);
            Err(OciError::new(StatusCode::BAD_REQUEST, "BLOB_UPLOAD_INVALID", message))
        }
    }
}

/// Stores an upload as a blob.
pub(crate) async fn finish(
    mut part: Open,
    store: Store,
    digest: Digest,
) -> Result<(Added, Lease), OciError> {
    blocking(move || part.finish(&store, &digest)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn abandoned_uploads_are_removed_after_a_day_and_others_stay() {
        let dir = tempfile::tempdir().expect("a directory");
        let uploads = Uploads::new(Room::outside(dir.path()));
        let files = || std::fs::read_dir(dir.path()).expect("it reads").count();
        let (name, start) = (Named::Bare("x".into()), Instant::now());
        let old = uploads.begin(name.clone(), Prefix::NONE, start).expect("it begins");
        let used = uploads.begin(name.clone(), Prefix::NONE, start).expect("it begins");
        drop(uploads.open(&name, &used, start + PATIENCE / 2).expect("it is there"));
        let new = uploads.begin(name.clone(), Prefix::NONE, start + PATIENCE).expect("it begins");
        assert_eq!(files(), 2);
        assert!(uploads.open(&name, &old, start + PATIENCE).is_err());
        for id in [&used, &new] {
            let open = uploads.open(&name, id, start + PATIENCE).expect("it is there");
            assert!(uploads.open(&name, id, start + PATIENCE).is_err(), "one at a time");
            drop(open);
            uploads.end(id);
        }
        assert_eq!(files(), 0);
        assert!(uploads.open(&Named::Bare("y".into()), &new, start).is_err());
    }

    #[test]
    fn an_upload_still_written_to_is_not_abandoned() {
        let dir = tempfile::tempdir().expect("a directory");
        let uploads = Uploads::new(Room::outside(dir.path()));
        let (name, start) = (Named::Bare("x".into()), Instant::now());
        let id = uploads.begin(name.clone(), Prefix::NONE, start).expect("it begins");
        let open = uploads.open(&name, &id, start).expect("it is there");
        uploads.begin(name.clone(), Prefix::NONE, start + PATIENCE).expect("it begins");
        drop(open);
        assert!(uploads.open(&name, &id, start).is_ok());
        drop(uploads.ending(&id));
        assert!(uploads.open(&name, &id, start).is_err());
    }

    #[test]
    fn concurrent_uploads_are_bounded() {
        let dir = tempfile::tempdir().expect("a directory");
        let uploads = Uploads::new(Room::outside(dir.path()));
        let begin = |client| uploads.begin(Named::Bare("x".into()), client, Instant::now());
        for _ in 0..PER_PREFIX {
            begin(Prefix(7)).expect("it begins");
        }
        assert!(begin(Prefix(7)).is_err());
        for _ in PER_PREFIX..MOST {
            begin(Prefix::NONE).expect("it begins");
        }
        assert!(begin(Prefix::NONE).is_err());
    }
}
