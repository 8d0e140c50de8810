//! `get`: from what the user named to bytes that verified, and to files.
//!
//! Names go through trust (`perennial_manifest::resolve`); digests need none. Nothing of a stranger is fetched by name.

mod digest;

use std::time::{Duration, Instant};

use perennial_control::{Claim, ErrorCode, Failure, Get, GetDone, Progress, Sink, Stage};
use perennial_manifest::{Admit, Candidate, PublisherId, Resolution, Selector, SignedEntry};
use perennial_protocol::effect::FetchFailure;
use perennial_store::{Store, StoreError};

use crate::archive::export::export;
use crate::archive::fetch::{FetchError, fetch_release};
use crate::blocking::blocking;
use crate::failure::{failed, usage};
use crate::frontends::control::Services;

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
        let fetched = fetch_release(&self.store, &self.core, release, |watched| {
            forward(watched, sink.clone())
        })
        .await;
        let fetched = fetched.map_err(fetch_failure)?;
        if let Some(output) = request.output.clone() {
            let (store, damage, list) =
                (self.store.clone(), self.core.damage.clone(), fetched.list.clone());
            let (sink, force) = (sink.clone(), request.force);
            let exported = tokio::task::spawn_blocking(move || {
                export(&store, &damage, &list, &output, force, &sink)
            })
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
                return Err(
                    failure.hint("give a peer with --peer ADDRESS, or start a node that has some")
                );
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
            blocking(move || candidates.iter().map(|candidate| claim(&store, candidate)).collect())
                .await;
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
        let (store, selector, own) =
            (self.store.clone(), selector.clone(), self.signer.publisher());
        blocking(move || store.resolve(&selector, &own, only.as_ref())).await.map_err(failed)
    }
}

fn claim(store: &Store, candidate: &Candidate) -> Result<Claim, StoreError> {
    let row = store.release(&candidate.release)?;
    let name = store.follows().publishers.get(&candidate.publisher).cloned().flatten();
    Ok(Claim {
        release: candidate.release.to_string(),
        purl: candidate.purl.to_string(),
        publisher: candidate.publisher.to_string(),
        kind: store.publisher_kind(&candidate.publisher)?.unwrap_or_default(),
        name,
        list: candidate.artifacts.to_string(),
        artifacts: row.as_ref().map_or(0, |row| u64::from(row.artifacts.count)),
        bytes: row.as_ref().map_or(0, |row| row.artifacts.bytes),
        issued_at: row.as_ref().map_or(0, |row| row.issued_at),
        forked: candidate.forked,
    })
}

fn fetch_failure(error: FetchError) -> Failure {
    let code = match &error {
        FetchError::Peers(FetchFailure::NoHolder | FetchFailure::Stalled)
        | FetchError::Unknown(_) => ErrorCode::NotFound,
        FetchError::Store(StoreError::Format { .. } | StoreError::WrongBytes(_)) => {
            ErrorCode::Verification
        }
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
