//! One node of a drill: a real one, in this process, with its own data directory and a loopback port.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use perennial_control::{Client, Done, Item, Ls, Progress, ReleaseRow, Request, Stage};
use perennial_manifest::Holding;
use perennial_node::{Config, Node};

use crate::failure::CommandError;
use crate::link::call;
use crate::progress::Painter;
use crate::screen::Screen;

/// How often to ask whether a release has arrived.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// One of the nodes, by the letter the drill calls it.
pub(super) struct Machine {
    pub(super) letter: char,
    data: PathBuf,
    node: Node,
}

impl Machine {
    /// Starts a node below `place` that calls `peers` and follows the publishers in `follow`.
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

    /// Asks over the control socket, as any user would.
    pub(super) async fn ask(
        &self,
        request: Request,
        screen: &Screen,
    ) -> Result<Done, CommandError> {
        let client = Client::connect(&self.data).await?;
        call(client, &request, screen, |_| Ok(())).await
    }

    /// How much of the release is here; none: not even the statement.
    pub(super) async fn find(
        &self,
        release: &str,
        screen: &Screen,
    ) -> Result<Option<ReleaseRow>, CommandError> {
        let client = Client::connect(&self.data).await?;
        let request = Request::Ls(Ls { selector: Some(release.to_owned()), ..Ls::default() });
        let mut found = None;
        let on_item = |item| {
            if let Item::Release(row) = item {
                found = Some(row);
            }
            Ok(())
        };
        call(client, &request, screen, on_item).await?;
        Ok(found)
    }

    /// Returns once all bytes of the release are here.
    pub(super) async fn wait_until_held(
        &self,
        release: &str,
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
                    "{} does not hold it after {} s; there it is {}",
                    self.letter,
                    limit.as_secs(),
                    now.map_or("not known", Holding::as_str)
                )));
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }

    /// Stops it in order.
    pub(super) async fn stop(self) {
        self.node.shutdown().await;
    }

    /// Stops it and deletes everything it had.
    pub(super) async fn destroy(self) -> Result<(), CommandError> {
        let data = self.data;
        self.node.shutdown().await;
        fs::remove_dir_all(&data)
            .map_err(|source| CommandError::Io { what: data.display().to_string(), source })
    }
}
