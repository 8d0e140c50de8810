//! One node of a drill: a real node in this process, with its own data directory and a loopback
//! port.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use perennial_control::{Ask, Client, Ls, Progress, ReleaseRow, Stage};
use perennial_manifest::{Holding, ReleaseId, Selector};
use perennial_node::{Config, Node};

use crate::failure::CommandError;
use crate::progress::Painter;
use crate::screen::Screen;
use crate::session::call;

/// How often a node is asked whether a release has arrived.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// One of the nodes, named by a letter.
pub(super) struct Machine {
    pub(super) letter: char,
    data: PathBuf,
    node: Node,
}

impl Machine {
    /// Starts a node below `place` that connects to `peers` and follows the publishers in `follow`.
    pub(super) async fn start(
        letter: char,
        place: &Path,
        peers: Vec<String>,
        follow: Vec<String>,
    ) -> Result<Machine, CommandError> {
        let data = place.join(letter.to_string());
        let config = Config {
            listen: vec!["/ip4/127.0.0.1/tcp/0".into()],
            peers,
            follow,
            keeps: true,
            mdns: false,
            ..Config::embedded(&data)
        };
        let node = Node::start(config).await?;
        Ok(Machine { letter, data, node })
    }

    pub(super) fn addresses(&self) -> Vec<String> {
        self.node.addresses()
    }

    pub(super) fn peer_id(&self) -> String {
        self.node.peer_id()
    }

    fn client(&self) -> Result<Client, CommandError> {
        let failed = |source| CommandError::Io { what: "cannot open a socket".into(), source };
        self.node.client().map_err(failed)
    }

    /// Sends a request, as any client would.
    pub(super) async fn ask<R: Ask>(
        &self,
        request: R,
        screen: &Screen,
    ) -> Result<R::Answer, CommandError> {
        let client = self.client()?;
        call(client, request, screen, |_| Ok(())).await
    }

    /// The release's row on this node; none when the node does not know it.
    pub(super) async fn find(
        &self,
        release: &ReleaseId,
        screen: &Screen,
    ) -> Result<Option<ReleaseRow>, CommandError> {
        let client = self.client()?;
        let request = Ls { selector: Some(Selector::Release(*release)), ..Ls::default() };
        let mut found = None;
        let on_row = |row| {
            found = Some(row);
            Ok(())
        };
        call(client, request, screen, on_row).await?;
        Ok(found)
    }

    /// Returns once the node holds the release, or fails after `limit`.
    pub(super) async fn wait_until_held(
        &self,
        release: &ReleaseId,
        limit: Duration,
        screen: &Screen,
    ) -> Result<(), CommandError> {
        let give_up = Instant::now() + limit;
        let mut painter = Painter::new(*screen);
        loop {
            let row = self.find(release, screen).await?;
            let now = row.as_ref().map(|row| row.state);
            if now == Some(Holding::Held) {
                return Ok(());
            }
            if let Some(row) = row {
                let total_bytes = Some(row.bytes);
                painter.paint(&Progress {
                    bytes: row.held_bytes,
                    total_bytes,
                    ..Progress::of(Stage::Fetching)
                });
            }
            if Instant::now() >= give_up {
                return Err(CommandError::Drill(format!(
                    "{} does not hold the release after {} s; there it is {}",
                    self.letter,
                    limit.as_secs(),
                    now.map_or("not known", Holding::as_str)
                )));
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }

    /// Stops the node cleanly.
    pub(super) async fn stop(self) {
        self.node.shutdown().await;
    }

    /// Stops the node and deletes its data directory.
    pub(super) async fn destroy(self) -> Result<(), CommandError> {
        let data = self.data;
        self.node.shutdown().await;
        fs::remove_dir_all(&data)
            .map_err(|source| CommandError::Io { what: data.display().to_string(), source })
    }
}
