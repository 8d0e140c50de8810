//! The `add` and import requests.

use perennial_control::{Add, Failure, Import, ImportEvent, ImportSummary, Published, Sink};
use tokio::sync::mpsc;

use super::{ControlService, failure, observer};

/// Events of an import queued for a slow client, at most.
const EVENTS: usize = 16;

pub(super) async fn add(
    service: &ControlService,
    request: Add,
    sink: &Sink,
) -> Result<Published, Failure> {
    service.archive.add(request, observer(sink)).await.map_err(failure)
}

pub(super) async fn import(
    service: &ControlService,
    request: Import,
    sink: &Sink<ImportEvent>,
) -> Result<ImportSummary, Failure> {
    let (events, mut reported) = mpsc::channel(EVENTS);
    let forward = async {
        while let Some(event) = reported.recv().await {
            sink.item(event).await;
        }
    };
    let import = service.archive.import(request, observer(sink), events);
    let (summary, ()) = tokio::join!(import, forward);
    summary.map_err(failure)
}
