//! The certificates that the caller keeps for a registry, as `containers-certs.d(5)` says: in the
//! first directory that is there, `*.crt` are authorities, and `*.cert` with `*.key` is the
//! caller's own.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use perennial_operation::Environment;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::ImportError;

/// Authorities to trust, and the caller's own certificate.
#[derive(Default)]
pub(super) struct Certificates {
    pub(super) authorities: Vec<CertificateDer<'static>>,
    pub(super) own: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

impl Certificates {
    /// The certificates for a registry (`host[:port]`).
    ///
    /// # Errors
    /// [`ImportError::Usage`] if a file does not read, or a certificate has no key.
    pub(super) fn of(environment: &Environment, registry: &str) -> Result<Self, ImportError> {
        let mut found = Self::default();
        let files = environment.certificate_dirs(registry).into_iter().find_map(|dir| files(&dir));
        for path in files.into_iter().flatten() {
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("crt") => found.authorities.extend(certificates(&path)?),
                Some("cert") => {
                    let key = path.with_extension("key");
                    let key = PrivateKeyDer::from_pem_file(&key).map_err(|e| refuse(&key, &e))?;
                    found.own = Some((certificates(&path)?, key));
                }
                _ => {}
            }
        }
        Ok(found)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.authorities.is_empty() && self.own.is_none()
    }
}

/// The files of a directory, by name; `None` if it is not there, or not for this user.
fn files(dir: &Path) -> Option<Vec<PathBuf>> {
    match std::fs::read_dir(dir) {
        Ok(entries) => {
            let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
            files.sort();
            Some(files)
        }
        Err(error) => {
            let is_missing = error.kind() == ErrorKind::NotFound;
            tracing::debug!(dir = %dir.display(), %error, is_missing, "no certificates");
            None
        }
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ImportError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let read: Vec<_> = read.map_err(|e| refuse(path, &e))?;
    if read.is_empty() {
        return Err(refuse(path, &"there is no certificate in it"));
    }
    Ok(read)
}

fn refuse(path: &Path, error: &dyn std::fmt::Display) -> ImportError {
    ImportError::Usage(format!("cannot use {}, for a registry: {error}", path.display()))
}
