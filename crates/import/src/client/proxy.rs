//! The caller's proxies: `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, in capitals or not, and
//! `NO_PROXY`. A proxy that cannot be used is refused before the first request, because a request
//! that goes past it may tell what the user wanted hidden.

use std::collections::BTreeSet;

use perennial_operation::Environment;
use reqwest::{NoProxy, Proxy, Url};

use crate::ImportError;

/// The kinds of proxy that are spoken.
const SCHEMES: [&str; 6] = ["http", "https", "socks4", "socks4a", "socks5", "socks5h"];
/// Makes a proxy for some of the requests.
type Make = fn(Url) -> reqwest::Result<Proxy>;

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
        let kinds: [([&str; 2], Make); 3] = [
            (["HTTP_PROXY", "http_proxy"], |url| Proxy::http(url)),
            (["HTTPS_PROXY", "https_proxy"], |url| Proxy::https(url)),
            (["ALL_PROXY", "all_proxy"], |url| Proxy::all(url)),
        ];
        let except = environment.first(&["NO_PROXY", "no_proxy"]);
        let mut found = Self::default();
        for (names, make) in kinds {
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
            let proxy = make(url).map_err(|e| refuse(e.without_url().to_string()))?;
            found.proxies.push(proxy.no_proxy(except.and_then(NoProxy::from_string)));
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
