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
    Chart, Completeness, Failed, Images, Imported, Options, Urls, Watch, chart, images, layout,
    urls,
};
use perennial_manifest::{PublisherKind, Purl};
use tokio::sync::mpsc;

use super::media::guess;
use super::{Archive, ArchiveError, Observer, Progress, PublishOptions, Published, Stage};

/// An import request: the source and the options.
#[derive(Debug, Clone)]
pub struct Import {
    /// The source to import from.
    pub source: ImportSource,
    /// SPDX expression; published as `NOASSERTION` if `None`.
    pub license: Option<String>,
    /// A new kind for the publisher's profile; `None` leaves it unchanged.
    pub kind: Option<PublisherKind>,
    /// Free-form notes for people.
    pub notes: Option<String>,
    /// What the importers may do on the network.
    pub options: Options,
}

/// A source to import from.
#[derive(Debug, Clone)]
pub enum ImportSource {
    /// Files named by URL, as one release.
    Urls {
        /// Each an `https://…` URL.
        urls: Vec<String>,
        /// The release's name, with a version.
        purl: Purl,
        /// Accept a web page even if the URL does not look like one.
        html: bool,
    },
    /// Images in registries, one release each.
    Images {
        /// `docker://registry/repository:tag` or `…@sha256:…`.
        references: Vec<String>,
        /// Import every tag of each repository.
        all_tags: bool,
        /// `os/architecture[/variant]`; empty means all.
        platforms: Vec<String>,
        /// A credentials file, read instead of podman's and docker's.
        auth_file: Option<PathBuf>,
    },
    /// Images in an OCI layout, or in an archive written by skopeo or `docker save`.
    Layout {
        /// `oci:DIR`, `oci-archive:FILE` or `docker-archive:FILE`, with `:TAG` if there are several
        /// images.
        layout: String,
        /// The reference to publish under if the layout does not name one.
        name: Option<String>,
    },
    /// A chart of a Helm repository.
    Chart {
        /// The repository's `https://…` URL.
        repository: String,
        /// The chart's name in the repository's index.
        name: String,
        /// The chart's version; `None` means the newest.
        version: Option<String>,
        /// Also import the images that the chart names.
        with_images: bool,
    },
}

/// A report of a running import, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportNews {
    /// A release was signed.
    Published(Published),
    /// A file, image or chart could not be imported.
    Failed(Failed),
    /// How much of what a release refers to was imported.
    Completeness(Completeness),
}

/// The totals of an import.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ImportSummary {
    /// Releases signed.
    pub releases: u64,
    /// Images or files that were not imported.
    pub failed: u64,
    /// Total size of all releases in bytes.
    pub bytes: u64,
    /// Bytes that the store did not have before.
    pub new_bytes: u64,
}

impl Archive {
    /// Imports, signs and announces; each release is reported on `news` once it is signed. Runs in
    /// a task of its own: when the caller leaves, the import stops at the next blob and signs what
    /// it has.
    ///
    /// # Errors
    /// When the source is invalid, cannot be reached or serves something other than before, when
    /// signing fails, or when the store fails. A single image that cannot be imported is
    /// [`ImportNews::Failed`] instead.
    pub async fn import(
        &self,
        import: Import,
        observer: Arc<dyn Observer>,
        news: mpsc::Sender<ImportNews>,
    ) -> Result<ImportSummary, ArchiveError> {
        self.network.synced().await;
        let archive = self.clone();
        let task = self.tasks.spawn(async move {
            let mut job =
                Job { archive, import, observer, news, summary: ImportSummary::default() };
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
    news: mpsc::Sender<ImportNews>,
    summary: ImportSummary,
}

impl Job {
    async fn run(&mut self) -> Result<(), ArchiveError> {
        let store = self.archive.store.clone();
        let options = self.import.options.clone();
        let (license, notes) = (self.import.license.clone(), self.import.notes.clone());
        let observer = Arc::clone(&self.observer);
        let watch = ImportWatch(&*observer);
        match self.import.source.clone() {
            ImportSource::Images { references, all_tags, platforms, auth_file } => {
                // One after the other: each is signed before the next is requested. An image that
                // cannot be imported is a row of its own, so an error here comes from the store or
                // means that the caller has left.
                for reference in references {
                    let what = Images {
                        references: vec![reference],
                        all_tags,
                        platforms: platforms.clone(),
                        auth_file: auth_file.clone(),
                        license: license.clone(),
                        notes: notes.clone(),
                    };
                    let imported = images(&store, &options, &what, &watch).await?;
                    self.publish(imported).await?;
                }
            }
            ImportSource::Urls { urls: from, purl, html } => {
                let guess = |name: &str| guess(name, false);
                let what = Urls { urls: from, purl: purl.clone(), license, html, notes, guess };
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

    /// Imports as many of the images that a chart names as possible, and reports how complete the
    /// chart is.
    async fn images_of(
        &mut self,
        of: String,
        named: Vec<String>,
        watch: &ImportWatch<'_>,
    ) -> Result<(), ArchiveError> {
        let mut completeness = Completeness { of, held: Vec::new(), missing: Vec::new() };
        for image in BTreeSet::from_iter(named) {
            let what = Images {
                references: vec![format!("docker://{image}")],
                all_tags: false,
                platforms: Vec::new(),
                license: self.import.license.clone(),
                notes: None,
                auth_file: None,
            };
            let store = &self.archive.store;
            let mut imported = images(store, &self.import.options, &what, watch).await?;
            let failed = std::mem::take(&mut imported.failed);
            self.publish(imported).await?;
            if failed.is_empty() {
                completeness.held.push(image);
            } else {
                let reasons: Vec<_> = failed.into_iter().map(|failed| failed.reason).collect();
                completeness.missing.push(Failed { what: image, reason: reasons.join("; ") });
            }
        }
        self.report(ImportNews::Completeness(completeness)).await;
        Ok(())
    }

    /// Publishes the imported artifacts and reports the failures.
    async fn publish(&mut self, imported: Imported) -> Result<(), ArchiveError> {
        let mut new_bytes = imported.new_bytes;
        for draft in imported.drafts {
            let options = PublishOptions {
                kind: self.import.kind,
                new_bytes: std::mem::take(&mut new_bytes),
            };
            let published = self.archive.publish(draft, options).await?;
            self.summary.releases += 1;
            self.summary.bytes += published.bytes;
            self.summary.new_bytes += published.new_bytes;
            self.report(ImportNews::Published(published)).await;
        }
        for failed in imported.failed {
            self.summary.failed += 1;
            self.report(ImportNews::Failed(failed)).await;
        }
        for completeness in imported.completeness {
            self.report(ImportNews::Completeness(completeness)).await;
        }
        Ok(())
    }

    /// Waits while the caller is slow; reports nothing to a caller that has left.
    async fn report(&self, news: ImportNews) {
        let _ = self.news.send(news).await;
    }
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
