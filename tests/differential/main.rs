//! The node's registry face against the reference registry, Debian's `docker-registry`: the same requests to both, answers equal
//! but where a sentence of a specification justifies the node's.
//!
//! `processes` starts the two, `client` sends what `ask` asks, `compare` says what counts of the answers, `table` keeps the rows;
//! `said` writes the answers of expected differences, and `spec` the sentences that justify them. The other modules are the
//! requests, in the order of [`main`]: what one pushes, those after it read. Prints the table. Needs `docker-registry`, and so
//! runs only when it is asked for: `cargo test -p perennial-tests --test differential`.

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
