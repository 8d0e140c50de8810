//! Imports: an upstream's bytes become signed releases.
//!
//! Owns which importer handles a source, and that whatever an interrupted or failed import brought
//! in is still signed. `perennial-import` decides what to request from an upstream, and which of
//! its answers to believe.

pub(super) mod upstream_check;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use perennial_import::{
    Chart, Images, ImportError, Imported, Options, Urls, Watch, all_tags, chart, images, layout,
    urls,
};
use perennial_manifest::Origin;
use perennial_operation::{
    Completeness, Environment, Failed, Import, ImportEvent, ImportSource, ImportSummary, Progress,
    Stage,
};
use tokio::sync::mpsc;

use super::media::guess;
use super::{Archive, ArchiveError, Observer, PublishOptions};

impl Archive {
    /// Imports, signs and announces; each release is reported on `events` once it is signed. Runs
    /// in a task of its own: when the caller leaves, the import stops at the next blob and signs
    /// what it has.
    ///
    /// # Errors
    /// When the source is invalid, cannot be reached or serves something other than before, when
    /// signing fails, or when the store fails. A single image that cannot be imported is
    /// [`ImportEvent::Failed`] instead.
    pub async fn import(
        &self,
        import: Import,
        observer: Arc<dyn Observer>,
        events: mpsc::Sender<ImportEvent>,
    ) -> Result<ImportSummary, ArchiveError> {
        self.network.synced().await;
        let archive = self.clone();
        let task = self.tasks.spawn(async move {
            let mut job =
                Job { archive, import, observer, events, summary: ImportSummary::default() };
            job.run().await.map(|()| job.summary)
        });
        task.await?
    }
}

/// The state of a running import.
struct Job {
    archive: Archive,
    import: Import,
    observer: Arc<dyn Observer>,
    events: mpsc::Sender<ImportEvent>,
    summary: ImportSummary,
}

impl Job {
    async fn run(&mut self) -> Result<(), ArchiveError> {
        let store = self.archive.store.clone();
        let options = self.options();
        let (license, notes) = (self.import.license.clone(), self.import.notes.clone());
        let observer = Arc::clone(&self.observer);
        let watch = ImportWatch(&*observer);
        match self.import.source.clone() {
            ImportSource::Images { references, all_tags, platforms, auth_file } => {
                for reference in references {
                    let all = match all_tags {
                        true => self.tags(&options, &reference, &auth_file, &watch).await?,
                        false => vec![reference],
                    };
                    // One after the other: each is signed before the next is requested. An image
                    // that cannot be imported is a row of its own, so an error here comes from the
                    // store or means that the caller has left.
                    for reference in all {
                        let what = Images {
                            references: vec![reference],
                            platforms: platforms.clone(),
                            auth_file: auth_file.clone(),
                            license: license.clone(),
                            notes: notes.clone(),
                        };
                        let imported = images(&store, &options, &what, &watch).await?;
                        self.publish(imported).await?;
                    }
                }
            }
            ImportSource::Urls { urls: from, purl, html, file_name } => {
                let guess = |name: &str| guess(name, false);
                let what =
                    Urls { urls: from, purl: purl.clone(), license, file_name, html, notes, guess };
                let outcome = urls(&store, &options, &what, &watch).await;
                let checked = self
                    .archive
                    .signing(move |signing| upstream_check::check(signing, &purl, outcome))
                    .await?;
                self.publish(checked).await?;
            }
            ImportSource::Layout { layout: source, name } => {
                let what = perennial_import::Archive { source, name, license, notes };
                let imported = layout(&store, &what, &watch).await?;
                self.publish(imported).await?;
            }
            ImportSource::Chart { repository, name, version, with_images } => {
                let what = Chart { repo: repository, name, version, with_images };
                let came = chart(&store, &options, &what, &watch).await?;
                let of = came.imported.drafts.first().map(|draft| draft.purl.to_string());
                self.publish(came.imported).await?;
                if let (Some(of), true) = (of, with_images) {
                    self.images_of(of, came.images, &watch).await?;
                }
            }
        }
        Ok(())
    }

    /// The addresses and schemes that the importers may use.
    fn options(&self) -> Options {
        let Import { allow_private, plain_http, tries, keep_query, .. } = self.import;
        let own =
            || Environment::of(std::env::vars_os(), rustix::process::geteuid().as_raw(), None);
        let environment = self.import.environment.clone().unwrap_or_else(own);
        let events = Some(self.events.clone());
        Options { allow_private, plain_http, tries, environment, keep_query, events }
    }

    /// The images of all tags of a repository. A list that cannot be had does not cost the others.
    async fn tags(
        &mut self,
        options: &Options,
        repository: &str,
        auth_file: &Option<PathBuf>,
        watch: &ImportWatch<'_>,
    ) -> Result<Vec<String>, ArchiveError> {
        let listed = all_tags(options, repository, auth_file.clone(), watch).await;
        let (images, failed) = match listed {
            Err(error @ ImportError::Cancelled) => return Err(error.into()),
            Err(error) => {
                let [what, reason] =
                    [repository, &error.to_string()].map(|text| Origin::shown(text).text);
                (Vec::new(), vec![Failed::new(what, reason).of(error.kind())])
            }
            Ok(listed) => listed,
        };
        for failed in failed {
            self.summary.failed += 1;
            self.report(ImportEvent::Failed(failed)).await;
        }
        Ok(images)
    }

    /// Imports as many of the images that a chart names as possible, and reports how complete the
    /// chart is.
    async fn images_of(
        &mut self,
        of: String,
        named: Vec<String>,
        watch: &ImportWatch<'_>,
    ) -> Result<(), ArchiveError> {
        let mut completeness =
            Completeness { of, held_images: Vec::new(), missing_images: Vec::new() };
        for image in BTreeSet::from_iter(named) {
            let what = Images {
                references: vec![format!("docker://{image}")],
                platforms: Vec::new(),
                license: self.import.license.clone(),
                notes: None,
                auth_file: None,
            };
            let store = &self.archive.store;
            let mut imported = images(store, &self.options(), &what, watch).await?;
            if imported.drafts.is_empty() {
                let failed = std::mem::take(&mut imported.failed);
                completeness.missing_images.extend(missing(image, &failed));
            } else {
                completeness.held_images.push(image);
            }
            self.publish(imported).await?;
        }
        self.summary.failed += completeness.missing_images.len() as u64;
        self.report(ImportEvent::Completeness(completeness)).await;
        Ok(())
    }

    /// Publishes the imported artifacts and reports the failures.
    async fn publish(&mut self, imported: Imported) -> Result<(), ArchiveError> {
        let (mut new_bytes, mut withheld) = (imported.new_bytes, imported.withheld);
        for draft in imported.drafts {
            let options = PublishOptions {
                kind: self.import.kind,
                new_bytes: std::mem::take(&mut new_bytes),
                again: self.import.again,
                keep_query: self.import.keep_query,
                withheld: std::mem::take(&mut withheld),
            };
            let published = self.archive.publish(draft, options).await?;
            let counted = if published.already {
                &mut self.summary.already
            } else {
                &mut self.summary.releases
            };
            *counted += 1;
            self.summary.bytes += published.bytes;
            self.summary.new_bytes += published.new_bytes;
            self.report(ImportEvent::Published(published)).await;
        }
        for failed in imported.failed {
            self.summary.failed += 1;
            self.report(ImportEvent::Failed(failed)).await;
        }
        for unchecked in imported.unchecked {
            self.summary.unchecked += 1;
            self.report(ImportEvent::Unchecked(unchecked)).await;
        }
        for completeness in imported.completeness {
            self.report(ImportEvent::Completeness(completeness)).await;
        }
        Ok(())
    }

    /// Waits while the caller is slow; reports nothing to a caller that has left.
    async fn report(&self, event: ImportEvent) {
        let _ = self.events.send(event).await;
    }
}

/// An image that did not come, with all reasons.
fn missing(image: String, failed: &[Failed]) -> Option<Failed> {
    let reasons: Vec<_> = failed.iter().map(|failed| failed.reason.as_str()).collect();
    let kind = failed.first()?.kind;
    Some(Failed::new(image, reasons.join("; ")).of(kind))
}

/// Forwards an importer's progress to the observer, and tells the importer when the observer has
/// left.
struct ImportWatch<'a>(&'a dyn Observer);

impl Watch for ImportWatch<'_> {
    fn progress(&self, progress: &perennial_import::Progress) {
        self.0.progress(Progress {
            bytes: progress.bytes,
            total_bytes: progress.total_bytes,
            items: progress.items,
            total_items: progress.total_items,
            ..Progress::of(Stage::Importing)
        });
    }

    fn is_cancelled(&self) -> bool {
        self.0.has_left()
    }
}
