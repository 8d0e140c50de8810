//! The digest that a tag means: by trusted publishers, as far as this node and its peers know.

use axum::http::StatusCode;
use perennial_manifest::ReleaseId;
use perennial_oci::{Digest, Repository, is_tag};

use crate::http_error::HttpError;
use crate::oci::Registry;
use crate::oci::error::OciError;
use crate::oci::name::{Named, prefixed};
use crate::oci::policy::{Meaning, meaning};
use crate::oci::snapshot::{Selection, Snapshot};

/// Repositories named in one error, at most.
const MAX_NAMES: usize = 20;

impl Registry {
    /// The digest that a tag means, and the releases that say so. Peers are asked for a tag that no
    /// trusted publisher signed as far as this node knows.
    pub(super) async fn meaning(
        &self,
        owner: bool,
        name: &Named,
        tag: &str,
    ) -> Result<(Digest, Vec<ReleaseId>), OciError> {
        let here = self.meaning_here(owner, name, tag).await;
        if here.as_ref().is_err_and(OciError::is_missing)
            && is_tag(tag)
            && let Ok(selector) = format!("{name}:{tag}").parse()
            && !self.gateway.ask(selector, None).await.releases.is_empty()
        {
            return self.meaning_here(owner, name, tag).await;
        }
        here
    }

    async fn meaning_here(
        &self,
        owner: bool,
        name: &Named,
        tag: &str,
    ) -> Result<(Digest, Vec<ReleaseId>), OciError> {
        if !is_tag(tag) {
            let message = "not a tag: use letters, digits, `_`, `.` and `-`, at most 128";
            return Err(OciError::new(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", message));
        }
        let snapshot = self.snapshot().await?;
        let selection = snapshot.select_for_tag(name, tag);
        let elsewhere = elsewhere(&snapshot, name, tag);
        if let (Selection::Unknown, Some(elsewhere)) = (&selection, &elsewhere) {
            let message = format!("this node has no {name}:{tag}, but {elsewhere}");
            return Err(OciError::new(StatusCode::NOT_FOUND, "NAME_UNKNOWN", message));
        }
        let repository = only(selection, name)?;
        let image = snapshot.images.get(&repository);
        let meaning = image.map_or(Meaning::Unknown, |image| meaning(&snapshot, image, tag));
        if meaning == Meaning::Unknown
            && let Some(found) = self.attached(snapshot, owner, name, tag).await?
        {
            return Ok(found);
        }
        if let (Meaning::Unknown, Some(elsewhere)) = (&meaning, elsewhere) {
            let message = format!("this node has no {name}:{tag}, but {elsewhere}");
            return Err(OciError::new(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", message));
        }
        meaning.found(&format!("{repository}:{tag}"))
    }
}

/// The places where other registries have a tag of a repository, in words.
fn elsewhere(snapshot: &Snapshot, name: &Named, tag: &str) -> Option<String> {
    let Named::Full(repository) = name else { return None };
    let places: Vec<String> = snapshot
        .elsewhere(repository, tag)
        .take(MAX_NAMES)
        .map(|other| format!("{}:{tag}", prefixed(other)))
        .collect();
    let places = (!places.is_empty()).then(|| places.join(" and "))?;
    Some(format!("it is held or known as {places}: pull that, or pull by digest"))
}

/// The one repository that a name resolves to, or the reason why there is none.
pub(crate) fn only(selection: Selection, name: &Named) -> Result<Repository, OciError> {
    let message = match selection {
        Selection::One(repository) => return Ok(repository),
        Selection::Unknown => HttpError::unknown(&format!("repository {name}")).message,
        Selection::Several(several) => {
            let names: Vec<String> = several.iter().take(MAX_NAMES).map(prefixed).collect();
            format!("more than one registry has {name}: write {}", names.join(" or "))
        }
    };
    Err(OciError::new(StatusCode::NOT_FOUND, "NAME_UNKNOWN", message))
}
