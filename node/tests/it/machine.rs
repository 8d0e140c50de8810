//! A node in this process with a directory of its own.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use perennial_control::{
    Add, ArtifactRow, Ask, CallError, Client, ErrorKind, Event, Failure, Get, GetDone, Published,
    Show, Shown,
};
use perennial_manifest::{Holding, PublisherId, Purl, ReleaseId, Selector};
use perennial_node::{Config, Node};
use tempfile::TempDir;

/// How long any awaited condition may take.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Machine {
    pub(crate) dir: TempDir,
    pub(crate) node: Node,
}

impl Machine {
    /// Starts a node that dials `peers` and follows the publishers in `follow`.
    pub(crate) async fn start(peers: &[&Machine], follow: &[PublisherId]) -> Machine {
        Machine::on(tempfile::tempdir().expect("a directory"), peers, follow).await
    }

    /// As `start`, on the directory of an earlier node.
    pub(crate) async fn on(dir: TempDir, peers: &[&Machine], follow: &[PublisherId]) -> Machine {
        let config = Config {
            listen: vec!["/ip4/127.0.0.1/tcp/0".into()],
            peers: peers.iter().flat_map(|peer| peer.node.addresses()).collect(),
            follow: follow.iter().map(ToString::to_string).collect(),
            keeps: true,
            ..Config::embedded(dir.path().join("data"))
        };
        let node = Node::start(config).await.expect("a node");
        Machine { dir, node }
    }

    /// Stops the node and returns its directory.
    pub(crate) async fn stop(self) -> TempDir {
        self.node.shutdown().await;
        self.dir
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Sends a request; returns the answer and the rows before it.
    pub(crate) async fn ask<R: Ask>(
        &self,
        request: R,
    ) -> Result<(R::Answer, Vec<R::Item>), Failure> {
        let client = Client::connect(&self.data()).await.expect("a socket");
        let mut rows = Vec::new();
        let done = client.call(request, |event| {
            if let Event::Item(row) = event {
                rows.push(row);
            }
        });
        match done.await {
            Ok(done) => Ok((done, rows)),
            Err(CallError::Failed(failure)) => Err(failure),
            Err(other) => panic!("{other}"),
        }
    }

    /// Adds files as `pkg:generic/thing@1`.
    pub(crate) async fn add(&self, files: &[(&str, &[u8])]) -> Published {
        self.add_as("pkg:generic/thing@1", files).await.expect("added")
    }

    /// Adds files as a release of this name.
    pub(crate) async fn add_as(
        &self,
        purl: &str,
        files: &[(&str, &[u8])],
    ) -> Result<Published, Failure> {
        let source = tempfile::tempdir_in(self.dir.path()).expect("ours").keep();
        for (name, bytes) in files {
            std::fs::write(source.join(name), bytes).expect("ours");
        }
        let add = Add {
            license: Some("MIT".into()),
            ..Add::new([source], Purl::parse(purl).expect("a purl"))
        };
        Ok(self.ask(add).await?.0)
    }

    pub(crate) async fn show(&self, release: &ReleaseId) -> Result<Shown, Failure> {
        Ok(self.show_files(release).await?.0)
    }

    /// A release, and its files if its list is here.
    pub(crate) async fn show_files(
        &self,
        release: &ReleaseId,
    ) -> Result<(Shown, Option<Vec<ArtifactRow>>), Failure> {
        let show = Show { selector: Selector::Release(*release), publisher: None };
        let (done, files) = self.ask(show).await?;
        Ok((done.shown, done.listed.then_some(files)))
    }

    /// Waits until this node has a release in the given state.
    pub(crate) async fn until(&self, release: &ReleaseId, state: Holding) -> Shown {
        let give_up = Instant::now() + PATIENCE;
        loop {
            match self.show(release).await {
                Ok(shown) if shown.row.state == state => return shown,
                Err(failure) if failure.code != ErrorKind::NotFound => panic!("{failure:?}"),
                other => assert!(Instant::now() < give_up, "never {state:?}: {other:?}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) async fn get(
        &self,
        what: &str,
        output: Option<PathBuf>,
    ) -> Result<GetDone, Failure> {
        let selector = what.parse().expect("a selector");
        Ok(self
            .ask(Get {
                selector,
                publisher: None,
                output,
                force: false,
                platform: None,
                files: Vec::new(),
            })
            .await?
            .0)
    }
}
