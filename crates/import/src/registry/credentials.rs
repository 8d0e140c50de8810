//! Credentials from the files and helpers of podman and docker, looked up when a registry first
//! asks.
//!
//! Reads the files itself: the crate `docker_credential` takes the process's environment, which is
//! not the caller's when a node carries the import out, and knows fewer places than podman does.

mod file;
mod helper;

use std::path::PathBuf;

use perennial_oci::Reference;
use perennial_operation::Environment;
use tokio::sync::OnceCell;

use self::file::{AuthFile, Keys};

/// The credentials on this machine for one registry.
pub(super) struct Credentials {
    keys: Keys,
    files: Vec<PathBuf>,
    environment: Environment,
    found: OnceCell<Result<Credential, String>>,
}

/// A credential for a registry; deliberately not `Debug`.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Credential {
    pub(super) password: Option<(String, String)>,
    /// The name that belongs to a refresh token, if one is stored.
    pub(super) user: Option<String>,
    /// A refresh token, which the token server exchanges for an access token.
    pub(super) refresh: Option<String>,
    /// An access token.
    pub(super) access: Option<String>,
}

impl Credentials {
    /// The credentials for a repository, in one file or else in those of the environment.
    pub(super) fn new(
        reference: &Reference,
        environment: &Environment,
        file: Option<PathBuf>,
    ) -> Self {
        let files = file.map_or_else(|| environment.auth_files(), |file| vec![file]);
        let keys = Keys::of(reference.repository());
        Self { keys, files, environment: environment.clone(), found: OnceCell::new() }
    }

    /// Looks the credentials up once.
    pub(super) async fn get(&self) -> Option<Credential> {
        let look = || async {
            let (keys, files) = (self.keys.clone(), self.files.clone());
            let environment = self.environment.clone();
            // A helper is a program that may ask a key ring.
            let found = tokio::task::spawn_blocking(move || find(&keys, &files, &environment));
            found.await.unwrap_or_else(|error| Err(error.to_string()))
        };
        self.found.get_or_init(look).await.as_ref().ok().cloned()
    }

    /// The message for missing credentials.
    pub(super) fn missing(&self) -> String {
        let registry = self.keys.registry();
        let reason = match self.found.get() {
            Some(Err(reason)) => reason.as_str(),
            _ => "none were found",
        };
        format!(
            "{registry} asks for credentials: {reason}; `podman login {registry}` or `docker login \
             {registry}` stores some, and --auth-file FILE names another file"
        )
    }
}

/// The first credential in the files; otherwise the reason that there is none.
fn find(keys: &Keys, files: &[PathBuf], environment: &Environment) -> Result<Credential, String> {
    let mut problems = Vec::new();
    for path in files {
        match AuthFile::read(path) {
            Ok(None) => {}
            Ok(Some(file)) => match file.credential(keys, environment) {
                Ok(Some(found)) => return Ok(found),
                Ok(None) => {}
                Err(problem) => problems.push(format!("{}: {problem}", path.display())),
            },
            Err(problem) => problems.push(format!("{}: {problem}", path.display())),
        }
    }
    if problems.is_empty() {
        let all: Vec<_> = files.iter().map(|path| path.display().to_string()).collect();
        problems.push(format!("none were found in {}", all.join(", ")));
    }
    Err(problems.join("; "))
}
