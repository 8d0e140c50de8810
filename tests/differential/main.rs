//! Compares the node's registry with the reference registry, Debian's `docker-registry`. Both
//! receive the same requests, and their responses have to be equal except where a sentence of a
//! specification justifies the node's.
//!
//! `processes` starts the two, `ask` describes requests, `client` sends them, `compare` decides
//! which parts of a response count, `table` keeps the rows, `said` writes expected differences and
//! `spec` holds the sentences that justify them. The other modules are the requests, in the order
//! of [`main`]: later modules read what earlier ones pushed. Prints the table. Needs
//! `docker-registry`, so it runs only on request:
//! `cargo test --release -p perennial-tests --test differential`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a step that fails must end the test"
)]

mod ask;
mod blobs;
mod client;
mod compare;
mod content;
mod deletion;
mod errors;
mod manifests;
mod processes;
mod pushing;
mod said;
mod spec;
mod table;
mod tags;
mod uploads;

use std::process::ExitCode;

use client::Client;
use compare::Bench;
use content::Content;
use processes::{Node, Reference};

fn main() -> ExitCode {
    let dir = tempfile::tempdir().expect("a directory");
    let client = Client::new();
    let reference = Reference::start(dir.path(), &client);
    let node = Node::start(dir.path());
    let mut bench = Bench::new(&client, node.host(), reference.host());
    let content = Content::new();
    for (name, bytes) in content.all() {
        bench.name(name, bytes);
    }
    pushing::requests(&mut bench, &content);
    manifests::requests(&mut bench, &content);
    blobs::requests(&mut bench, &content);
    tags::requests(&mut bench, &content);
    uploads::requests(&mut bench, &content);
    errors::requests(&mut bench, &content);
    deletion::requests(&mut bench, &content);
    let (table, wrong) = bench.finish();
    println!("{table}");
    for why in &wrong {
        eprintln!("{why}");
    }
    if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
