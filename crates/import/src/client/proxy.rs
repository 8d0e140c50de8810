//! The caller's proxies: `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, in capitals or not, and
//! `NO_PROXY`. A proxy that cannot be used is refused before the first request, because a request
//! that goes past it may tell what the user wanted hidden.

use std::collections::BTreeSet;
use std::sync::Arc;

use perennial_operation::Environment;
use reqwest::{Proxy, Url};

use super::no_proxy::NoProxy;
use crate::ImportError;

/// The kinds of proxy that are spoken.
const SCHEMES: [&str; 6] = ["http", "https", "socks4", "socks4a", "socks5", "socks5h"];
/// Proxies in the order in which they are tried.
#[derive(Debug, Default)]
pub(super) struct Proxies {
    pub(super) proxies: Vec<Proxy>,
    /// Their hosts.
    pub(super) hosts: BTreeSet<String>,
}

impl Proxies {
    /// The proxies of an environment.
    ///
    /// # Errors
    /// [`ImportError::Usage`] if one is not the address of a proxy.
    pub(super) fn of(environment: &Environment) -> Result<Self, ImportError> {
        // The variables, and the scheme of the requests that they are for.
        let kinds = [
            (["HTTP_PROXY", "http_proxy"], Some("http")),
            (["HTTPS_PROXY", "https_proxy"], Some("https")),
            (["ALL_PROXY", "all_proxy"], None),
        ];
        let except = environment.first(&["NO_PROXY", "no_proxy"]).unwrap_or_default();
        let except = Arc::new(NoProxy::parse(except));
        let mut found = Self::default();
        for (names, scheme) in kinds {
            let Some(text) = environment.first(&names) else { continue };
            // The value may have a password.
            let refuse = |why: String| {
                ImportError::Usage(format!(
                    "{} is not a proxy that can be used: {why}; give http://HOST:PORT or \
                     socks5://HOST:PORT, or unset it",
                    names[0]
                ))
            };
            let full =
                if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
            let url = Url::parse(&full).map_err(|e| refuse(e.to_string()))?;
            if !SCHEMES.contains(&url.scheme()) {
                return Err(refuse(format!("{:?} is not a kind of proxy", url.scheme())));
            }
            let host = url.host_str().filter(|host| !host.is_empty());
            let host = host.ok_or_else(|| refuse("it names no host".into()))?;
            found.hosts.insert(host.to_owned());
            // What is no proxy for the library is refused here, not at each request.
            Proxy::all(url.clone()).map_err(|e| refuse(e.without_url().to_string()))?;
            let except = Arc::clone(&except);
            found.proxies.push(Proxy::custom(move |asked| {
                let is_for = scheme.is_none_or(|scheme| asked.scheme() == scheme);
                (is_for && !except.has(asked)).then(|| url.clone())
            }));
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Proxies, ImportError> {
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
        Proxies::of(&Environment::of(variables, 0, None))
    }

    #[test]
    fn proxies_are_used_or_refused() {
        let found = of(&[
            ("http_proxy", "me:secret@first:3128"),
            ("HTTPS_PROXY", "http://second"),
            ("all_proxy", "socks5://third:1080"),
            ("NO_PROXY", "localhost,.test"),
        ]);
        let found = found.unwrap();
        assert_eq!(found.proxies.len(), 3);
        assert!(["first", "second", "third"].iter().all(|host| found.hosts.contains(*host)));
        for odd in ["gopher://me:secret@host", "http://", "socks6://host", "http://me:secret@ho st"]
        {
            let refused = of(&[("ALL_PROXY", odd)]).unwrap_err().to_string();
            assert!(refused.starts_with("ALL_PROXY is not"), "{refused}");
            assert!(!refused.contains("secret"), "{refused}");
        }
        assert!(of(&[("HTTP_PROXY", "")]).unwrap().proxies.is_empty());
    }
}
