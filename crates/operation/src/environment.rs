//! The settings of a caller's environment that an import follows, so that the answer is the same
//! whether a running node carries the import out or the caller's own process.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Variables that hold text.
const TEXTS: [&str; 11] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
    // For the helpers that keep credentials.
    "PATH",
    "DBUS_SESSION_BUS_ADDRESS",
    "DISPLAY",
];
/// Variables that hold one path.
const PATHS: [&str; 10] = [
    "REGISTRY_AUTH_FILE",
    "DOCKER_CONFIG",
    "XDG_RUNTIME_DIR",
    "XDG_CONFIG_HOME",
    "HOME",
    "GNUPGHOME",
    "PASSWORD_STORE_DIR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NETRC",
];

/// The proxies, the places of credentials and the trusted certificates of a caller. Its `Debug`
/// form has no values, because proxies have passwords.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    /// The caller's user id, in which the path of podman's credentials is.
    user: Option<u32>,
}

impl Environment {
    /// Takes the known variables out of an environment. Relative paths are those of `directory`.
    pub fn of(
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        user: u32,
        directory: Option<&Path>,
    ) -> Self {
        let known = variables.into_iter().filter_map(|(name, value)| {
            let (name, value) = (name.into_string().ok()?, value.into_string().ok()?);
            if value.is_empty() {
                return None;
            }
            if TEXTS.contains(&name.as_str()) {
                return Some((name, value));
            }
            if !PATHS.contains(&name.as_str()) {
                return None;
            }
            let whole = match directory {
                Some(directory) => directory.join(value).to_str()?.to_owned(),
                None => value,
            };
            Some((name, whole))
        });
        Self { variables: known.collect(), user: Some(user) }
    }

    /// A variable that is set and not empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The first of some variables that is set and not empty.
    #[must_use]
    pub fn first(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.get(name))
    }

    /// All variables, for a program that is run on the caller's behalf.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The files that may hold credentials for registries, in the order of
    /// `containers-auth.json(5)`; docker's file is the last.
    #[must_use]
    pub fn auth_files(&self) -> Vec<PathBuf> {
        let path = |name: &str| self.get(name).map(PathBuf::from);
        let home = path("HOME");
        let below = |dir: Option<PathBuf>, file: &str| dir.map(|dir| dir.join(file));
        let of_user = || Some(PathBuf::from(format!("/run/containers/{}/auth.json", self.user?)));
        let config = path("XDG_CONFIG_HOME").or_else(|| below(home.clone(), ".config"));
        let docker = path("DOCKER_CONFIG").or_else(|| below(home.clone(), ".docker"));
        let all = [
            path("REGISTRY_AUTH_FILE"),
            below(path("XDG_RUNTIME_DIR"), "containers/auth.json"),
            of_user(),
            below(config, "containers/auth.json"),
            below(docker, "config.json"),
        ];
        all.into_iter().flatten().collect()
    }
}

impl Environment {
    /// The file of passwords for web servers, and whether the caller named it.
    #[must_use]
    pub fn netrc(&self) -> Option<(PathBuf, bool)> {
        let named = self.get("NETRC").map(|path| (PathBuf::from(path), true));
        named.or_else(|| Some((Path::new(self.get("HOME")?).join(".netrc"), false)))
    }

    /// The directories that may hold certificates for a registry, as in
    /// `containers-certs.d(5)`: the caller's, podman's and docker's.
    #[must_use]
    pub fn certificate_dirs(&self, registry: &str) -> Vec<PathBuf> {
        let config = self.get("XDG_CONFIG_HOME").map(PathBuf::from);
        let config = config.or_else(|| Some(Path::new(self.get("HOME")?).join(".config")));
        let own = config.map(|config| config.join("containers/certs.d"));
        let all = ["/etc/containers/certs.d", "/etc/docker/certs.d"].map(PathBuf::from);
        own.into_iter().chain(all).map(|dir| dir.join(registry)).collect()
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Environment {
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
        Environment::of(variables, 1000, Some(Path::new("/work")))
    }

    #[test]
    fn credentials_are_read_from_the_files_of_podman_and_docker() {
        let files = |environment: Environment| -> Vec<String> {
            environment.auth_files().iter().map(|path| path.display().to_string()).collect()
        };
        assert_eq!(
            files(of(&[("HOME", "/home/a")])),
            [
                "/run/containers/1000/auth.json",
                "/home/a/.config/containers/auth.json",
                "/home/a/.docker/config.json"
            ]
        );
        let all = of(&[
            ("REGISTRY_AUTH_FILE", "auth.json"),
            ("XDG_RUNTIME_DIR", "/run/user/1000"),
            ("XDG_CONFIG_HOME", "/c"),
            ("DOCKER_CONFIG", "d"),
        ]);
        assert_eq!(
            files(all),
            [
                "/work/auth.json",
                "/run/user/1000/containers/auth.json",
                "/run/containers/1000/auth.json",
                "/c/containers/auth.json",
                "/work/d/config.json"
            ]
        );
    }

    #[test]
    fn only_what_an_import_needs_is_taken_and_no_value_is_shown() {
        let environment = of(&[
            ("HTTP_PROXY", ""),
            ("http_proxy", "http://me:secret@proxy"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
        ]);
        assert_eq!(
            environment.first(&["HTTP_PROXY", "http_proxy"]),
            Some("http://me:secret@proxy")
        );
        assert_eq!(environment.variables().count(), 1);
        assert!(!format!("{environment:?}").contains("secret"));
        let text = serde_json::to_string(&environment).unwrap();
        assert_eq!(serde_json::from_str::<Environment>(&text).unwrap(), environment);
    }
}
