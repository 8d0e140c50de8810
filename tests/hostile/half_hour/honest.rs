//! What honest peers and clients do while the node is attacked, how long it takes them, and whether
//! anybody blames them.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use perennial_tests::{Daemon, Outcome, perennial, text};

use super::scene::Scene;

/// How long a newcomer may take until it has all that it follows.
const CATCHES_UP: Duration = Duration::from_secs(120);

pub(super) struct Honest<'s> {
    scene: &'s Scene,
    /// The version of `tool` that is got next: each is got once, because it is held from then on.
    next: u64,
    pub(super) gets: Vec<Duration>,
    pub(super) pulls: Vec<Duration>,
    pub(super) statuses: Vec<Duration>,
    /// What failed, and why.
    pub(super) failed: Vec<String>,
}

impl<'s> Honest<'s> {
    pub(super) fn new(scene: &'s Scene, next: u64) -> Self {
        Self {
            scene,
            next,
            gets: Vec::new(),
            pulls: Vec::new(),
            statuses: Vec::new(),
            failed: Vec::new(),
        }
    }

    /// A `get` from the node, a pull from its registry, and its status.
    pub(super) fn round(&mut self) {
        self.get();
        let begun = Instant::now();
        match self.scene.pull() {
            Ok(()) => self.pulls.push(begun.elapsed()),
            Err(said) => self.failed.push(format!("pull after {:.1?}: {said}", begun.elapsed())),
        }
        let begun = Instant::now();
        perennial(self.scene.node.data(), &["status"]).ok();
        self.statuses.push(begun.elapsed());
    }

    fn get(&mut self) {
        let Scene { getter, did, .. } = self.scene;
        let (version, out) = (self.next.min(self.scene.tools), self.scene.at("got"));
        self.next += 1;
        let _ = fs::remove_dir_all(&out);
        let begun = Instant::now();
        let name = format!("tool@{version}");
        let said = perennial(getter.data(), &["get", &name, "--publisher", did, "-o", text(&out)]);
        let (took, file) = (begun.elapsed(), out.join("file-0.bin"));
        let got = fs::read(&file).or_else(|_| fs::read(&out)).unwrap_or_default();
        if said.code == Some(0) && got == self.scene.tool(version) {
            self.gets.push(took);
        } else {
            self.failed.push(format!("get {name} after {took:.1?}: {}", brief(&said)));
        }
    }

    /// A collection on the attacked node, which has to keep all that it holds.
    pub(super) fn collection(&mut self) {
        let before = self.scene.held();
        let said = perennial(self.scene.node.data(), &["gc", "--grace", "0s"]);
        if said.code != Some(0) {
            self.failed.push(format!("gc: {}", brief(&said)));
        }
        let after = self.scene.held();
        if after < before {
            self.failed.push(format!("gc: {after} of {before} releases are still held"));
        }
    }
}

/// A node that was new here, and how it fared.
pub(super) struct Newcomer {
    peer_id: String,
    /// What it noted of the attacked node.
    noted: Vec<String>,
    /// How long it took until it had all that it follows; else what it lacked.
    pub(super) caught_up: Result<Duration, String>,
}

/// What a newcomer has to know.
pub(super) struct Invitation {
    data: PathBuf,
    /// The attacked node.
    address: String,
    peer_id: String,
    /// Whom it follows, and how many releases that are.
    did: String,
    releases: u64,
}

impl Invitation {
    pub(super) fn of(scene: &Scene, number: u32) -> Self {
        let Scene { node, did, tools, .. } = scene;
        Self {
            data: scene.at(&format!("newcomer-{number}")),
            address: node.address().to_owned(),
            peer_id: node.peer_id().to_owned(),
            did: did.clone(),
            // The tools and the large file.
            releases: tools + 1,
        }
    }
}

impl Newcomer {
    /// Joins by the attacked node alone, and fetches what it follows.
    pub(super) fn join(invitation: &Invitation) -> Self {
        let Invitation { data, address, peer_id, did, releases } = invitation;
        let begun = Instant::now();
        let newcomer = Daemon::start(data, &["--peer", address, "--follow", did]);
        let status = || perennial(newcomer.data(), &["status"]).ok();
        let has_all = || status().json()["held_releases"] == *releases;
        while !has_all() && begun.elapsed() < CATCHES_UP {
            std::thread::sleep(Duration::from_millis(200));
        }
        let took = begun.elapsed();
        let lacks = || {
            let status = status().json();
            let [held, peers, notices] = ["held_releases", "peers", "notices"].map(|f| &status[f]);
            format!(
                "a newcomer holds {held} of {releases} after {took:.0?}, {peers} peers: {notices}"
            )
        };
        let caught_up = if has_all() { Ok(took) } else { Err(lacks()) };
        let noted = offences(&newcomer, &[peer_id]);
        Self { peer_id: newcomer.peer_id().to_owned(), noted, caught_up }
    }
}

/// The offences of honest peers in anybody's log.
pub(super) fn noted(scene: &Scene, newcomers: &[Newcomer]) -> Vec<String> {
    let Scene { node, publisher, getter, .. } = scene;
    let came = newcomers.iter().map(|newcomer| newcomer.peer_id.as_str());
    let honest: Vec<_> = [publisher.peer_id(), getter.peer_id()].into_iter().chain(came).collect();
    let mut noted = offences(node, &honest);
    noted.extend(offences(publisher, &[node.peer_id()]));
    noted.extend(offences(getter, &[node.peer_id()]));
    noted.extend(newcomers.iter().flat_map(|newcomer| newcomer.noted.clone()));
    noted
}

/// What a node's log says against these peers.
fn offences(of: &Daemon, peers: &[&str]) -> Vec<String> {
    let (log, noted) = (of.log(), |peer: &&str| format!("peer={peer} offence="));
    let against: Vec<_> = peers.iter().map(noted).collect();
    let lines = log.lines().filter(|line| against.iter().any(|noted| line.contains(noted)));
    lines.map(str::to_owned).collect()
}

/// What a command said last, in one line.
fn brief(said: &Outcome) -> String {
    format!("exit {:?}, {}", said.code, said.stderr.lines().last().unwrap_or_default())
}

/// The time in the middle; zero of none.
pub(super) fn median(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// The longest time; zero of none.
pub(super) fn slowest(times: &[Duration]) -> Duration {
    times.iter().max().copied().unwrap_or_default()
}
