//! `add` from elsewhere: an upstream's bytes become signed releases.
//!
//! Owns which importer a source goes to, and that what came of a cut or failing import is signed all the same. What an
//! upstream is asked and believed is decided in `perennial-import`.

mod upstream_check;

use std::collections::BTreeSet;
use std::sync::Arc;

use perennial_control::{
    CompletenessRow, Done, ErrorCode, FailedRow, Failure, Import, ImportDone, Item, Sink, Source,
    Stage,
};
use perennial_import::{
    Archive, Chart, Completeness, Failed, Images, ImportError, Imported, Options, Urls, Watch,
};
use perennial_manifest::Purl;
use perennial_store::Store;

use crate::archive::media::guess;
use crate::archive::publish::{Terms, announce, release};
use crate::archive::signer::Signer;
use crate::failure::{failed, usage};
use crate::network::handle::Core;

/// What an import works with.
#[derive(Clone)]
pub(crate) struct Importing {
    pub(crate) store: Store,
    pub(crate) core: Core,
    pub(crate) signer: Arc<Signer>,
}

impl Importing {
    /// Imports, signs and announces. Rows go to the user as they are signed.
    pub(crate) async fn import(&self, request: Import, sink: Sink) -> Result<Done, Failure> {
        let options =
            Options { allow_private: request.allow_private, plain_http: request.plain_http };
        let mut done = ImportDone::default();
        match request.source.clone() {
            Source::Images { references, all_tags, platforms, auth_file } => {
                let images = |references| Images {
                    references,
                    all_tags,
                    platforms: platforms.clone(),
                    auth_file: auth_file.clone(),
                    license: request.license.clone(),
                    notes: request.notes.clone(),
                };
                // one after the other: what came is signed before the next is asked for; one that cannot be had is a row, so
                // an error is a store's or that nobody waits any more
                for reference in references {
                    let what = images(vec![reference]);
                    let came =
                        perennial_import::images(&self.store, &options, &what, &Told(&sink)).await;
                    self.sign(came.map_err(refused)?, &request, &sink, &mut done).await?;
                }
            }
            Source::Urls { urls, purl, html } => {
                let purl = Purl::parse(&purl).map_err(usage)?;
                let (license, notes) = (request.license.clone(), request.notes.clone());
                let guess = |name: &str| guess(name, false);
                let what = Urls { urls, purl: purl.clone(), license, html, notes, guess };
                let came = perennial_import::urls(&self.store, &options, &what, &Told(&sink)).await;
                let (store, signer) = (self.store.clone(), self.signer.clone());
                let compared = tokio::task::spawn_blocking(move || {
                    upstream_check::compared(&store, &signer, &purl, came)
                })
                .await;
                match compared.map_err(failed)? {
                    Ok(came) => self.sign(came, &request, &sink, &mut done).await?,
                    Err((failure, seen)) => {
                        announce(&self.core, seen).await;
                        return Err(failure);
                    }
                }
            }
            Source::Layout { layout, name } => {
                let (license, notes) = (request.license.clone(), request.notes.clone());
                let what = Archive { source: layout, name, license, notes };
                let came = perennial_import::layout(&self.store, &what, &Told(&sink)).await;
                self.sign(came.map_err(refused)?, &request, &sink, &mut done).await?;
            }
            Source::Chart { repository, name, version, with_images } => {
                let what = Chart { repo: repository, name, version, with_images };
                let came =
                    perennial_import::chart(&self.store, &options, &what, &Told(&sink)).await;
                let came = came.map_err(refused)?;
                let of = came.imported.drafts.first().map(|draft| draft.purl.to_string());
                self.sign(came.imported, &request, &sink, &mut done).await?;
                if let (Some(of), true) = (of, with_images) {
                    self.images_of(of, came.images, &options, &request, &sink, &mut done).await?;
                }
            }
        }
        Ok(Done::Import(done))
    }

    /// Imports the images that a chart names, as far as they can be had, and says how complete it is.
    async fn images_of(
        &self,
        of: String,
        images: Vec<String>,
        options: &Options,
        request: &Import,
        sink: &Sink,
        done: &mut ImportDone,
    ) -> Result<(), Failure> {
        let mut row = CompletenessRow { of, held: Vec::new(), missing: Vec::new() };
        for image in BTreeSet::from_iter(images) {
            let what = Images {
                references: vec![format!("docker://{image}")],
                all_tags: false,
                platforms: Vec::new(),
                license: request.license.clone(),
                notes: None,
                auth_file: None,
            };
            let mut came = perennial_import::images(&self.store, options, &what, &Told(sink))
                .await
                .map_err(refused)?;
            let failed = std::mem::take(&mut came.failed);
            self.sign(came, request, sink, done).await?;
            if failed.is_empty() {
                row.held.push(image);
            } else {
                let reasons: Vec<_> = failed.into_iter().map(|failed| failed.reason).collect();
                row.missing.push(FailedRow { what: image, reason: reasons.join("; ") });
            }
        }
        sink.item(Item::Completeness(row)).await;
        Ok(())
    }

    async fn sign(
        &self,
        came: Imported,
        request: &Import,
        sink: &Sink,
        done: &mut ImportDone,
    ) -> Result<(), Failure> {
        let mut new_bytes = came.new_bytes;
        for draft in came.drafts {
            let (store, signer) = (self.store.clone(), self.signer.clone());
            let terms = Terms { kind: request.kind, new_bytes: std::mem::take(&mut new_bytes) };
            let signed =
                tokio::task::spawn_blocking(move || release(&store, &signer, draft, terms)).await;
            let (row, signed) = signed.map_err(failed)??;
            announce(&self.core, signed).await;
            done.releases += 1;
            done.bytes += row.bytes;
            done.new_bytes += row.new_bytes;
            sink.item(Item::Imported(row)).await;
        }
        for Failed { what, reason } in came.failed {
            done.failed += 1;
            sink.item(Item::NotImported(FailedRow { what, reason })).await;
        }
        for Completeness { of, held, missing } in came.completeness {
            let missing = missing
                .into_iter()
                .map(|Failed { what, reason }| FailedRow { what, reason })
                .collect();
            sink.item(Item::Completeness(CompletenessRow { of, held, missing })).await;
        }
        Ok(())
    }
}

/// Passes progress on to the user, and his going away back.
struct Told<'a>(&'a Sink);

impl Watch for Told<'_> {
    fn progress(&self, progress: &perennial_import::Progress) {
        let mut told = perennial_control::Progress::of(Stage::Importing);
        (told.bytes, told.total_bytes) = (progress.bytes, progress.total_bytes);
        (told.items, told.total_items) = (progress.items, progress.total_items);
        self.0.progress(told);
    }

    fn is_cancelled(&self) -> bool {
        self.0.is_closed()
    }
}

fn refused(error: ImportError) -> Failure {
    let code = match &error {
        ImportError::Usage(_) | ImportError::Private(_) => ErrorCode::Usage,
        ImportError::Gone { .. } => ErrorCode::NotFound,
        ImportError::Upstream { .. } => ErrorCode::Unreachable,
        ImportError::Mismatch { .. } => ErrorCode::Verification,
        _ => ErrorCode::Failed,
    };
    Failure::new(code, error.to_string())
}
