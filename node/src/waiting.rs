//! A node whose disk went: it waits until the archive can be opened again, and says so meanwhile.
//!
//! Nothing of the archive is open here, so that the disk can be checked, mounted and replaced.
//! HTTP clients, and with them health checks, get 503 with the reason. Makes no archive: an empty
//! mount point is not one.

use std::path::Path;
use std::time::Duration;

use perennial_store::{OpenOptions, Store};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::frontends::http;
use crate::place::has_archive;

/// How often the archive is looked for.
const EVERY: Duration = Duration::from_secs(2);

/// Waits until the archive can be opened.
pub(crate) async fn until_back(config: &Config, reason: &str) {
    tracing::error!(%reason, data = %config.data.display(),
        "the archive is gone; waiting until its disk is back");
    let stop = CancellationToken::new();
    let mut telling = None;
    if let Some(frontend) = &config.http {
        match http::serve_reason(reason, frontend, stop.clone()).await {
            Ok(served) => telling = Some(served.task),
            Err(error) => tracing::warn!(%error, "HTTP clients are not told why"),
        }
    }
    let mut said = String::new();
    loop {
        sleep(EVERY).await;
        let data = config.data.clone();
        match tokio::task::spawn_blocking(move || obstacle(&data)).await {
            Ok(None) => break,
            Ok(Some(reason)) if reason != said => {
                tracing::info!(%reason, "still waiting");
                said = reason;
            }
            _ => {}
        }
    }
    stop.cancel();
    if let Some(telling) = telling {
        let _ = telling.await;
    }
    tracing::info!("the archive is back");
}

/// The reason why the archive cannot be opened; none if it can. Opens it to the end, because what
/// the kernel has cached reads well without a disk.
fn obstacle(data: &Path) -> Option<String> {
    if !has_archive(data) {
        return Some(format!("no archive at {}", data.display()));
    }
    match Store::open(data, OpenOptions::default()) {
        Ok(store) => store.probe().err().map(|error| error.to_string()),
        Err(error) => Some(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_found_again_and_none_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("d");
        drop(Store::open(&data, OpenOptions::default()).unwrap());
        assert_eq!(obstacle(&data), None);
        std::fs::rename(&data, dir.path().join("aside")).unwrap();
        std::fs::create_dir(&data).unwrap();
        assert!(obstacle(&data).unwrap().contains("no archive"));
        assert_eq!(std::fs::read_dir(&data).unwrap().count(), 0);
    }
}
