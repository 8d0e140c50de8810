//! The HTTP client that all importers use: what it may call, whom it trusts, and how long it waits.
//!
//! `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` are honoured, as `reqwest` does by default; `guard` says what that
//! means for private addresses. Certificates are those of the system, or of `SSL_CERT_FILE` and `SSL_CERT_DIR`; where it has none, as in an image without files, those
//! that Mozilla trusts, as they were when this was built.

use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, RootCertStore};

use crate::ImportError;
use crate::guard::Guard;

/// How long nothing may come before a request is given up.
const SILENCE: Duration = Duration::from_secs(60);
const CONNECT: Duration = Duration::from_secs(20);

/// What the user allows.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Call addresses inside private networks, too.
    pub allow_private: bool,
    /// Speak plain HTTP to registries.
    pub plain_http: bool,
}

/// A client that calls only what the options allow. An address that stands in a URL is [`Guard::check`]'s to judge before the
/// URL is asked for; names and redirects are judged by the client itself.
pub(crate) fn client(options: &Options) -> Result<reqwest::Client, ImportError> {
    build(&Guard::new(options))
}

/// A client behind a guard.
pub(crate) fn build(guard: &Guard) -> Result<reqwest::Client, ImportError> {
    let failed = |e: &dyn std::fmt::Display| ImportError::Usage(format!("HTTPS cannot be set up: {e}"));
    // named here, not installed for the process: another part of it may have a default of its own
    let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| failed(&e))?
        .with_root_certificates(roots())
        .with_no_client_auth();
    reqwest::Client::builder()
        .user_agent(concat!("perennial/", env!("CARGO_PKG_VERSION")))
        .tls_backend_preconfigured(tls)
        .dns_resolver(guard.clone())
        .redirect(guard.clone().policy())
        .referer(false)
        .connect_timeout(CONNECT)
        .read_timeout(SILENCE)
        .build()
        .map_err(|e| failed(&e))
}

fn roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

/// Whether asking again would end the same way: the request itself is wrong, or nobody trusts the server's certificate.
pub(crate) fn is_settled(error: &reqwest::Error) -> bool {
    error.is_builder() || error.is_redirect() || is_distrust(error)
}

fn is_distrust(error: &(dyn std::error::Error + 'static)) -> bool {
    if let Some(tls) = error.downcast_ref() {
        return matches!(tls, rustls::Error::InvalidCertificate(_));
    }
    // an I/O error hides from the chain what it was made of
    let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    match inner {
        Some(inner) => is_distrust(inner),
        None => error.source().is_some_and(is_distrust),
    }
}

/// An error with what is behind it, which `reqwest` does not say by itself.
pub(crate) fn why(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use rustls::{CertificateError, Error};

    use super::*;

    #[test]
    fn a_certificate_that_nobody_trusts_is_not_tried_again() {
        let wrapped = |error: Error| io::Error::other(io::Error::new(io::ErrorKind::InvalidData, error));
        assert!(is_distrust(&wrapped(Error::InvalidCertificate(CertificateError::UnknownIssuer))));
        assert!(!is_distrust(&wrapped(Error::HandshakeNotComplete)));
        assert!(!is_distrust(&io::Error::from(io::ErrorKind::ConnectionReset)));
    }
}
