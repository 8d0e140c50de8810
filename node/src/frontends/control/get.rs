//! The `get` request.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use perennial_control::{Failure, Get, GetDone, Sink, WrittenImage};
use perennial_manifest::{BlobId, Candidate, Selector, Sha256Digest};
use perennial_protocol::PeerId;

use super::{ControlService, failure, observer};
use crate::archive::{ArchiveError, Meaning};

pub(super) async fn get(
    service: &ControlService,
    request: Get,
    sink: &Sink,
) -> Result<GetDone, Failure> {
    let started = Instant::now();
    let (archive, observer) = (&service.archive, observer(sink));
    let only = service.publisher(request.publisher.as_ref())?;
    let meaning = archive.meaning(&request.selector, only, true, &*observer).await;
    let done = match meaning.map_err(failure)? {
        Meaning::Release(agreeing) => get_release(service, &request, &agreeing, sink).await?,
        Meaning::Blob { .. } if !request.files.is_empty() => {
            return Err(failure(ArchiveError::OneFile(request.selector)));
        }
        Meaning::Blob { blob, sha256 } => get_blob(service, &request, blob, sha256, sink).await?,
    };
    let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(GetDone { elapsed_ms, ..done })
}

async fn get_release(
    service: &ControlService,
    request: &Get,
    agreeing: &[Candidate],
    sink: &Sink,
) -> Result<GetDone, Failure> {
    let (archive, observer) = (&service.archive, observer(sink));
    let release = agreeing[0].release;
    let some = !request.files.is_empty();
    let fetched = match &request.platform {
        _ if some => archive.fetch_files(release, &request.files, &*observer).await,
        None => archive.fetch(release, &*observer).await.map_err(ArchiveError::from),
        Some(platform) => {
            let fetched = archive.fetch_platform(release, platform, &*observer).await;
            fetched.map(Arc::new)
        }
    };
    let fetched = fetched.map_err(|error| about(&request.selector, failure(error)))?;
    let mut list = fetched.list.clone();
    let mut image = None;
    if !some && (request.output.is_some() || request.platform.is_some()) {
        image = archive.image(&fetched, request.platform.clone()).await.map_err(failure)?;
    }
    if let Some(image) = &image {
        list = image.list.clone();
    }
    let mut written = None;
    let mut remarks = Vec::new();
    if let Some(target) = request.output.clone() {
        let archived = image.is_some() && is_archive(&target);
        written = image.as_ref().map(|image| WrittenImage {
            names: image.names.clone(),
            digest: image.digest.to_string(),
            archive: archived,
            docker: image.for_docker,
        });
        if archived {
            let saved = archive.save(list.clone(), target, request.force, observer);
            saved.await.map_err(failure)?;
        } else {
            let exported = archive.export(list.clone(), target, request.force, observer);
            remarks = exported.await.map_err(failure)?;
        }
    }
    Ok(GetDone {
        release: Some(release),
        blob: None,
        purl: Some(fetched.row.purl.clone()),
        artifacts: list.len() as u64,
        bytes: list.total_bytes(),
        fetched_bytes: fetched.from.values().sum(),
        from: by_name(&fetched.from),
        elapsed_ms: 0,
        publishers: agreeing.iter().map(|candidate| candidate.publisher).collect(),
        output: request.output.as_ref().map(|output| output.display().to_string()),
        remarks,
        image: written,
    })
}

async fn get_blob(
    service: &ControlService,
    request: &Get,
    blob: BlobId,
    sha256: Option<Sha256Digest>,
    sink: &Sink,
) -> Result<GetDone, Failure> {
    let archive = &service.archive;
    let fetched = archive.get_blob(blob, &*observer(sink)).await;
    let fetched = fetched.map_err(|error| about(&request.selector, failure(error)))?;
    let mut output = None;
    if let Some(target) = request.output.clone() {
        let written = archive.export_blob(blob, sha256, target, request.force).await;
        output = Some(written.map_err(failure)?.display().to_string());
    } else if let Some(sha256) = sha256 {
        archive.check_sha256(blob, sha256).await.map_err(failure)?;
    }
    Ok(GetDone {
        release: None,
        blob: Some(blob),
        purl: None,
        artifacts: 1,
        bytes: fetched.size,
        fetched_bytes: fetched.from.values().sum(),
        from: by_name(&fetched.from),
        elapsed_ms: 0,
        publishers: Vec::new(),
        output,
        remarks: Vec::new(),
        image: None,
    })
}

/// Whether an image is written as one file: the name says so, and no directory has it.
fn is_archive(target: &Path) -> bool {
    let is_tar = target.extension().is_some_and(|end| end.eq_ignore_ascii_case("tar"));
    is_tar && !target.is_dir()
}

/// The failure with the name of what was asked for, unless it says so.
fn about(selector: &Selector, failure: Failure) -> Failure {
    let name = selector.to_string();
    if failure.message.contains(&name) {
        return failure;
    }
    Failure { message: format!("{name}: {}", failure.message), ..failure }
}

fn by_name(from: &BTreeMap<PeerId, u64>) -> BTreeMap<String, u64> {
    from.iter().map(|(peer, bytes)| (peer.to_string(), *bytes)).collect()
}
