//! From an unsigned release to a signed one that is announced: the last step of every add, import and push.
//!
//! Promises that the list of artifacts is durable before the release is signed, and that what was seen at an upstream on the
//! way is signed as well. The blobs are the caller's: here when it calls, and leased until this returned.

use std::time::{SystemTime, UNIX_EPOCH};

use perennial_control::{AddDone, ErrorCode, Failure};
use perennial_manifest::{
    Acquired, ArtifactList, Body, Draft, PublisherKind, Release, ReleaseId, Role, SignedEntry,
    Status, StatusKind, Target, body,
};
use perennial_store::Store;

use crate::archive::signer::{SignError, Signer};
use crate::failure::{failed, usage};
use crate::network::handle::{Core, Message};

/// Who releases, and what of it was not here before.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Terms {
    /// What the publisher says it is from now on; none: as before.
    pub(crate) kind: Option<PublisherKind>,
    /// For the answer.
    pub(crate) new_bytes: u64,
}

/// Signs a release and the observations that go with it: blocking. Gives the entries, for [`announce`].
pub(crate) fn release(
    store: &Store,
    signer: &Signer,
    draft: Draft,
    terms: Terms,
) -> Result<(AddDone, Vec<SignedEntry>), Failure> {
    let purl = draft.purl;
    if purl.version().is_none() {
        return Err(Failure::new(ErrorCode::Usage, format!("{purl} has no version"))
            .hint("give --version, or pkg:…@VERSION"));
    }
    let license = draft.license.unwrap_or_else(|| "NOASSERTION".to_owned());
    body::check_licence(&license).map_err(usage)?;
    let is_licence = |role: Role| role == Role::Licence;
    let texts = draft.artifacts.iter().filter(|artifact| is_licence(artifact.role));
    let license_texts = texts.map(|artifact| artifact.blake3).take(64).collect();
    let list = ArtifactList::new(draft.artifacts).map_err(usage)?;
    let (encoded, claim) = list.encode().map_err(usage)?;
    let mut batch = store.batch();
    batch.add_bytes(encoded).map_err(failed)?;
    let _lease = batch.commit().map_err(failed)?;
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let release = Release {
        purl: purl.clone(),
        license,
        license_texts,
        artifacts: claim,
        source: None,
        acquired: Some(Acquired {
            at,
            from: draft.from,
            tool: concat!("perennial/", env!("CARGO_PKG_VERSION")).into(),
        }),
        tags: draft.tags,
        notes: draft.notes,
    };
    let mut signed =
        signer.sign(store, terms.kind, Body::Release(Box::new(release))).map_err(sign_failure)?;
    let id = signed.iter().rev().find_map(|entry| entry.release().map(|(id, _)| id));
    let id = id.ok_or_else(|| Failure::new(ErrorCode::Failed, "nothing was signed"))?;
    for observation in draft.observations {
        signed.extend(
            signer.sign(store, None, Body::Observation(observation)).map_err(sign_failure)?,
        );
    }
    let done = AddDone {
        release: id.to_string(),
        purl: purl.to_string(),
        publisher: signer.publisher().to_string(),
        artifacts: list.len() as u64,
        bytes: list.total_bytes(),
        new_bytes: terms.new_bytes,
    };
    Ok((done, signed))
}

/// Signs that a release is not to be meant by its names any more: blocking. Its bytes stay.
pub(crate) fn yank(
    store: &Store,
    signer: &Signer,
    release: ReleaseId,
    reason: String,
) -> Result<Vec<SignedEntry>, Failure> {
    let status = Status {
        target: Target::Release(release.entry()),
        status: StatusKind::Yanked,
        text: reason,
        references: Vec::new(),
    };
    signer.sign(store, None, Body::Status(status)).map_err(sign_failure)
}

/// Tells peers what was signed.
pub(crate) async fn announce(core: &Core, signed: Vec<SignedEntry>) {
    for entry in signed {
        let release = entry.release().map(|(id, _)| id);
        core.send(Message::Publish(Box::new(entry))).await;
        if let Some(release) = release {
            core.send(Message::Held(release)).await;
        }
    }
}

/// What the user is told when the feed cannot be written to.
pub(crate) fn sign_failure(error: SignError) -> Failure {
    let failure = Failure::new(ErrorCode::Failed, error.to_string());
    match error {
        SignError::Refused(perennial_manifest::SignRefusal::Behind { .. }) => failure.hint(
            "connect to a peer that has the newer entries (--peer) and try again; if another machine uses this key, stop one of them",
        ),
        SignError::Refused(perennial_manifest::SignRefusal::Forked(_)) => {
            failure.hint("`perennial key --merge` joins the branches, once only one machine signs with this key")
        }
        _ => failure,
    }
}
