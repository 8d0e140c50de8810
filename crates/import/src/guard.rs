//! The addresses that may be contacted: the public internet only, unless the user allows more.
//!
//! A name is judged by the addresses that it resolves to at the moment of the call, so an upstream
//! cannot point it elsewhere on the second look-up (DNS rebinding). An address in a URL never
//! reaches the resolver, so the client calls [`Guard::check`] before each request; redirects are
//! checked here. A configured proxy resolves names itself: the user chose it, and it may lie in the
//! private network. Addresses in URLs are checked all the same. A name that does not exist is told
//! apart from a failed look-up, so that a misspelt name fails at once.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;

use perennial_manifest::Origin;
use perennial_operation::{Environment, ImportEvent};
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use tokio::sync::mpsc;

use crate::ImportError;
use crate::error::shown;

/// Most redirects followed.
const REDIRECTS: usize = 10;

/// The permissions that the user grants an import.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Contact addresses inside private networks too.
    pub allow_private: bool,
    /// Speak plain HTTP to registries.
    pub plain_http: bool,
    /// The caller's proxies, places of credentials and trusted certificates.
    pub environment: Environment,
    /// How often an upstream is asked before it is given up; none means the importers' own
    /// patience.
    pub tries: Option<NonZeroU32>,
    /// Sign URLs as they are, but for users and passwords.
    pub keep_query: bool,
    /// Receives [`ImportEvent::Retrying`] for each request that is made again.
    pub events: Option<mpsc::Sender<ImportEvent>>,
}

/// Blocks outside the public internet (IANA's special-purpose registry), as address and prefix
/// length.
const SPECIAL_V4: [([u8; 4], u32); 15] = [
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4),
];

/// Special blocks inside 2000::/3, the only one handed out: protocols (Teredo among them),
/// documentation, 6to4.
const SPECIAL_V6: [([u16; 2], u32); 4] =
    [([0x2001, 0], 23), ([0x2001, 0x0db8], 32), ([0x2002, 0], 16), ([0x3fff, 0], 20)];

/// Whether an address belongs to the public internet.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let bits = address.to_bits();
    !SPECIAL_V4.iter().any(|(block, prefix)| {
        let shift = 32 - prefix;
        bits >> shift == Ipv4Addr::from(*block).to_bits() >> shift
    })
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    // Networks without IPv4 reach it through 64:ff9b::/96, so the embedded address counts.
    if let [0x64, 0xff9b, 0, 0, 0, 0, high, low] = address.segments() {
        return is_public_v4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    }
    let [first, second, ..] = address.segments();
    let bits = u32::from(first) << 16 | u32::from(second);
    // v4-mapped, v4-compatible, unique-local, link-local, multicast and loopback are all outside.
    first >> 13 == 1
        && !SPECIAL_V6.iter().any(|([first, second], prefix)| {
            let shift = 32 - prefix;
            bits >> shift == (u32::from(*first) << 16 | u32::from(*second)) >> shift
        })
}

/// The reason that a call is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refused {
    /// An address, or a name with its address.
    Private(String),
    /// A redirect, with the reason.
    Redirect(String),
    /// A name that does not exist, with the resolver's message.
    Unknown(String),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Private(address) => ImportError::Private(address.clone()).fmt(f),
            Self::Redirect(why) | Self::Unknown(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Refused {}

/// Checks each address before it is contacted.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    may_call: fn(IpAddr) -> bool,
    /// Hosts of the configured proxies.
    proxies: Arc<BTreeSet<String>>,
}

impl Guard {
    /// A guard for the addresses that the options allow, and the hosts of proxies.
    pub(crate) fn new(options: &Options, proxies: BTreeSet<String>) -> Self {
        let may_call = if options.allow_private { |_| true } else { is_public };
        Self { may_call, proxies: Arc::new(proxies) }
    }

    #[cfg(test)]
    pub(crate) fn with(may_call: fn(IpAddr) -> bool) -> Self {
        Self { may_call, proxies: Arc::default() }
    }

    /// Refuses a URL that contains a forbidden address. Called before every request.
    pub(crate) fn check(&self, url: &Url) -> Result<(), ImportError> {
        self.judge(url).map_err(|refused| refused.into_error(url))
    }

    fn judge(&self, url: &Url) -> Result<(), Refused> {
        // An IPv6 address is in brackets.
        let host = url.host_str().unwrap_or_default();
        match host.trim_start_matches('[').trim_end_matches(']').parse() {
            Ok(address) if !(self.may_call)(address) => Err(Refused::Private(address.to_string())),
            _ => Ok(()),
        }
    }

    fn judge_redirect(&self, before: &[Url], next: &Url) -> Result<(), Refused> {
        let refuse = |why: String| Err(Refused::Redirect(why));
        if before.len() > REDIRECTS {
            return refuse(format!("more than {REDIRECTS} redirects"));
        }
        match (before.last().map(Url::scheme), next.scheme()) {
            (Some("https"), "http") => {
                let target = Origin::of_target(next.as_str());
                return refuse(format!(
                    "redirected from https to {}, which anyone on the way can change",
                    target.as_deref().unwrap_or("http")
                ));
            }
            (_, "http" | "https") => {}
            (_, other) => return refuse(format!("redirected to an address of the kind {other:?}")),
        }
        self.judge(next)
    }

    /// The redirect policy: follows allowed redirects. `reqwest` keeps credentials from going to
    /// another host.
    pub(crate) fn policy(self) -> Policy {
        Policy::custom(move |attempt| {
            match self.judge_redirect(attempt.previous(), attempt.url()) {
                Ok(()) => attempt.follow(),
                Err(refused) => attempt.error(refused),
            }
        })
    }

    /// The addresses of a name that may be contacted.
    fn choose(&self, name: &str, addresses: Vec<IpAddr>) -> Result<Vec<IpAddr>, Refused> {
        let first = addresses.first().copied();
        let is_proxy = self.proxies.contains(name);
        let chosen: Vec<_> =
            addresses.into_iter().filter(|address| is_proxy || (self.may_call)(*address)).collect();
        match first {
            Some(first) if chosen.is_empty() => Err(Refused::Private(format!("{name} ({first})"))),
            _ => Ok(chosen),
        }
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            // RFC 6761, 6.4: such a name never resolves, so the resolver is not asked.
            if name.as_str().trim_end_matches('.').ends_with(".invalid") {
                return Err(
                    Refused::unknown(name.as_str(), "names in `.invalid` never have one").into()
                );
            }
            let found = match tokio::net::lookup_host((name.as_str(), 0)).await {
                Err(error) if is_no_host(&error) => {
                    return Err(Refused::unknown(name.as_str(), &error.to_string()).into());
                }
                found => found?,
            };
            let chosen =
                guard.choose(name.as_str(), found.map(|address| address.ip()).collect())?;
            Ok(Box::new(chosen.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}

/// Whether a resolver's error means that the name does not exist. The error code is lost on the way
/// here, so the text decides: for a temporary failure the C library says "temporary failure"
/// (glibc, macOS) or "try again" (musl). Errors of the operating system have a code.
fn is_no_host(error: &std::io::Error) -> bool {
    let said = error.to_string().to_ascii_lowercase();
    error.raw_os_error().is_none()
        && !["temporary", "try again"].iter().any(|later| said.contains(later))
}

impl Refused {
    fn unknown(name: &str, said: &str) -> Self {
        Self::Unknown(format!("there is no host {name}: {said}"))
    }

    fn into_error(self, url: &Url) -> ImportError {
        match self {
            Self::Private(address) => ImportError::Private(address),
            Self::Redirect(reason) | Self::Unknown(reason) => {
                ImportError::Upstream { what: shown(url), reason }
            }
        }
    }
}

/// The guard's refusal, if it caused the error; a retry is then useless.
pub(crate) fn refusal(url: &Url, error: &reqwest::Error) -> Option<ImportError> {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(refused) = cause.downcast_ref::<Refused>() {
            return Some(refused.clone().into_error(url));
        }
        source = cause.source();
    }
    None
}

#[cfg(test)]
mod tests;
