//! `get`: from what the user named to bytes that verified, and to files.
//!
//! Names go through trust (`perennial_manifest::resolve`); digests need none. Nothing of a stranger is fetched by name.

use std::time::{Duration, Instant};

use perennial_control::{Claim, ErrorCode, Failure, Get, GetDone, Progress, Sink, Stage};
use perennial_manifest::{
    Admit, BlobId, Candidate, PublisherId, Resolution, Selector, Sha256Digest, SignedEntry, resolve,
};
use perennial_protocol::effect::FetchFailure;
use perennial_store::{ReleaseFilter, ReleaseRow, Store, StoreError};

use crate::blocking::blocking;
use crate::exporting::{check_sha256, export, export_blob};
use crate::failure::{failed, usage};
use crate::handler::{Services, rows};
use crate::keep::{FetchError, fetch_release, wanted};

/// How long an entry that was found waits for the entries before it, and how often it is looked.
const FEED_WAIT: Duration = Duration::from_secs(10);
const FEED_POLL: Duration = Duration::from_millis(50);

impl Services {
    pub(crate) async fn get(&self, request: Get, sink: &Sink) -> Result<GetDone, Failure> {
        let selector: Selector = request.selector.parse().map_err(usage)?;
        let started = Instant::now();
        match selector {
            Selector::Blob(blob) => self.get_blob(&request, blob, None, started, sink).await,
            Selector::Sha256(digest) => {
                let blob = self.blob_of(digest, sink).await?;
                self.get_blob(&request, blob, Some(digest), started, sink).await
            }
            selector => self.get_release(&request, &selector, started, sink).await,
        }
    }

    async fn get_release(
        &self,
        request: &Get,
        selector: &Selector,
        started: Instant,
        sink: &Sink,
    ) -> Result<GetDone, Failure> {
        let agreeing = self.resolve(selector, request.publisher.as_deref(), true, sink).await?;
        let release = agreeing[0].release;
        let fetched =
            fetch_release(&self.store, &self.core, release, |watched| forward(watched, sink.clone())).await;
        let fetched = fetched.map_err(fetch_failure)?;
        if let Some(output) = request.output.clone() {
            let (store, damage, list) = (self.store.clone(), self.core.damage.clone(), fetched.list.clone());
            let (sink, force) = (sink.clone(), request.force);
            let exported =
                tokio::task::spawn_blocking(move || export(&store, &damage, &list, &output, force, &sink))
                    .await;
            exported.map_err(failed)??;
        }
        Ok(GetDone {
            release: Some(release.to_string()),
            blob: None,
            purl: Some(fetched.row.purl.to_string()),
            artifacts: fetched.list.len() as u64,
            bytes: fetched.list.total_bytes(),
            fetched_bytes: fetched.from.values().sum(),
            from: fetched.from.into_iter().map(|(peer, bytes)| (peer.to_string(), bytes)).collect(),
            elapsed_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            publishers: agreeing.iter().map(|candidate| candidate.publisher.to_string()).collect(),
            output: request.output.as_ref().map(|output| output.display().to_string()),
        })
    }

    /// What a name means by the publishers this node follows, or the one that is named; asks peers where `ask` and nothing
    /// here answers. The first is to be taken, all agree.
    pub(crate) async fn resolve(
        &self,
        selector: &Selector,
        publisher: Option<&str>,
        ask: bool,
        sink: &Sink,
    ) -> Result<Vec<Candidate>, Failure> {
        let only: Option<PublisherId> = publisher.map(str::parse).transpose().map_err(usage)?;
        let here = self.resolve_here(selector, only).await?;
        if let Resolution::Found(agreeing) = here {
            return Ok(agreeing);
        }
        let mut answered = 0;
        if ask && !matches!(here, Resolution::Conflict(_)) {
            sink.progress(Progress::of(Stage::Connecting));
            self.connected().await;
            sink.progress(Progress::of(Stage::Finding));
            let answer = self.core.lookup(selector.clone(), only).await;
            answered = answer.answered;
            self.take_in(answer.entries).await?;
        }
        let (code, message, candidates) = match self.resolve_here(selector, only).await? {
            Resolution::Found(agreeing) => return Ok(agreeing),
            Resolution::NotFound if ask && answered == 0 => {
                let failure = Failure::new(
                    ErrorCode::NotFound,
                    format!("{selector} is not known here, and no peer could be asked"),
                );
                return Err(failure.hint("give a peer with --peer ADDRESS, or start a node that has some"));
            }
            Resolution::NotFound => {
                let message = format!("{selector} is not known here nor to {answered} peers");
                return Err(Failure::new(ErrorCode::NotFound, message));
            }
            Resolution::Strangers(strangers) => (
                ErrorCode::Strangers,
                format!("{selector} was signed only by publishers that you do not follow"),
                strangers,
            ),
            Resolution::Conflict(all) => (
                ErrorCode::Conflict,
                format!("{selector}: publishers that you follow disagree on its bytes"),
                all,
            ),
            Resolution::Ambiguous(all) => {
                (ErrorCode::Ambiguous, format!("{selector} may mean several releases"), all)
            }
        };
        let store = self.store.clone();
        let claims =
            blocking(move || candidates.iter().map(|candidate| claim(&store, candidate)).collect()).await;
        Err(Failure::new(code, message).claims(claims.map_err(failed)?))
    }

    /// Puts entries that a look-up found into the catalog. Their feeds are on their way with the same look-up: an entry waits
    /// for those before it, up to a deadline.
    async fn take_in(&self, entries: Vec<SignedEntry>) -> Result<(), Failure> {
        let give_up = Instant::now() + FEED_WAIT;
        let mut entries = entries;
        while !entries.is_empty() {
            let (store, put) = (self.store.clone(), entries.clone());
            let puts = blocking(move || store.put_entries(&put)).await.map_err(failed)?;
            let orphans = puts.iter().filter(|put| matches!(put.admit, Admit::Orphan(_)));
            let orphans: std::collections::BTreeSet<_> = orphans.map(|put| put.id).collect();
            entries.retain(|entry| orphans.contains(&entry.id()));
            if Instant::now() >= give_up {
                break;
            }
            if !entries.is_empty() {
                tokio::time::sleep(FEED_POLL).await;
            }
        }
        Ok(())
    }

    async fn resolve_here(
        &self,
        selector: &Selector,
        only: Option<PublisherId>,
    ) -> Result<Resolution, Failure> {
        let (store, selector, own) = (self.store.clone(), selector.clone(), self.signer.publisher());
        let resolved = blocking(move || {
            let rows = store
                .releases(&ReleaseFilter { selector: Some(selector.clone()), ..ReleaseFilter::default() })?;
            let candidates =
                rows.iter().map(|row| candidate(&store, row)).collect::<Result<Vec<_>, StoreError>>()?;
            let follows = store.follows();
            let trusted = |publisher: &PublisherId| *publisher == own || follows.names(publisher);
            Ok(resolve(&selector, trusted, only.as_ref(), candidates))
        });
        resolved.await.map_err(failed)
    }

    async fn blob_of(&self, digest: Sha256Digest, sink: &Sink) -> Result<BlobId, Failure> {
        let store = self.store.clone();
        if let Some(blob) = blocking(move || store.blob_of_sha256(&digest)).await.map_err(failed)? {
            return Ok(blob);
        }
        sink.progress(Progress::of(Stage::Finding));
        self.connected().await;
        let answer = self.core.lookup(Selector::Sha256(digest), None).await;
        // a claim: the bytes are hashed before they are given out
        let claim = answer.claims.first().map(|(_, claim)| claim.blob);
        claim.ok_or_else(|| {
            Failure::new(ErrorCode::NotFound, format!("nobody who can be reached holds {digest}"))
        })
    }

    async fn get_blob(
        &self,
        request: &Get,
        blob: BlobId,
        sha256: Option<Sha256Digest>,
        started: Instant,
        sink: &Sink,
    ) -> Result<GetDone, Failure> {
        let _lease = self.store.lease(vec![blob]);
        let store = self.store.clone();
        let mut from = std::collections::BTreeMap::new();
        if blocking(move || store.blob_size(&blob)).await.map_err(failed)?.is_none() {
            self.connected().await;
            let answer = self.core.lookup(Selector::Blob(blob), None).await;
            let none =
                || Failure::new(ErrorCode::NotFound, format!("nobody who can be reached holds {blob}"));
            let size = answer.claims.first().map(|(_, claim)| claim.size).ok_or_else(none)?;
            let mut ticket = self.core.fetch(None).await.ok_or_else(|| failed("the node is going down"))?;
            forward(ticket.progress.clone(), sink.clone());
            let store = self.store.clone();
            // reads again what came before it was cut
            let missing = blocking(move || wanted(&store, blob, size)).await.map_err(failed)?;
            ticket.add(vec![missing], true).await;
            let got = ticket.done().await.map_err(|failure| fetch_failure(FetchError::Peers(failure)))?;
            from.extend(got.into_iter().map(|(peer, bytes)| (peer.to_string(), bytes)));
        }
        let store = self.store.clone();
        let bytes = blocking(move || store.blob_size(&blob)).await.map_err(failed)?.unwrap_or(0);
        let mut output = None;
        if let Some(target) = request.output.clone() {
            let (store, damage, force) = (self.store.clone(), self.core.damage.clone(), request.force);
            let written = tokio::task::spawn_blocking(move || {
                export_blob(&store, &damage, &blob, sha256.as_ref(), &target, force)
            })
            .await;
            output = Some(written.map_err(failed)??.display().to_string());
        } else if let Some(sha256) = sha256 {
            let (store, damage) = (self.store.clone(), self.core.damage.clone());
            let checked = tokio::task::spawn_blocking(move || check_sha256(&store, &damage, &blob, &sha256));
            checked.await.map_err(failed)??;
        }
        Ok(GetDone {
            release: None,
            blob: Some(blob.to_string()),
            purl: None,
            artifacts: 1,
            bytes,
            fetched_bytes: from.values().sum(),
            from,
            elapsed_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            publishers: Vec::new(),
            output,
        })
    }
}

fn candidate(store: &Store, row: &ReleaseRow) -> Result<Candidate, StoreError> {
    Ok(Candidate {
        release: row.release,
        publisher: row.publisher,
        purl: row.purl.clone(),
        artifacts: row.artifacts.blob,
        seq: row.seq,
        forked: store.feed(&row.publisher)?.is_forked(),
    })
}

fn claim(store: &Store, candidate: &Candidate) -> Result<Claim, StoreError> {
    let row = store.release(&candidate.release)?;
    let name = store.follows().publishers.get(&candidate.publisher).cloned().flatten();
    Ok(Claim {
        release: candidate.release.to_string(),
        purl: candidate.purl.to_string(),
        publisher: candidate.publisher.to_string(),
        kind: rows::kind(store.publisher_kind(&candidate.publisher)?),
        name,
        list: candidate.artifacts.to_string(),
        artifacts: row.as_ref().map_or(0, |row| u64::from(row.artifacts.count)),
        bytes: row.as_ref().map_or(0, |row| row.artifacts.bytes),
        issued_at: row.as_ref().map_or(0, |row| row.issued_at),
        forked: candidate.forked,
    })
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn fetch_failure(error: FetchError) -> Failure {
    let code = match &error {
        FetchError::Peers(FetchFailure::NoHolder | FetchFailure::Stalled) | FetchError::Unknown(_) => {
            ErrorCode::NotFound
        }
        FetchError::Store(StoreError::Format { .. } | StoreError::WrongBytes(_)) => ErrorCode::Verification,
        _ => ErrorCode::Failed,
    };
    Failure::new(code, error.to_string())
}

/// Passes the progress of a fetch on to the user until it ends.
fn forward(
    mut watched: tokio::sync::watch::Receiver<Option<perennial_protocol::effect::Progress>>,
    sink: Sink,
) {
    tokio::spawn(async move {
        while watched.changed().await.is_ok() {
            let Some(now) = *watched.borrow_and_update() else { continue };
            let mut progress = Progress::of(Stage::Fetching);
            (progress.bytes, progress.total_bytes) = (now.received, Some(now.total));
            progress.peers = u32::try_from(now.holders).unwrap_or(u32::MAX);
            sink.progress(progress);
        }
    });
}
