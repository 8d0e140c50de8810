//! The server's certificate.
//!
//! A chain and a key that do not match are detected at load time, and the error names the file at
//! fault. Uses ring, regardless of the process's default provider.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::server::TlsStream;

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
}

/// A certificate and its key, ready to serve with.
#[derive(Clone)]
pub struct Tls(TlsAcceptor);

impl Tls {
    /// Reads a certificate chain, the server's own certificate first, and its private key, both as
    /// PEM.
    ///
    /// # Errors
    ///
    /// [`TlsError`] names the file that cannot be read, or reports that the two do not match.
    pub fn load(cert: &Path, key: &Path) -> Result<Self, TlsError> {
        let of_cert = |reason: String| TlsError::Certificate { path: cert.to_owned(), reason };
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(cert)
            .and_then(Iterator::collect)
            .map_err(|error| of_cert(reason(&error)))?;
        if chain.is_empty() {
            return Err(of_cert("it holds no certificate".into()));
        }
        let of_key =
            |error: pem::Error| TlsError::Key { path: key.to_owned(), reason: reason(&error) };
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
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    pub(super) async fn accept<IO>(&self, stream: IO) -> std::io::Result<TlsStream<IO>>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        self.0.accept(stream).await
    }
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
