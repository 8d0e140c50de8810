//! The HTTP client that all importers use: what it may call, whom it trusts, and how long it waits.
//!
//! Promises that no request leaves whose address the guard refuses; there is no other way to send one.
//! `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` are honoured, as `reqwest` does by default; `guard` says what that
//! means for private addresses. Certificates are those of the system, or of `SSL_CERT_FILE` and `SSL_CERT_DIR`; where it has
//! none, as in an image without files, those that Mozilla trusts, as they were when this was built.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response, Url};
use rustls::{ClientConfig, RootCertStore};

use crate::ImportError;
use crate::guard::{Guard, refusal};

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

/// Asks upstreams, and only those that may be called.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    guard: Guard,
}

/// Why no answer came.
#[derive(Debug)]
pub(crate) enum Unanswered {
    /// Asking again would end the same way.
    Settled(ImportError),
    /// The line broke, or nobody is there just now.
    Again(ImportError),
}

impl From<Unanswered> for ImportError {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Settled(error) | Unanswered::Again(error) => error,
        }
    }
}

impl Client {
    /// Calls only what the options allow.
    pub(crate) fn new(options: &Options) -> Result<Self, ImportError> {
        Self::behind(Guard::new(options))
    }

    /// Calls only what a guard allows.
    pub(crate) fn behind(guard: Guard) -> Result<Self, ImportError> {
        Ok(Self { http: build(&guard)?, guard })
    }

    /// A request to be filled in and sent.
    pub(crate) fn request(&self, method: Method, url: &Url) -> RequestBuilder {
        self.http.request(method, url.clone())
    }

    /// Sends a request. An address that stands in its URL never reaches the resolver, so it is judged here.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Response, Unanswered> {
        let request =
            request.build().map_err(|e| Unanswered::Settled(ImportError::Usage(why(e))))?;
        let url = request.url().clone();
        self.guard.check(&url).map_err(Unanswered::Settled)?;
        self.http.execute(request).await.map_err(|error| {
            if let Some(refused) = refusal(&url, &error) {
                return Unanswered::Settled(refused);
            }
            let settled = is_settled(&error);
            let error = ImportError::Upstream { what: shown(&url), reason: why(error) };
            if settled { Unanswered::Settled(error) } else { Unanswered::Again(error) }
        })
    }
}

fn build(guard: &Guard) -> Result<reqwest::Client, ImportError> {
    let failed =
        |e: &dyn std::fmt::Display| ImportError::Usage(format!("HTTPS cannot be set up: {e}"));
    // named here, not installed for the process: another part of it may have a default of its own
    let tls =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
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
fn is_settled(error: &reqwest::Error) -> bool {
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

/// An error with what is behind it, which `reqwest` does not say by itself, and without the URL, which may hold a key to
/// what a redirect leads to.
pub(crate) fn why(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// A URL for people and statements: without credentials, which are nobody else's business, and without fragment.
pub(crate) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // both fail only where a URL cannot have any
    let _ = (url.set_username(""), url.set_password(None));
    url.set_fragment(None);
    url.into()
}

#[cfg(test)]
mod tests {
    use std::io;

    use rustls::{CertificateError, Error};

    use super::*;

    #[test]
    fn a_certificate_that_nobody_trusts_is_not_tried_again() {
        let wrapped =
            |error: Error| io::Error::other(io::Error::new(io::ErrorKind::InvalidData, error));
        assert!(is_distrust(&wrapped(Error::InvalidCertificate(CertificateError::UnknownIssuer))));
        assert!(!is_distrust(&wrapped(Error::HandshakeNotComplete)));
        assert!(!is_distrust(&io::Error::from(io::ErrorKind::ConnectionReset)));
    }
}
