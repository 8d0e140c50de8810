//! A file of credentials: podman's `auth.json`, docker's `config.json`.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};
use std::path::Path;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use perennial_oci::Repository;
use perennial_operation::Environment;
use serde::Deserialize;

use super::{Credential, helper};

/// Longest file read, in bytes.
const MOST: u64 = 4 << 20;
/// Names of Docker Hub's registry.
const HUB: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];
/// The name under which docker stores the credentials of Docker Hub.
const HUB_KEY: &str = "https://index.docker.io/v1/";
/// Docker writes the field with padding; others do not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The names that a repository's credentials may be stored under.
#[derive(Clone)]
pub(super) struct Keys {
    registry: String,
    /// The repository and its parents, the most specific first, without the registry itself.
    parts: Vec<String>,
}

impl Keys {
    pub(super) fn of(repository: &Repository) -> Self {
        let mut parts = Vec::new();
        let mut name = repository.to_string();
        // Podman stores credentials for parts of a registry, too.
        while let Some((parent, _)) = name.rsplit_once('/') {
            parts.push(name.clone());
            name = parent.to_owned();
        }
        Self { registry: repository.registry().to_owned(), parts }
    }

    pub(super) fn registry(&self) -> &str {
        &self.registry
    }

    /// The name under which docker and its helpers know the registry.
    fn server(&self) -> &str {
        if self.registry == HUB[0] { HUB_KEY } else { &self.registry }
    }

    /// The value of the most specific key.
    fn look_up<'a, T>(&self, map: &'a BTreeMap<String, T>) -> Option<&'a T> {
        let exactly = self.parts.iter().chain([&self.registry]).find_map(|key| map.get(key));
        let of_registry = || map.get(self.server());
        let nearly = || map.iter().find(|(key, _)| host(key) == self.registry);
        exactly.or_else(of_registry).or_else(|| nearly().map(|(_, value)| value))
    }
}

/// The registry that a key means: docker writes some with a scheme and the version of the API.
fn host(key: &str) -> &str {
    let plain = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
    let plain = plain.unwrap_or(key).trim_end_matches('/');
    let plain = plain.strip_suffix("/v1").or_else(|| plain.strip_suffix("/v2")).unwrap_or(plain);
    if HUB.contains(&plain) { HUB[0] } else { plain }
}

/// The parts of a file that matter. Null values and unknown fields are passed over.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct AuthFile {
    auths: Option<BTreeMap<String, Option<Entry>>>,
    creds_store: Option<String>,
    cred_helpers: Option<BTreeMap<String, Option<String>>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase", default)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

impl AuthFile {
    /// Reads a file; `None` if there is none.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, String> {
        let mut text = Vec::new();
        let read = std::fs::File::open(path).and_then(|file| {
            // A pipe may never end.
            if !file.metadata()?.is_file() {
                return Err(ErrorKind::InvalidInput.into());
            }
            file.take(MOST).read_to_end(&mut text)
        });
        match read {
            Ok(_) if text.trim_ascii().is_empty() => Ok(None),
            Ok(_) => serde_json::from_slice(&text)
                .map(Some)
                // The text around an error may be a secret.
                .map_err(|error| format!("line {} does not parse", error.line())),
            Err(error) => match error.kind() {
                ErrorKind::NotFound | ErrorKind::NotADirectory => Ok(None),
                _ => Err(format!("it cannot be read: {error}")),
            },
        }
    }

    /// The credential for a repository: of a helper for it, of its entry, of the common helper.
    pub(super) fn credential(
        &self,
        keys: &Keys,
        environment: &Environment,
    ) -> Result<Option<Credential>, String> {
        let helper = self.cred_helpers.as_ref().and_then(|helpers| keys.look_up(helpers));
        if let Some(helper) =
            helper.and_then(|name| name.as_deref()).filter(|name| !name.is_empty())
            && let Some(found) = helper::ask(helper, keys.server(), environment)?
        {
            return Ok(Some(found));
        }
        let entry = self.auths.as_ref().and_then(|auths| keys.look_up(auths));
        if let Some(found) = entry.and_then(Option::as_ref).map(Entry::credential).transpose()?
            && found != Credential::default()
        {
            return Ok(Some(found));
        }
        match self.creds_store.as_deref().filter(|name| !name.is_empty()) {
            Some(helper) => helper::ask(helper, keys.server(), environment),
            None => Ok(None),
        }
    }
}

impl Entry {
    fn credential(&self) -> Result<Credential, String> {
        let text = |field: &Option<String>| field.clone().filter(|text| !text.is_empty());
        let mut password = text(&self.username).zip(text(&self.password));
        if let Some(auth) = text(&self.auth) {
            let wrong = || "its `auth` for this registry is not Base64 of USER:PASSWORD".to_owned();
            let decoded = BASE64.decode(auth.trim()).map_err(|_| wrong())?;
            let decoded = String::from_utf8(decoded).map_err(|_| wrong())?;
            let (user, secret) = decoded.split_once(':').ok_or_else(wrong)?;
            // Docker pads passwords with zero bytes.
            password = Some((user.to_owned(), secret.trim_matches('\0').to_owned()));
        }
        let user = password.as_ref().map(|(user, _)| user.clone()).or_else(|| text(&self.username));
        let (refresh, access) = (text(&self.identitytoken), text(&self.registrytoken));
        let is_empty = password.is_none() && refresh.is_none() && access.is_none();
        let user = user.filter(|_| !is_empty);
        Ok(Credential { password, user, refresh, access })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn found(file: &str, reference: &str) -> Option<Credential> {
        let reference: perennial_oci::Reference = reference.parse().unwrap();
        let file: AuthFile = serde_json::from_str(file).unwrap();
        file.credential(&Keys::of(reference.repository()), &Environment::default()).unwrap()
    }

    fn password(user: &str, secret: &str) -> Option<Credential> {
        Some(Credential {
            password: Some((user.to_owned(), secret.to_owned())),
            user: Some(user.to_owned()),
            ..Credential::default()
        })
    }

    #[test]
    fn the_most_specific_entry_counts_and_helpers_are_found_on_the_callers_path() {
        let file = r#"{"auths": {
            "q.test": {"auth": "YTpi"}, "q.test/team": {"auth": "YzpkAAA="},
            "https://h.test/v2/": {"username": "u", "password": "p"},
            "https://index.docker.io/v1/": {"auth": "ZTpm"},
            "none.test": null, "empty.test": {"auth": "", "identitytoken": ""}
        }, "credHelpers": null, "credsStore": "", "proxies": {}}"#;
        assert!(found(file, "q.test/other/x:1") == password("a", "b"));
        assert!(found(file, "q.test/team/x:1") == password("c", "d"));
        assert!(found(file, "h.test/x:1") == password("u", "p"));
        assert!(found(file, "docker.io/library/x:1") == password("e", "f"));
        assert!(found(file, "none.test/x:1").is_none() && found(file, "empty.test/x").is_none());
        let dir = tempfile::tempdir().unwrap();
        let helper = dir.path().join("docker-credential-test");
        let script = "#!/bin/sh\nread server\necho \"{\\\"Username\\\": \\\"<token>\\\", \
            \\\"Secret\\\": \\\"$server\\\"}\"\n";
        std::fs::write(&helper, script).unwrap();
        std::fs::set_permissions(&helper, PermissionsExt::from_mode(0o755)).unwrap();
        let path = ("PATH".into(), dir.path().into());
        let environment = Environment::of([path], 0, None);
        for file in [r#"{"credHelpers": {"q.test": "test"}}"#, r#"{"credsStore": "test"}"#] {
            let file: AuthFile = serde_json::from_str(file).unwrap();
            let reference: perennial_oci::Reference = "q.test/a/b:1".parse().unwrap();
            let found = file.credential(&Keys::of(reference.repository()), &environment).unwrap();
            assert!(found.unwrap().refresh.as_deref() == Some("q.test"));
        }
        let token = r#"{"auths": {"q.test": {"auth": "bWU6", "identitytoken": "t"}}}"#;
        assert!(found(token, "q.test/x:1").unwrap().refresh.as_deref() == Some("t"));
    }
}
