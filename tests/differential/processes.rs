//! The two registries: a node with its HTTP frontend and Debian's `docker-registry`, each in its
//! own directory.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use axum::http::Method;

use crate::client::Client;
use perennial_tests::{Daemon, READY_LIMIT, wait_until};

/// The push token of the node.
pub(crate) const TOKEN: &str = "the token of this test";

/// Debian's registry.
const REGISTRY: &str = "docker-registry";

/// A node that accepts pushes.
pub(crate) struct Node {
    daemon: Daemon,
}

impl Node {
    pub(crate) fn start(dir: &Path) -> Self {
        let token = dir.join("token");
        fs::write(&token, TOKEN).expect("it writes");
        let token = token.to_str().expect("a plain path");
        let args = ["--http", "127.0.0.1:0", "--token-file", token];
        Self { daemon: Daemon::start(&dir.join("node"), &args) }
    }

    /// The `address:port` of its HTTP frontend.
    pub(crate) fn host(&self) -> &str {
        self.daemon.http.as_deref().expect("an `http` line before `ready`")
    }
}

/// The reference registry. Killed when dropped.
pub(crate) struct Reference {
    child: Child,
    host: String,
}

impl Reference {
    /// Starts the registry with empty storage and deletion enabled, and waits until it responds.
    pub(crate) fn start(dir: &Path, client: &Client) -> Self {
        let (config, log, storage) =
            (dir.join("config.yml"), dir.join("registry.err"), dir.join("registry"));
        fs::create_dir(&storage).expect("a directory");
        let text = format!(
            "version: 0.1\nlog: {{level: info, accesslog: {{disabled: true}}}}\n\
             storage:\n  filesystem: {{rootdirectory: {storage:?}}}\n  delete: {{enabled: true}}\n\
             http: {{addr: '127.0.0.1:0', secret: none}}\n"
        );
        fs::write(&config, text).expect("it writes");
        let errors = fs::File::create(&log).expect("a log file");
        let mut command = Command::new(REGISTRY);
        command.arg("serve").arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
        let child = command.spawn().unwrap_or_else(|error| {
            panic!("{REGISTRY} does not start ({error}): install Debian's package of that name")
        });
        let mut reference = Self { child, host: String::new() };
        reference.host = wait_until(READY_LIMIT, "docker-registry says where it listens", || {
            let log = fs::read_to_string(&log).unwrap_or_default();
            let ended = reference.child.try_wait().expect("waitable");
            assert!(ended.is_none(), "docker-registry ended:\n{log}");
            // A line still being written has no closing quote yet.
            let (_, rest) = log.split_once("listening on ")?;
            Some(rest.split_once('"')?.0.to_owned())
        });
        wait_until(READY_LIMIT, "docker-registry answers", || {
            let answer = client.send(&reference.host, &Method::GET, "/v2/", &[], Vec::new());
            answer.is_ok_and(|answer| answer.status == 200).then_some(())
        });
        reference
    }

    /// The registry's `address:port`.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
