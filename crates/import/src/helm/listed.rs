//! A chart that a repository lists and a registry holds: pulled like an image, then verified
//! against the index.
//!
//! The index is not part of such a release, so two archivists of one tag sign the same list,
//! whichever way they fetched it.

use std::io::{BufReader, Seek};

use perennial_manifest::{Artifact, Role};
use perennial_store::Store;

use super::{ChartImported, images_of};
use crate::error::at;
use crate::http::Sum;
use crate::meter::blocking;
use crate::registry::{Images, images};
use crate::{ImportError, Options, Watch};

/// Imports a chart by its reference (`docker://…`).
pub(super) async fn chart(
    store: &Store,
    options: &Options,
    reference: String,
    digest: Option<Sum>,
    with_images: bool,
    watch: &dyn Watch,
) -> Result<ChartImported, ImportError> {
    let what = Images { references: vec![reference.clone()], ..Images::default() };
    let mut imported = images(store, options, &what, watch).await?;
    let Some(draft) = imported.drafts.first() else {
        return Ok(ChartImported { imported, images: Vec::new() });
    };
    let chart = draft.artifacts.iter().find(|artifact| artifact.role == Role::Chart);
    let chart = chart.ok_or_else(|| ImportError::Unfit {
        what: reference.clone(),
        reason: "it contains no chart".into(),
    })?;
    // An index states the digest of either the archive or its manifest.
    let is_listed = |artifact: &Artifact| {
        let sum = Sum::Sha256(*artifact.sha256.as_bytes());
        matches!(artifact.role, Role::Chart | Role::ImageManifest) && digest.as_ref() == Some(&sum)
    };
    if let Some(listed) = &digest
        && !draft.artifacts.iter().any(is_listed)
    {
        let reason = format!("what came is {}, and the index says {listed}", chart.sha256);
        return Err(ImportError::Mismatch { what: reference, reason });
    }
    let named = if with_images { named(store, chart).await } else { Ok(Vec::new()) };
    let images = named.unwrap_or_else(|error| {
        let what = format!("images of {}", draft.purl);
        imported.failed.push(error.of(what));
        Vec::new()
    });
    Ok(ChartImported { imported, images })
}

/// Lists the images that a stored chart names.
async fn named(store: &Store, chart: &Artifact) -> Result<Vec<String>, ImportError> {
    let (store, blob) = (store.clone(), chart.blake3);
    blocking(move || {
        let mut copy = store.incoming_room().scratch()?;
        store.copy_out(&blob, &mut copy)?;
        copy.file().rewind().map_err(at(&store.incoming()))?;
        images_of(BufReader::new(copy.file()))
    })
    .await
}
