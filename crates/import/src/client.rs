//! The HTTP client of all importers: the addresses it may contact, the certificates it trusts, and
//! its timeouts.
//!
//! Promises that no request leaves for an address that the guard refuses; there is no other way to
//! send a request. The caller's proxies are used (`proxy`); `guard` documents the consequence for
//! private addresses. Trusted certificates are the system's, or those of the caller's
//! `SSL_CERT_FILE` and `SSL_CERT_DIR`. A system without any, such as a container image without
//! files, gets those that Mozilla trusted at build time.

mod proxy;

use std::error::Error;
use std::io;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use perennial_operation::Environment;
use reqwest::{Method, RequestBuilder, Response, Url};
use rustls::{ClientConfig, InvalidMessage, RootCertStore};

use self::proxy::Proxies;
use crate::ImportError;
use crate::error::shown;
use crate::guard::{Guard, Options, refusal};
use crate::retry::RetryPolicy;

/// The time without a byte after which a request fails.
const SILENCE: Duration = Duration::from_secs(60);
const CONNECT: Duration = Duration::from_secs(20);
/// What to do where plain HTTP is spoken.
const PLAIN_HTTP: &str = "--plain-http asks a registry so, and http:// any other server";

/// Sends requests to upstreams that the guard allows.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    guard: Guard,
    tries: Option<NonZeroU32>,
}

/// The reason that a request got no response.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A retry would fail in the same way.
    Permanent(ImportError),
    /// The connection broke, or the upstream is unreachable for now.
    Transient(ImportError),
}

impl From<Failure> for ImportError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Permanent(error) | Failure::Transient(error) => error,
        }
    }
}

impl Client {
    /// A client for the addresses that the options allow.
    pub(crate) fn new(options: &Options) -> Result<Self, ImportError> {
        let Proxies { proxies, hosts } = Proxies::of(&options.environment)?;
        let client = Self::build(Guard::new(options, hosts), proxies, &options.environment)?;
        Ok(Self { tries: options.tries, ..client })
    }

    /// The patience for a kind of request, with the number of tries that the user wants.
    pub(crate) fn patience(&self, policy: RetryPolicy) -> RetryPolicy {
        policy.with_tries(self.tries)
    }

    /// A client for the addresses that a guard allows.
    #[cfg(test)]
    pub(crate) fn behind(guard: Guard) -> Result<Self, ImportError> {
        Self::build(guard, Vec::new(), &Environment::default())
    }

    fn build(
        guard: Guard,
        proxies: Vec<reqwest::Proxy>,
        environment: &Environment,
    ) -> Result<Self, ImportError> {
        Ok(Self { http: build(&guard, proxies, environment)?, guard, tries: None })
    }

    /// Starts a request, to be completed and passed to [`Self::send`].
    pub(crate) fn request(&self, method: Method, url: &Url) -> RequestBuilder {
        self.http.request(method, url.clone())
    }

    /// Sends a request. An address in its URL never reaches the resolver, so it is checked here.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let request =
            request.build().map_err(|e| Failure::Permanent(ImportError::Usage(why(e))))?;
        let url = request.url().clone();
        self.guard.check(&url).map_err(Failure::Permanent)?;
        self.http.execute(request).await.map_err(|error| {
            if let Some(refused) = refusal(&url, &error) {
                return Failure::Permanent(refused);
            }
            let permanent = is_permanent(&error);
            let reason = reason(&url, error);
            let error = ImportError::Upstream { what: shown(&url), reason };
            if permanent { Failure::Permanent(error) } else { Failure::Transient(error) }
        })
    }
}

fn build(
    guard: &Guard,
    proxies: Vec<reqwest::Proxy>,
    environment: &Environment,
) -> Result<reqwest::Client, ImportError> {
    let failed =
        |e: &dyn std::fmt::Display| ImportError::Usage(format!("HTTPS cannot be set up: {e}"));
    // Passed explicitly, not installed for the process, which may have another default provider.
    let tls =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|e| failed(&e))?
            .with_root_certificates(roots(environment))
            .with_no_client_auth();
    // Only the caller's proxies: those of this process may be another's.
    let builder = reqwest::Client::builder().no_proxy();
    proxies
        .into_iter()
        .fold(builder, reqwest::ClientBuilder::proxy)
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

fn roots(environment: &Environment) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let [file, dir] = ["SSL_CERT_FILE", "SSL_CERT_DIR"].map(|name| environment.get(name));
    let found = match (file, dir) {
        (None, None) => rustls_native_certs::load_native_certs(),
        _ => rustls_native_certs::load_certs_from_paths(file.map(Path::new), dir.map(Path::new)),
    };
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

/// Whether a retry would fail in the same way: the request itself is wrong, or the server's
/// certificate is not trusted.
fn is_permanent(error: &reqwest::Error) -> bool {
    error.is_builder()
        || error.is_redirect()
        || has_cause(error, &is_distrust)
        || has_cause(error, &is_not_tls)
}

/// Whether the server's certificate is not trusted.
fn is_distrust(error: &rustls::Error) -> bool {
    matches!(error, rustls::Error::InvalidCertificate(_))
}

/// Whether the server answered TLS with something else.
fn is_not_tls(error: &rustls::Error) -> bool {
    matches!(error, rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType))
}

/// Whether the server hung up.
fn is_end(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset)
}

/// Whether an error was caused by one that `is` holds for.
fn has_cause<E: Error + 'static>(error: &(dyn Error + 'static), is: &dyn Fn(&E) -> bool) -> bool {
    if error.downcast_ref().is_some_and(is) {
        return true;
    }
    // An I/O error omits the error it wraps from its chain of sources.
    let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    match inner {
        Some(inner) => has_cause(inner, is),
        None => error.source().is_some_and(|source| has_cause(source, is)),
    }
}

/// The reason that a request failed, and what helps if the server does not speak TLS.
fn reason(url: &Url, error: reqwest::Error) -> String {
    let is_tls = url.scheme() == "https" && error.is_connect();
    if is_tls && has_cause(&error, &is_not_tls) {
        format!("it answers in plain HTTP, not TLS; {PLAIN_HTTP}")
    } else if is_tls && has_cause(&error, &is_end) {
        format!("{}; if it speaks plain HTTP: {PLAIN_HTTP}", why(error))
    } else {
        why(error)
    }
}

/// An error with its causes, which `reqwest` does not print by itself, and without the URL: the
/// target of a redirect may contain a secret.
pub(crate) fn why(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use rustls::{CertificateError, Error};

    use super::*;

    #[test]
    fn an_untrusted_certificate_is_not_retried() {
        let wrapped =
            |error: Error| io::Error::other(io::Error::new(io::ErrorKind::InvalidData, error));
        let is_distrusted = |error: io::Error| has_cause(&error, &is_distrust);
        let unknown = Error::InvalidCertificate(CertificateError::UnknownIssuer);
        assert!(is_distrusted(wrapped(unknown)));
        assert!(!is_distrusted(wrapped(Error::HandshakeNotComplete)));
        assert!(!is_distrusted(io::Error::from(io::ErrorKind::ConnectionReset)));
    }
}
