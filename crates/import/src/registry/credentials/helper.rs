//! The programs that keep credentials for docker and podman: `docker-credential-NAME get`.

use std::io::Write;
use std::process::{Command, Stdio};

use perennial_operation::Environment;
use serde::Deserialize;

use super::Credential;

/// The user name under which a helper keeps a refresh token.
const TOKEN: &str = "<token>";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// Asks a helper about a registry, in the caller's environment; `None` if it has nothing. The
/// helper's output may contain secrets and is not repeated.
pub(super) fn ask(
    name: &str,
    server: &str,
    environment: &Environment,
) -> Result<Option<Credential>, String> {
    let program = format!("docker-credential-{name}");
    if name.contains('/') {
        return Err(format!("the helper {name:?} is a path; its name is expected"));
    }
    let failed = |error: std::io::Error| format!("the helper {program} does not run: {error}");
    let mut running = Command::new(&program)
        .arg("get")
        .envs(environment.variables())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    if let Some(mut input) = running.stdin.take() {
        // A helper that needs no question has closed its input.
        let _ = input.write_all(server.as_bytes());
    }
    let output = running.wait_with_output().map_err(failed)?;
    if !output.status.success() {
        return Err(format!("the helper {program} has none for {server}"));
    }
    let Answer { username, secret } = serde_json::from_slice(&output.stdout)
        .map_err(|_| format!("the helper {program} gives no credentials for {server}"))?;
    Ok(Some(match username.as_str() {
        TOKEN => Credential { refresh: Some(secret), ..Credential::default() },
        _ => Credential { password: Some((username, secret)), ..Credential::default() },
    }))
}
