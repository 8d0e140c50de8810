//! The HTTP client of all importers: the addresses it may contact, the certificates it trusts, and
//! its timeouts.
//!
//! Promises that no request leaves for an address that the guard refuses; there is no other way to
//! send a request. The caller's proxies are used (`proxy`); `guard` documents the consequence for
//! private addresses. Trusted certificates are the system's, or those of the caller's
//! `SSL_CERT_FILE` and `SSL_CERT_DIR`; for a registry, those of its `certs.d` besides. A system
//! without any, such as a container image without files, gets those that Mozilla trusted at build
//! time.

mod certificates;
mod no_proxy;
mod proxy;

use std::error::Error;
use std::io;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use perennial_operation::{Environment, ImportEvent, Retrying};
use reqwest::{Method, RequestBuilder, Response, Url};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, InvalidMessage, RootCertStore};
use tokio::sync::mpsc;

use self::certificates::Certificates;
use self::proxy::Proxies;
use crate::ImportError;
use crate::error::shown;
use crate::guard::{Guard, Options, refusal};
use crate::retry::RetryPolicy;

/// A certificate of the caller's own, with its key.
type Own = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

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
    events: Option<mpsc::Sender<ImportEvent>>,
}

/// The reason that a request got no response.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A retry would fail in the same way.
    Permanent(ImportError),
    /// The connection broke, or the upstream is unreachable for now.
    Transient(ImportError),
    /// Nothing listens there, or not yet.
    Refused(ImportError),
}

/// A failed try, and what is known about the next.
pub(crate) struct Tried<'a> {
    /// The number of failed tries.
    pub(crate) times: u32,
    /// What failed, and how.
    pub(crate) error: &'a ImportError,
    /// The wait that the upstream asks for.
    pub(crate) wish: Option<Duration>,
    /// The connection was refused.
    pub(crate) refused: bool,
}

impl From<Failure> for ImportError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Permanent(error) | Failure::Transient(error) | Failure::Refused(error) => {
                error
            }
        }
    }
}

impl Client {
    /// A client for the addresses that the options allow.
    pub(crate) fn new(options: &Options) -> Result<Self, ImportError> {
        let Proxies { proxies, hosts } = Proxies::of(&options.environment)?;
        let roots = roots(&options.environment);
        let client = Self::build(Guard::new(options, hosts), proxies, roots, None)?;
        Ok(Self { tries: options.tries, events: options.events.clone(), ..client })
    }

    /// This client, or one with the certificates that the caller keeps for a registry.
    pub(crate) fn of_registry(
        &self,
        options: &Options,
        registry: &str,
    ) -> Result<Self, ImportError> {
        let kept = Certificates::of(&options.environment, registry)?;
        if kept.is_empty() {
            return Ok(self.clone());
        }
        let Proxies { proxies, .. } = Proxies::of(&options.environment)?;
        let mut roots = roots(&options.environment);
        roots.add_parsable_certificates(kept.authorities);
        let client = Self::build(self.guard.clone(), proxies, roots, kept.own)?;
        Ok(Self { http: client.http, ..self.clone() })
    }

    /// Waits until a request may be made again, and tells the caller of it; `false`, at once, if it
    /// may not.
    pub(crate) async fn again(&self, policy: RetryPolicy, tried: Tried<'_>) -> bool {
        let policy = if tried.refused { policy.if_refused() } else { policy };
        let policy = policy.with_tries(self.tries);
        let Some(wait) = policy.before_next(tried.times, tried.wish) else { return false };
        if let (Some(events), true) = (&self.events, policy.is_told()) {
            let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            let retrying = Retrying { reason: tried.error.to_string(), wait_ms };
            // A caller that does not read is not waited for.
            let _ = events.try_send(ImportEvent::Retrying(retrying));
        }
        tokio::time::sleep(wait).await;
        true
    }

    /// A client for the addresses that a guard allows.
    #[cfg(test)]
    pub(crate) fn behind(guard: Guard) -> Result<Self, ImportError> {
        Self::build(guard, Vec::new(), roots(&Environment::default()), None)
    }

    fn build(
        guard: Guard,
        proxies: Vec<reqwest::Proxy>,
        roots: RootCertStore,
        own: Option<Own>,
    ) -> Result<Self, ImportError> {
        Ok(Self { http: build(&guard, proxies, roots, own)?, guard, tries: None, events: None })
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
            let refused = has_cause(&error, &is_refusal);
            let reason = reason(&url, error);
            let error = ImportError::Upstream { what: shown(&url), reason };
            match (permanent, refused) {
                (true, _) => Failure::Permanent(error),
                // A program on this machine is not about to come up unasked.
                (_, true) if self.tries.is_none() && is_here(&url) => Failure::Permanent(error),
                (_, true) => Failure::Refused(error),
                _ => Failure::Transient(error),
            }
        })
    }
}

fn build(
    guard: &Guard,
    proxies: Vec<reqwest::Proxy>,
    roots: RootCertStore,
    own: Option<Own>,
) -> Result<reqwest::Client, ImportError> {
    let failed =
        |e: &dyn std::fmt::Display| ImportError::Usage(format!("HTTPS cannot be set up: {e}"));
    // Passed explicitly, not installed for the process, which may have another default provider.
    let tls =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|e| failed(&e))?
            .with_root_certificates(roots);
    let tls = match own {
        Some((chain, key)) => tls.with_client_auth_cert(chain, key).map_err(|e| failed(&e))?,
        None => tls.with_no_client_auth(),
    };
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

/// Whether nothing listens at the address.
fn is_refusal(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionRefused
}

/// Whether a URL leads to this machine.
fn is_here(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    match host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
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
