//! Images pushed and pulled with skopeo, on a node and on Debian's `docker-registry` in the same
//! run.
//!
//! Needs skopeo, docker-registry and `ss` (iproute2). Each push starts with an empty server, each
//! pull with an empty folder.

use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use perennial_tests::Daemon;
use sha2::{Digest, Sha256};

use crate::Failure;
use crate::machine::{Machine, cpu_of, json, print_row, time};

const RUNS: usize = 5;
const TOKEN: &str = "benchmark-benchmark";

/// A 1 GiB layer pushed, then pulled: wall-clock time and the server's CPU time.
pub(crate) fn against_the_reference(machine: &Machine) -> Result<(), Failure> {
    let image = layout(machine, 1 << 30)?;
    let (mut pushed, mut pulled) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    let (mut push_cpu, mut pull_cpu) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    let mut memory = 0;
    for run in 0..=RUNS {
        for (which, reference) in [false, true].into_iter().enumerate() {
            machine.settle()?;
            let server =
                if reference { Server::reference(machine)? } else { Server::node(machine)? };
            let before = cpu_of(server.pid)?;
            let push = time(|| {
                skopeo(&format!("oci:{}:v1", image.display()), &server.docker("bench/big:v1"))
            })?;
            let between = cpu_of(server.pid)?;
            machine.settle()?;
            let out = machine.fresh("pulled")?;
            let pull =
                time(|| skopeo(&server.docker("bench/big:v1"), &format!("dir:{}", out.display())))?;
            let after = cpu_of(server.pid)?;
            if let Process::Node(node) = &server.process {
                memory = memory.max(node.highest_memory() / 1024);
            }
            fs::remove_dir_all(out)?;
            // The first run warms the caches.
            if run > 0 {
                pushed[which].push(push);
                pulled[which].push(pull);
                push_cpu[which].push(between - before);
                pull_cpu[which].push(after - between);
            }
        }
    }
    let row = |figure: &str, [ours, theirs]: &[Vec<Duration>; 2], asked| {
        print_row(figure, ours, theirs, asked);
    };
    row("push of a 1 GiB layer, against docker-registry", &pushed, "≥ 0.8");
    row("the same, processor time of the server", &push_cpu, "");
    row("pull of it", &pulled, "≥ 1");
    row("the same, processor time of the server", &pull_cpu, "≥ 1");
    println!("| highest memory of the node meanwhile | {memory} MiB | | | < 200 MiB |");
    Ok(())
}

/// 50 clients pull at once from a node that knows the image but does not hold it.
pub(crate) fn fifty_at_once(machine: &Machine) -> Result<(), Failure> {
    const CLIENTS: usize = 50;
    const SIZE: u64 = 64 << 20;
    let image = layout(machine, SIZE)?;
    let holder = Server::node(machine)?;
    let digest = manifest_digest(&image)?;
    let Process::Node(held_by) = &holder.process else { return Err("a node".into()) };
    // This node follows no publisher: it hears the announcement of the release and fetches nothing.
    let here = machine.fresh("asked")?;
    let asked = Daemon::start(
        &here,
        &["--http", "127.0.0.1:0", "--fetch-untrusted", "--peer", held_by.address()],
    );
    let http = asked.http.clone().ok_or("no `http` line")?;
    let name = format!("{http}/bench/big@{digest}");
    let deadline = Instant::now() + Duration::from_secs(60);
    while json(machine.perennial(&here).arg("status"))?["peers"] == 0 {
        if Instant::now() > deadline {
            return Err("the two nodes did not meet".into());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    skopeo(&format!("oci:{}:v1", image.display()), &holder.docker("bench/big:v1"))?;
    let known = || Command::new("curl").args(["-fs", "-o", "/dev/null", &url_of(&name)]).status();
    while !known()?.success() {
        if Instant::now() > deadline {
            return Err(format!("{name} did not become known").into());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    let before = sent_by(held_by.address())?;
    let outs: Vec<PathBuf> =
        (0..CLIENTS).map(|n| machine.fresh(&format!("client-{n}"))).collect::<Result<_, _>>()?;
    let took = time(|| {
        let clients = outs.iter().map(|out| {
            copy(&format!("docker://{name}"), &format!("dir:{}", out.display())).spawn()
        });
        let clients: Vec<Child> = clients.collect::<Result<_, _>>()?;
        for mut client in clients {
            if !client.wait()?.success() {
                return Err("a client failed".into());
            }
        }
        Ok(())
    })?;
    let fetched = sent_by(held_by.address())? - before;
    println!(
        "| {CLIENTS} pulls at once of 64 MiB that is not held: fetched from the swarm | {:.1} MiB \
        in {:.1} s | | {:.2} times | 1 time |",
        fetched as f64 / 1_048_576.0,
        took.as_secs_f64(),
        fetched as f64 / SIZE as f64
    );
    println!(
        "| highest memory of the node meanwhile | {} MiB | | | < 200 MiB |",
        asked.highest_memory() / 1024
    );
    outs.into_iter().try_for_each(fs::remove_dir_all)?;
    Ok(())
}

enum Process {
    Node(Daemon),
    Reference(Child),
}

/// A registry: a node or the reference.
struct Server {
    http: String,
    pid: u32,
    process: Process,
}

impl Server {
    fn node(machine: &Machine) -> Result<Self, Failure> {
        let token = machine.fresh("token")?;
        fs::write(&token, TOKEN)?;
        let token = token.to_str().ok_or("a path that is no text")?;
        let data = machine.fresh("registry-node")?;
        let node = Daemon::start(&data, &["--http", "127.0.0.1:0", "--token-file", token]);
        let http = node.http.clone().ok_or("no `http` line")?;
        Ok(Self { http, pid: node.pid(), process: Process::Node(node) })
    }

    fn reference(machine: &Machine) -> Result<Self, Failure> {
        let root = machine.fresh("registry-reference")?;
        let http = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let config = machine.fresh("registry.yml")?;
        let storage = format!("storage:\n  filesystem:\n    rootdirectory: {}\n", root.display());
        let log = "log:\n  level: error\n  accesslog:\n    disabled: true\n";
        fs::write(&config, format!("version: 0.1\n{log}{storage}http:\n  addr: {http}\n"))?;
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stderr(Stdio::null())
            .spawn()?;
        let server = Self { pid: child.id(), process: Process::Reference(child), http };
        let deadline = Instant::now() + Duration::from_secs(30);
        while std::net::TcpStream::connect(&server.http).is_err() {
            if Instant::now() > deadline {
                return Err("docker-registry does not answer".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    fn docker(&self, image: &str) -> String {
        format!("docker://{}/{image}", self.http)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Process::Reference(child) = &mut self.process {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn copy(from: &str, to: &str) -> Command {
    let mut command = Command::new("skopeo");
    command.args([
        "copy",
        "--quiet",
        "--preserve-digests",
        "--src-tls-verify=false",
        "--dest-tls-verify=false",
    ]);
    if to.starts_with("docker:") {
        command.arg(format!("--dest-creds=owner:{TOKEN}"));
    }
    command.args([from, to]);
    command
}

fn skopeo(from: &str, to: &str) -> Result<(), Failure> {
    let status = copy(from, to).status()?;
    if status.success() { Ok(()) } else { Err(format!("skopeo copy {from} {to}: {status}").into()) }
}

/// An OCI layout of one image with one layer of `size` incompressible bytes.
fn layout(machine: &Machine, size: u64) -> Result<PathBuf, Failure> {
    let root = machine.fresh("layout")?;
    let blobs = root.join("blobs/sha256");
    fs::create_dir_all(&blobs)?;
    let keep = |bytes: &[u8]| -> Result<String, Failure> {
        let hex = hex(&Sha256::digest(bytes));
        fs::write(blobs.join(&hex), bytes)?;
        Ok(format!("sha256:{hex}"))
    };
    let layer = machine.random_file("layer", size)?;
    let layer_digest = hex(digest_of(&layer)?.as_ref());
    fs::rename(layer, blobs.join(&layer_digest))?;
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":["sha256:{layer_digest}"]}}}}"#
    );
    let config_digest = keep(config.as_bytes())?;
    let oci = "application/vnd.oci.image";
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{oci}.manifest.v1+json","config":{{"mediaType":"{oci}.config.v1+json","digest":"{config_digest}","size":{}}},"layers":[{{"mediaType":"{oci}.layer.v1.tar","digest":"sha256:{layer_digest}","size":{size}}}]}}"#,
        config.len()
    );
    let digest = keep(manifest.as_bytes())?;
    fs::write(root.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"{oci}.manifest.v1+json","digest":"{digest}","size":{},"annotations":{{"org.opencontainers.image.ref.name":"v1"}}}}]}}"#,
        manifest.len()
    );
    fs::write(root.join("index.json"), index)?;
    Ok(root)
}

fn digest_of(file: &Path) -> Result<impl AsRef<[u8]> + use<>, Failure> {
    let (mut file, mut hasher, mut piece) =
        (fs::File::open(file)?, Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hasher.finalize()),
            n => hasher.update(&piece[..n]),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn manifest_digest(layout: &Path) -> Result<String, Failure> {
    let index: serde_json::Value = serde_json::from_slice(&fs::read(layout.join("index.json"))?)?;
    Ok(index["manifests"][0]["digest"].as_str().ok_or("no digest")?.to_owned())
}

/// The URL of the manifest of `host/name@digest`.
fn url_of(name: &str) -> String {
    let (host, rest) = name.split_once('/').unwrap_or((name, ""));
    format!("http://{host}/v2/{}", rest.replace('@', "/manifests/"))
}

/// Bytes that a node on this machine has sent from its listening port.
fn sent_by(address: &str) -> Result<u64, Failure> {
    let port = address.split('/').nth(4).ok_or("a multiaddr with a port")?;
    let output = Command::new("ss").args(["-tinH", &format!("( sport = :{port} )")]).output()?;
    let text = String::from_utf8(output.stdout)?;
    let sent = text.split_whitespace().filter_map(|field| field.strip_prefix("bytes_acked:"));
    Ok(sent.filter_map(|bytes| bytes.parse::<u64>().ok()).sum())
}
