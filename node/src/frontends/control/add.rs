//! The `add` and import requests.

use perennial_control::{
    Add, AddDone, CompletenessRow, FailedRow, Failure, Import, ImportDone, ImportRow, Sink, Source,
};
use perennial_import::{Completeness, Failed, Options};
use perennial_store::Placement;
use tokio::sync::mpsc;

use super::{ControlService, failure, observer};
use crate::archive::{self, AddFiles, ImportNews, ImportSource, Published};

/// Rows of an import queued for a slow client, at most.
const ROWS: usize = 16;

pub(super) async fn add(
    service: &ControlService,
    request: Add,
    sink: &Sink,
) -> Result<AddDone, Failure> {
    let files = AddFiles {
        paths: request.paths,
        purl: request.purl,
        license: request.license,
        license_files: request.license_files,
        placement: if request.in_place { Placement::InPlace } else { Placement::Copy },
        kind: request.kind,
        notes: request.notes,
    };
    let published = service.archive.add(files, observer(sink)).await.map_err(failure)?;
    Ok(row(published))
}

pub(super) async fn import(
    service: &ControlService,
    request: Import,
    sink: &Sink<ImportRow>,
) -> Result<ImportDone, Failure> {
    let source = match request.source {
        Source::Urls { urls, purl, html } => ImportSource::Urls { urls, purl, html },
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
        options: Options { allow_private: request.allow_private, plain_http: request.plain_http },
    };
    let (news, mut rows) = mpsc::channel(ROWS);
    let forward = async {
        while let Some(news) = rows.recv().await {
            sink.item(item(news)).await;
        }
    };
    let import = service.archive.import(import, observer(sink), news);
    let (summary, ()) = tokio::join!(import, forward);
    let summary = summary.map_err(failure)?;
    Ok(ImportDone {
        releases: summary.releases,
        failed: summary.failed,
        bytes: summary.bytes,
        new_bytes: summary.new_bytes,
    })
}

fn row(published: Published) -> AddDone {
    AddDone {
        release: published.release,
        purl: published.purl,
        publisher: published.publisher,
        artifacts: published.artifacts,
        bytes: published.bytes,
        new_bytes: published.new_bytes,
    }
}

fn item(news: ImportNews) -> ImportRow {
    let failed = |Failed { what, reason }| FailedRow { what, reason };
    match news {
        ImportNews::Published(published) => ImportRow::Imported(row(published)),
        ImportNews::Failed(reason) => ImportRow::NotImported(failed(reason)),
        ImportNews::Completeness(Completeness { of, held, missing }) => {
            let missing = missing.into_iter().map(failed).collect();
            ImportRow::Completeness(CompletenessRow { of, held, missing })
        }
    }
}
