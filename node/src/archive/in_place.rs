//! Files that releases refer to in place: which are lost, and where they are after a move.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::DateTime;
use perennial_operation::{Progress, Stage};
use perennial_store::{Loss, Reading, Relocated, StoreError};

use super::{Archive, ArchiveError, Observer};

/// Bytes that a list may read of files that look different than before; `verify` reads all.
const READ_IN_PASSING: u64 = 2 << 30;
/// Losses that one text names, at most.
const NAMED: usize = 5;

impl Archive {
    /// Looks at the files that releases refer to in place, and returns those that are lost. Reads a
    /// bounded number of bytes.
    ///
    /// # Errors
    /// The store's error.
    pub async fn lost_in_place(&self) -> Result<Vec<Loss>, ArchiveError> {
        let looked = self.blocking(|archive| {
            let changes = archive.store.look_in_place(None, Reading::Doubtful(READ_IN_PASSING))?;
            Ok::<_, StoreError>((changes.restored, archive.store.lost_in_place()?))
        });
        let (restored, losses) = looked.await?;
        for release in restored {
            self.network.held(release).await;
        }
        Ok(losses)
    }

    /// Looks below `to` for the files that were referred to below `from`, reads them, and refers to
    /// those with the right bytes.
    ///
    /// # Errors
    /// [`ArchiveError::NothingInPlace`], and the store's error.
    pub async fn relocate(
        &self,
        from: PathBuf,
        to: PathBuf,
        observer: Arc<dyn Observer>,
    ) -> Result<Relocated, ArchiveError> {
        let relocated = self.blocking(move |archive| {
            let forms = [from.clone(), resolved(&from)];
            let relocated = archive.store.relocate(&forms, &to, &|bytes| {
                observer.progress(Progress { bytes, ..Progress::of(Stage::Verifying) });
            })?;
            if relocated.files == 0 && relocated.unmoved.is_empty() {
                return Err(ArchiveError::NothingInPlace(from));
            }
            Ok(relocated)
        });
        let relocated = relocated.await?;
        for release in &relocated.restored {
            self.network.held(*release).await;
        }
        Ok(relocated)
    }
}

/// A path with the links in its existing part resolved, as references have them.
fn resolved(path: &Path) -> PathBuf {
    let existing = path.ancestors().find_map(|above| Some((above, fs::canonicalize(above).ok()?)));
    match existing {
        Some((above, real)) => match path.strip_prefix(above) {
            Ok(rest) if !rest.as_os_str().is_empty() => real.join(rest),
            _ => real,
        },
        None => path.to_owned(),
    }
}

/// A lost file, its release, and the reason.
pub(crate) fn loss_text(loss: &Loss) -> String {
    let version = loss.purl.version().map(|version| format!("@{version}")).unwrap_or_default();
    let release = format!("{}{version}", loss.purl.name());
    let file = loss.file.as_ref().map_or("its list of files", |file| file.as_str());
    let why = match &loss.missed {
        None => "it is not here any more".to_owned(),
        Some(missed) => {
            let path = missed.path.display();
            let day = missed.changed.and_then(|at| DateTime::from_timestamp(at, 0));
            match day.map(|day| day.date_naive()) {
                Some(day) => format!("{path} changed on {day} since it was added in place"),
                None => format!("{path}, added in place, is not there or cannot be read"),
            }
        }
    };
    format!("{release} lost {file}: {why}")
}

/// The first of several losses, and how many there are besides.
pub(crate) fn losses_text(losses: &[Loss]) -> String {
    let mut texts: Vec<_> = losses.iter().take(NAMED).map(loss_text).collect();
    if losses.len() > NAMED {
        texts.push(format!("and {} more files", losses.len() - NAMED));
    }
    texts.join("; ")
}
