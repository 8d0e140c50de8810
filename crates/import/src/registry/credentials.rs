//! Credentials from the files and helpers of podman and docker, looked up when a registry first
//! asks.

use std::path::{Path, PathBuf};

use docker_credential::{CredentialRetrievalError, DockerCredential};
use perennial_oci::Reference;
use tokio::sync::OnceCell;

/// The credentials on this machine for one registry.
pub(super) struct Credentials {
    registry: String,
    /// The names they may be stored under, the most specific first.
    keys: Vec<String>,
    file: Option<PathBuf>,
    found: OnceCell<Result<Credential, String>>,
}

/// Looks up a registry in one store of credentials.
type Source = fn(&str) -> Result<DockerCredential, CredentialRetrievalError>;

/// A credential for a registry; deliberately not `Debug`.
#[derive(Clone)]
pub(super) enum Credential {
    Password(String, String),
    /// A refresh token, which the token server exchanges for an access token.
    Token(String),
}

impl Credentials {
    pub(super) fn new(reference: &Reference, file: Option<PathBuf>) -> Self {
        let registry = reference.repository().registry().to_owned();
        let mut keys = Vec::new();
        let mut name = reference.repository().to_string();
        // Podman also stores credentials for parts of a registry.
        while let Some((parent, _)) = name.rsplit_once('/') {
            keys.push(name.clone());
            name = parent.to_owned();
        }
        if registry == "docker.io" {
            keys.push("https://index.docker.io/v1/".into());
        }
        keys.push(registry.clone());
        Self { registry, keys, file, found: OnceCell::new() }
    }

    /// Looks the credentials up once.
    pub(super) async fn get(&self) -> Option<Credential> {
        let look = || async {
            let (keys, file) = (self.keys.clone(), self.file.clone());
            // A helper is a program that may ask a key ring.
            let found = tokio::task::spawn_blocking(move || find(&keys, file.as_deref())).await;
            found.unwrap_or_else(|error| Err(error.to_string()))
        };
        self.found.get_or_init(look).await.as_ref().ok().cloned()
    }

    /// The message for missing credentials.
    pub(super) fn missing(&self) -> String {
        let reason = match self.found.get() {
            Some(Err(reason)) => reason.as_str(),
            _ => "none were found",
        };
        format!(
            "{} asks for credentials: {reason}; `podman login {}` or `docker login {}` stores some",
            self.registry, self.registry, self.registry
        )
    }
}

fn find(keys: &[String], file: Option<&Path>) -> Result<Credential, String> {
    let mut problem = None;
    let mut note = |error: &CredentialRetrievalError, key: &str| match error {
        CredentialRetrievalError::ConfigNotFound
        | CredentialRetrievalError::NoCredentialConfigured
        | CredentialRetrievalError::ConfigReadError => {}
        // The helper's output may contain secrets.
        CredentialRetrievalError::HelperFailure { helper, .. } => {
            problem = Some(format!("the helper {helper} has none for {key}"));
        }
        other => problem = Some(format!("those for {key} cannot be used ({other})")),
    };
    for key in keys {
        let sources: [Source; 2] =
            [docker_credential::get_podman_credential, docker_credential::get_credential];
        let tried: Vec<_> = match file {
            Some(file) => vec![
                std::fs::File::open(file)
                    .map_err(|_| CredentialRetrievalError::ConfigReadError)
                    .and_then(|file| docker_credential::get_credential_from_reader(file, key)),
            ],
            None => sources.iter().map(|source| source(key)).collect(),
        };
        for found in tried {
            match found {
                Ok(DockerCredential::UsernamePassword(user, password)) => {
                    return Ok(Credential::Password(user, password));
                }
                Ok(DockerCredential::IdentityToken(token)) => return Ok(Credential::Token(token)),
                Err(error) => note(&error, key),
            }
        }
    }
    Err(problem.unwrap_or_else(|| "none were found".into()))
}
