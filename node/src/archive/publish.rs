//! Turns an unsigned draft into a signed and announced release: the last step of every add, import
//! and push.
//!
//! Everything this node signs goes through [`Archive::signing`], which runs in a task of its own:
//! when a client disconnects, the statement is either complete (stored, then announced) or not
//! begun. A release's artifact list is durable before the release is signed. The caller owns the
//! draft's blobs: in the store, and leased until the call returns.

mod repeated;
mod withheld;

use std::time::{SystemTime, UNIX_EPOCH};

use perennial_manifest::{
    Acquired, ArtifactList, Body, Draft, Merge, PublisherKind, Release, ReleaseId, Role,
    SignedEntry, Status, StatusKind, Target, body,
};
use perennial_operation::Published;
use perennial_store::Store;

use self::repeated::Repeat;
use super::{Archive, ArchiveError};

/// Licence texts that a release names, at most; the format's limit.
const MAX_LICENSE_TEXTS: usize = 64;

/// The options of [`Archive::publish`] besides the draft.
#[derive(Debug, Clone, Default)]
pub struct PublishOptions {
    /// A new kind for the publisher's profile; `None` leaves it unchanged.
    pub kind: Option<PublisherKind>,
    /// Bytes of the draft that are new to the store, reported back in [`Published`].
    pub new_bytes: u64,
    /// Sign the release even if this node's last release of its name says the same.
    pub again: bool,
    /// Sign URLs as they are, but for users and passwords.
    pub keep_query: bool,
    /// What the importer left out of the URLs that it gives, reported back in [`Published`].
    pub withheld: Vec<String>,
}

impl Archive {
    /// Signs a release whose blobs are in the store, and announces it. Returns once the release is
    /// durable and the announcement has begun. Signs nothing if this node's last release of the
    /// name says the same; see [`Published::already`].
    ///
    /// # Errors
    /// When the draft is not a valid release, when this node's feed cannot be extended, or when the
    /// store fails.
    pub async fn publish(
        &self,
        draft: Draft,
        options: PublishOptions,
    ) -> Result<Published, ArchiveError> {
        self.signing(move |signing| signing.release(draft, options)).await
    }

    /// Signs that a release is yanked. HTTP stops serving it by name; its bytes stay.
    /// `references` go into the statement, for programs.
    ///
    /// # Errors
    /// When this node's feed cannot be extended, or when the store fails.
    pub async fn yank(
        &self,
        release: ReleaseId,
        reason: String,
        references: Vec<String>,
    ) -> Result<(), ArchiveError> {
        let status = Status {
            target: Target::Release(release.entry()),
            status: StatusKind::Yanked,
            text: reason,
            references,
        };
        self.signing(move |signing| signing.sign(None, Body::Status(status)).map(drop)).await
    }

    /// Merges the branches of this node's own forked feed.
    ///
    /// # Errors
    /// [`ArchiveError::NotForked`], or as for [`Archive::yank`].
    pub async fn merge(&self) -> Result<(), ArchiveError> {
        self.signing(|signing| {
            let archive = signing.archive;
            if !archive.store.feed(&archive.publisher())?.is_forked() {
                return Err(ArchiveError::NotForked);
            }
            signing.sign(None, Body::Merge(Merge { reason: None })).map(drop)
        })
        .await
    }

    /// Runs `work` on a blocking thread and announces all entries it signed, even if it failed
    /// half-way: peers learn of entries in the feed sooner or later, so they are told now. Dropping
    /// the future stops neither.
    pub(super) async fn signing<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Signing<'_>) -> Result<T, ArchiveError> + Send + 'static,
    ) -> Result<T, ArchiveError> {
        let archive = self.clone();
        let task = self.tasks.spawn(async move {
            archive.may_sign().await?;
            let (signer, tasks) = (archive.clone(), &archive.tasks);
            let signed = tasks.spawn_blocking(move || {
                let mut signing = Signing { archive: &signer, signed: Vec::new() };
                let outcome = work(&mut signing);
                (outcome, signing.signed)
            });
            let (outcome, signed) = signed.await?;
            archive.network.announce(signed).await;
            outcome
        });
        task.await?
    }
}

/// One exclusive use of the signer. Blocking; collects the signed entries for the announcement.
pub(super) struct Signing<'a> {
    pub(super) archive: &'a Archive,
    pub(super) signed: Vec<SignedEntry>,
}

impl Signing<'_> {
    pub(super) fn store(&self) -> &Store {
        &self.archive.store
    }

    /// Signs one statement and stores it, preceded by the publisher's profile if required. Returns
    /// the release's id, if the statement is a release.
    pub(super) fn sign(
        &mut self,
        kind: Option<PublisherKind>,
        body: Body,
    ) -> Result<Option<ReleaseId>, ArchiveError> {
        let signed = self.archive.signer.turn(&self.archive.store).sign(kind, body)?;
        let release = signed.iter().rev().find_map(|entry| entry.release().map(|(id, _)| id));
        self.signed.extend(signed);
        Ok(release)
    }

    /// Signs a release and the observations made while importing it, or finds that this node's
    /// last release of the name says the same.
    pub(super) fn release(
        &mut self,
        mut draft: Draft,
        options: PublishOptions,
    ) -> Result<Published, ArchiveError> {
        if draft.purl.version().is_none() {
            return Err(ArchiveError::NoVersion(draft.purl));
        }
        let remarks = withheld::withhold(&mut draft, options.keep_query, options.withheld)?;
        let purl = draft.purl;
        let stated = draft.license.as_deref().map(body::licence).transpose()?;
        let license = stated.clone().unwrap_or_else(|| body::NO_ASSERTION.to_owned());
        let texts = draft.artifacts.iter().filter(|artifact| artifact.role == Role::Licence);
        let license_texts = texts.map(|artifact| artifact.blake3).take(MAX_LICENSE_TEXTS).collect();
        let list = ArtifactList::new(draft.artifacts)?;
        let (encoded, claim) = list.encode()?;
        let mut batch = self.archive.store.batch();
        batch.add_bytes(encoded)?;
        let _lease = batch.commit()?;
        let release = Release {
            purl: purl.clone(),
            license,
            license_texts,
            artifacts: claim,
            source: None,
            acquired: Some(Acquired {
                at: unix_seconds(),
                from: draft.from,
                tool: concat!("perennial/", env!("CARGO_PKG_VERSION")).into(),
            }),
            tags: draft.tags,
            notes: draft.notes,
        };
        let published = |release, already| Published {
            release,
            purl,
            publisher: self.archive.publisher(),
            artifacts: list.len() as u64,
            bytes: list.total_bytes(),
            new_bytes: options.new_bytes,
            already,
            remarks,
            left_out: Vec::new(),
        };
        let turn = self.archive.signer.turn(&self.archive.store);
        if !options.again {
            let repeat =
                Repeat { store: &self.archive.store, list: &list, stated, kind: options.kind };
            if let Some(before) = repeat.of(&self.archive.publisher(), &release)? {
                drop(turn);
                return Ok(published(before, true));
            }
        }
        let signed = turn.sign(options.kind, Body::Release(Box::new(release)))?;
        drop(turn);
        let release = signed.iter().rev().find_map(|entry| entry.release().map(|(id, _)| id));
        let release = release.ok_or(super::SignError::NotARelease)?;
        let published = published(release, false);
        self.signed.extend(signed);
        for observation in draft.observations {
            self.sign(None, Body::Observation(observation))?;
        }
        Ok(published)
    }
}

/// The system clock in Unix seconds.
pub(super) fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
