//! Two nodes in one process: one adds a file, the other fetches it by name and writes it out.
//!
//! Run it with `cargo run --release -p perennial-node --example embed`.

use std::error::Error;
use std::fs;
use std::sync::Arc;

use perennial_manifest::Purl;
use perennial_node::{Add, Config, Node};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("hello.txt");
    fs::write(&file, "hello, swarm\n")?;

    // A node that listens on a free loopback port.
    let listen = vec!["/ip4/127.0.0.1/tcp/0".to_owned()];
    let first =
        Node::start(Config { listen, ..Config::embedded(dir.path().join("first")) }).await?;
    let purl = Purl::parse("pkg:generic/hello@1")?;
    let published = first.archive().add(Add::new([&file], purl), Arc::new(())).await?;
    println!("{} signed {} as {}", published.publisher, published.purl, published.release);

    // A second node that dials the first and trusts its publisher for names.
    let peers = first.addresses();
    let second =
        Node::start(Config { peers, ..Config::embedded(dir.path().join("second")) }).await?;
    let archive = second.archive();
    archive.follow(published.publisher, None, None).await?;
    let found = archive.resolve(&"hello@1".parse()?, None, true, &()).await?;
    let fetched = archive.fetch(found[0].release, &()).await?;
    println!("{} bytes came from {} peers", fetched.list.total_bytes(), fetched.from.len());

    let out = dir.path().join("out");
    archive.export(fetched.list.clone(), out.clone(), false, Arc::new(())).await?;
    assert_eq!(fs::read_to_string(out.join("hello.txt"))?, "hello, swarm\n");
    second.shutdown().await;
    first.shutdown().await;
    Ok(())
}
