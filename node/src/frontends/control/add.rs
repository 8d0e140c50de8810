//! `add` and import.

use perennial_control::{
    Add, AddDone, CompletenessRow, Done, FailedRow, Failure, Import, ImportDone, Item, Sink, Source,
};
use perennial_import::{Completeness, Failed, Options};
use perennial_manifest::Purl;
use perennial_store::Placement;
use tokio::sync::mpsc;

use super::{ControlService, failure, observer, usage};
use crate::archive::{self, AddFiles, ImportNews, ImportSource, Published};

/// Rows of an import that wait for a slow client.
const ROWS: usize = 16;

impl ControlService {
    pub(super) async fn add(&self, request: Add, sink: Sink) -> Result<Done, Failure> {
        let files = AddFiles {
            paths: request.paths,
            purl: Purl::parse(&request.purl).map_err(usage)?,
            license: request.license,
            license_files: request.license_files,
            placement: if request.in_place { Placement::InPlace } else { Placement::Copy },
            kind: request.kind,
            notes: request.notes,
        };
        let published = self.archive.add(files, observer(&sink)).await.map_err(failure)?;
        Ok(Done::Add(row(published)))
    }

    pub(super) async fn import(&self, request: Import, sink: Sink) -> Result<Done, Failure> {
        let source = match request.source {
            Source::Urls { urls, purl, html } => {
                ImportSource::Urls { urls, purl: Purl::parse(&purl).map_err(usage)?, html }
            }
            Source::Images { references, all_tags, platforms, auth_file } => {
                ImportSource::Images { references, all_tags, platforms, auth_file }
            }
            Source::Layout { layout, name } => ImportSource::Layout { layout, name },
            Source::Chart { repository, name, version, with_images } => {
                ImportSource::Chart { repository, name, version, with_images }
            }
        };
        let import = archive::Import {
            source,
            license: request.license,
            kind: request.kind,
            notes: request.notes,
            options: Options {
                allow_private: request.allow_private,
                plain_http: request.plain_http,
            },
        };
        let (news, mut rows) = mpsc::channel(ROWS);
        let forward = async {
            while let Some(news) = rows.recv().await {
                sink.item(item(news)).await;
            }
        };
        let import = self.archive.import(import, observer(&sink), news);
        let (summary, ()) = tokio::join!(import, forward);
        let summary = summary.map_err(failure)?;
        Ok(Done::Import(ImportDone {
            releases: summary.releases,
            failed: summary.failed,
            bytes: summary.bytes,
            new_bytes: summary.new_bytes,
        }))
    }
}

fn row(published: Published) -> AddDone {
    AddDone {
        release: published.release.to_string(),
        purl: published.purl.to_string(),
        publisher: published.publisher.to_string(),
        artifacts: published.artifacts,
        bytes: published.bytes,
        new_bytes: published.new_bytes,
    }
}

fn item(news: ImportNews) -> Item {
    let failed = |Failed { what, reason }| FailedRow { what, reason };
    match news {
        ImportNews::Published(published) => Item::Imported(row(published)),
        ImportNews::Failed(reason) => Item::NotImported(failed(reason)),
        ImportNews::Completeness(Completeness { of, held, missing }) => {
            let missing = missing.into_iter().map(failed).collect();
            Item::Completeness(CompletenessRow { of, held, missing })
        }
    }
}
