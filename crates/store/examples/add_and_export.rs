//! Adds a directory to a store, signs a release of it, collects garbage, and writes the files out
//! again, each verified on the way. Needs no node and no network.
//!
//! `cargo run -p perennial-store --example add_and_export -- SOURCE TARGET`; without arguments it
//! uses temporary directories.

use std::error::Error;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use perennial_manifest::{
    ArtifactList, ArtifactPath, Body, Keypair, Purl, Release, ReleaseId, Role,
};
use perennial_store::{GcOptions, OpenOptions, Pin, Placement, Store};

fn main() -> Result<(), Box<dyn Error>> {
    let scratch = tempfile::tempdir()?;
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let source = match args.next() {
        Some(source) => source,
        None => sample(&scratch.path().join("source"))?,
    };
    let target = args.next().unwrap_or_else(|| scratch.path().join("target"));

    let store = Store::open(&scratch.path().join("data"), OpenOptions::default())?;
    let release = add(&store, &source)?;
    store.set_pin(Pin::Release(release), true)?;

    // The release is pinned, so a collection without grace keeps all of it.
    let report = store.gc(GcOptions { grace: Duration::ZERO, dry_run: false })?;
    println!("collected {} blobs, kept {}", report.removed, report.kept);

    export(&store, &release, &target)
}

fn sample(source: &Path) -> Result<PathBuf, Box<dyn Error>> {
    fs::create_dir_all(source)?;
    fs::write(source.join("small.txt"), "kept in a pack\n")?;
    fs::write(source.join("large.bin"), vec![7; 200_000])?;
    Ok(source.to_owned())
}

/// Stores the files of a directory and a signed statement that names them.
fn add(store: &Store, source: &Path) -> Result<ReleaseId, Box<dyn Error>> {
    // One batch: the files and their list become durable together.
    let mut batch = store.batch();
    let mut artifacts = Vec::new();
    for file in fs::read_dir(source)? {
        let path = file?.path();
        let name = path.file_name().and_then(|name| name.to_str()).ok_or("a name in UTF-8")?;
        let added = batch.add_file(&path, Placement::Copy, &|_| {})?;
        let path = ArtifactPath::parse(name)?;
        artifacts.push(added.artifact(path, Role::Binary, "application/octet-stream"));
    }
    let (list, claim) = ArtifactList::new(artifacts)?.encode()?;
    batch.add_bytes(list)?;
    // Until the entry is stored, nothing refers to the blobs: the lease keeps them.
    let lease = batch.commit()?;

    let key = Keypair::from_seed([7; 32]);
    let next = store.feed(&key.id())?.next(None)?;
    let release = Release::new(Purl::generic("example", "1")?, claim);
    let entry = next.entry(key.id(), 1_750_000_000, Body::Release(Box::new(release)));
    let signed = entry.sign(&key)?;
    store.put_entries(std::slice::from_ref(&signed))?;
    drop(lease);
    println!("signed {} as {}", signed.id(), key.id());
    Ok(signed.id().into())
}

/// Writes the files of a release.
fn export(store: &Store, release: &ReleaseId, target: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(target)?;
    let list = store.artifact_list(release)?.ok_or("the list is not here")?;
    for artifact in &list {
        let mut out = File::create(target.join(artifact.path.as_str()))?;
        let sha256 = store.copy_out(&artifact.blake3, &mut out)?;
        println!("  {}  {sha256}", artifact.path.as_str());
    }
    Ok(())
}
