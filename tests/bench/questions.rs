//! The CPU time that single questions cost a node that knows 10,000 and 100,000 releases: those of
//! a stranger, those of an anonymous HTTP client, and `status`.
//!
//! Counts the time of all threads of the node, by the system's own count, less what it takes when
//! nobody asks. A question is repeated, so that what is found once and kept counts once in all;
//! what a new entry makes the node find again stands in rows of its own.

mod over_http;
mod peers;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use perennial_store::{OpenOptions, Store};
use perennial_tests::{
    Daemon, Image, add, feed_key, field, many_releases, perennial, write_image, write_tree,
};

use crate::Failure;
use crate::machine::Machine;

const KNOWN: [u64; 2] = [10_000, 100_000];
const PUBLISHERS: u64 = 100;
const FOLLOWED: u64 = 5;
/// The most that a question may cost, and `status`.
const ASKED: [&str; 2] = ["≤ 5 ms", "≤ 20 ms"];
/// How long the node is watched while nobody asks, after it has settled for as long.
const IDLE: Duration = Duration::from_secs(2);

/// A row of the table: the question, the milliseconds that it costs, and whether it is `status`.
struct Cost {
    question: String,
    millis: f64,
    is_status: bool,
}

/// The node that is asked, and what it has.
struct Subject {
    node: Daemon,
    /// A release of this node's own, with one file.
    own: String,
    blake3: String,
    sha256: String,
    image: Image,
    /// A release of a publisher that it does not follow.
    strange: String,
    known: u64,
    /// CPU seconds that it takes in a second in which nobody asks.
    idle: f64,
}

/// Prints what each kind of question costs.
pub(crate) fn cost_of_each(machine: &Machine) -> Result<(), Failure> {
    let mut columns = Vec::new();
    for known in KNOWN {
        let subject = Subject::new(machine, known)?;
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let mut costs = runtime.block_on(peers::costs(&subject))?;
        costs.extend(over_http::costs(&subject, &runtime)?);
        costs.push(subject.status()?);
        columns.push(costs);
    }
    println!("| CPU time of the node for one question | 10,000 known | 100,000 known | | asked |");
    let [few, many] = &columns[..] else { return Err("two columns".into()) };
    for (few, many) in few.iter().zip(many) {
        let asked = ASKED[usize::from(many.is_status)];
        let (question, few, many) = (&few.question, few.millis, many.millis);
        println!("| {question} | {few:.2} ms | {many:.2} ms | | {asked} |");
    }
    Ok(())
}

/// Names of four kinds: every fourth is an image, every fourth a chart, and every twentieth is a
/// version of one name that all publishers release.
fn purl(n: u64, seq: u64) -> String {
    match n % 4 {
        _ if n % 20 == 19 => format!("pkg:generic/common@v{n}"),
        2 => format!("pkg:docker/team/app-{n}@sha256%3A{n:064x}?repository_url=quay.io"),
        3 => format!("pkg:helm/chart-{n}@1.{seq}.0"),
        _ => perennial_tests::tool(n, seq),
    }
}

impl Subject {
    fn new(machine: &Machine, known: u64) -> Result<Self, Failure> {
        let data = machine.fresh("questions")?;
        let entries = many_releases(known, PUBLISHERS, purl);
        let strange = entries.last().and_then(|entry| entry.release()).ok_or("a release")?.0;
        {
            let store = Store::open(&data, OpenOptions::default())?;
            for batch in entries.chunks(2000) {
                store.put_entries(batch)?;
            }
        }
        let source = write_tree(&machine.fresh("source")?, 1, &[2000]);
        let added = add(&data, &source, "own", "1");
        let shown = perennial(&data, &["show", field(&added, "release")]).ok().json();
        let layout = machine.fresh("layout")?;
        let image = write_image(&layout, &[7; 100_000]);
        let layout = format!("oci:{}", layout.display());
        perennial(&data, &["add", &layout, "--ref", "quay.io/team/own:v1"]).ok();
        let followed: Vec<_> = (0..FOLLOWED).map(|n| feed_key(n).id().to_string()).collect();
        let mut args = vec!["--http", "127.0.0.1:0"];
        followed.iter().for_each(|did| args.extend(["--follow", did]));
        let node = Daemon::start(&data, &args);
        std::thread::sleep(IDLE);
        let spent = Spent::begin(&node)?;
        std::thread::sleep(IDLE);
        let idle = spent.share()?;
        Ok(Self {
            node,
            own: field(&added, "release").to_owned(),
            blake3: field(&shown["files"][0], "blake3").to_owned(),
            sha256: field(&shown["files"][0], "sha256").to_owned(),
            image,
            strange: strange.to_string(),
            known,
            idle,
        })
    }

    fn http(&self) -> Result<&str, Failure> {
        Ok(self.node.http.as_deref().ok_or("no `http` line")?)
    }

    fn status(&self) -> Result<Cost, Failure> {
        const TIMES: u32 = 20;
        let spent = Spent::begin(&self.node)?;
        for _ in 0..TIMES {
            perennial(self.node.data(), &["status"]).ok();
        }
        Ok(Cost { is_status: true, ..spent.cost("`status`", self.idle, TIMES)? })
    }
}

/// The CPU time of a node from a moment on.
struct Spent {
    pid: u32,
    cpu: Duration,
    begun: Instant,
}

impl Spent {
    fn begin(node: &Daemon) -> Result<Self, Failure> {
        let pid = node.pid();
        Ok(Self { pid, cpu: cpu_of_threads(pid)?, begun: Instant::now() })
    }

    fn seconds(&self) -> Result<f64, Failure> {
        // A thread that has ended meanwhile takes its count along.
        Ok(cpu_of_threads(self.pid)?.saturating_sub(self.cpu).as_secs_f64())
    }

    /// CPU seconds for each second since then.
    fn share(&self) -> Result<f64, Failure> {
        Ok(self.seconds()? / self.begun.elapsed().as_secs_f64())
    }

    /// What each of these questions cost, given what the node takes while nobody asks.
    fn cost(&self, question: &str, idle: f64, times: u32) -> Result<Cost, Failure> {
        let seconds = self.seconds()? - idle * self.begun.elapsed().as_secs_f64();
        let millis = 1000.0 * seconds.max(0.0) / f64::from(times);
        // The table comes at the end, in some minutes.
        eprintln!("{question}: {millis:.2} ms");
        Ok(Cost { question: question.to_owned(), millis, is_status: false })
    }
}

/// CPU time of all threads that a process has now. Its own count is in hundredths of a second.
fn cpu_of_threads(pid: u32) -> Result<Duration, Failure> {
    let mut nanos = 0;
    for task in fs::read_dir(Path::new("/proc").join(pid.to_string()).join("task"))? {
        // A thread may end while it is read.
        let Ok(stat) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
        nanos += stat.split(' ').next().ok_or("no time in schedstat")?.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanos))
}
