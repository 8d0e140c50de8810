//! The server's certificate.
//!
//! A chain and a key that do not match are detected at load time, and the error names the file at
//! fault. Files that change are read again at the next connection; if they do not fit, the
//! certificate stays as it was, and is tried again at their next change. Uses ring, regardless of
//! the process's default provider.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::server::TlsStream;

use crate::file_stamp::FileStamp;
use crate::secret_file;

/// Why TLS cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The certificate chain cannot be read.
    #[error("the certificate {path}: {reason}; give the chain as PEM, the server's own first")]
    Certificate {
        /// The file of the chain.
        path: PathBuf,
        /// Why the file was rejected.
        reason: String,
    },
    /// The private key cannot be read.
    #[error("the key {path}: {reason}; give it as PEM, not encrypted (PKCS#8, PKCS#1 or SEC1)")]
    Key {
        /// The file of the key.
        path: PathBuf,
        /// Why the file was rejected.
        reason: String,
    },
    /// Both files can be read, but the key does not belong to the certificate.
    #[error("the certificate {cert} and the key {key} do not go together: {reason}")]
    Pair {
        /// The file of the chain.
        cert: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// Why they do not match.
        reason: String,
    },
    /// Other users can write to the key's file.
    #[error(
        "{} has mode {mode:o}: other users could put a key of their own there. Run `chmod 600 {}`",
        path.display(), path.display()
    )]
    Loose {
        /// The key's file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

/// A certificate and its key, ready to serve with.
#[derive(Clone)]
pub struct Tls(Arc<Files>);

/// The files of a certificate, and what they said when they were last read.
struct Files {
    cert: PathBuf,
    key: PathBuf,
    kept: Mutex<Kept>,
}

struct Kept {
    acceptor: TlsAcceptor,
    stamps: Stamps,
}

/// The stamps of both files; none for one that is not there.
type Stamps = [Option<FileStamp>; 2];

fn stamps(cert: &Path, key: &Path) -> Stamps {
    [cert, key].map(|path| FileStamp::of(path).ok())
}

impl Tls {
    /// Reads a certificate chain, the server's own certificate first, and its private key, both as
    /// PEM.
    ///
    /// # Errors
    ///
    /// [`TlsError`] names the file that cannot be read, or reports that the two do not match.
    pub fn load(cert: &Path, key: &Path) -> Result<Self, TlsError> {
        let stamps = stamps(cert, key);
        let kept = Mutex::new(Kept { acceptor: read(cert, key)?, stamps });
        Ok(Self(Arc::new(Files { cert: cert.to_owned(), key: key.to_owned(), kept })))
    }

    /// The certificate as it is now.
    fn now(&self) -> TlsAcceptor {
        let Files { cert, key, kept } = &*self.0;
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        // Before the read: what is written meanwhile is read the next time.
        let stamps = stamps(cert, key);
        if stamps != kept.stamps {
            match read(cert, key) {
                Ok(acceptor) => {
                    tracing::info!(cert = %cert.display(), "the certificate was read again");
                    kept.acceptor = acceptor;
                }
                // Of a pair that is being replaced, one file changes before the other.
                Err(error) => tracing::warn!(%error, "the certificate stays as it was"),
            }
            kept.stamps = stamps;
        }
        kept.acceptor.clone()
    }

    pub(super) async fn accept<IO>(&self, stream: IO) -> std::io::Result<TlsStream<IO>>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let acceptor = self.now();
        acceptor.accept(stream).await
    }
}

fn read(cert: &Path, key: &Path) -> Result<TlsAcceptor, TlsError> {
    let of_cert = |reason: String| TlsError::Certificate { path: cert.to_owned(), reason };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect)
        .map_err(|error| of_cert(reason(&error)))?;
    if chain.is_empty() {
        return Err(of_cert("it holds no certificate".into()));
    }
    let unread = |reason: String| TlsError::Key { path: key.to_owned(), reason };
    let of_key = |error: pem::Error| unread(reason(&error));
    match secret_file::close_to_others(key) {
        Ok(None) => {}
        Ok(Some(mode)) => return Err(TlsError::Loose { path: key.to_owned(), mode }),
        Err(error) => return Err(unread(error.to_string())),
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(of_key)?;
    let pair = |error: tokio_rustls::rustls::Error| TlsError::Pair {
        cert: cert.to_owned(),
        key: key.to_owned(),
        reason: error.to_string(),
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(pair)?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(pair)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

fn reason(error: &pem::Error) -> String {
    match error {
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound => "it holds none".into(),
        other => other.to_string(),
    }
}
