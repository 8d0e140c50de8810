//! A blob that rots on disk is fetched again from a peer automatically, and its release does not
//! count as held meanwhile.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use perennial_control::{Verify, VerifyDone};
use perennial_manifest::{Holding, ReleaseId};

use crate::machine::Machine;

/// Enough bytes for a file of their own in the store, different for each step.
fn bytes(step: usize) -> Vec<u8> {
    (0..=255).cycle().step_by(step).take(300_000).collect()
}

/// The file in which these bytes are stored.
fn stored(dir: &Path, bytes: &[u8]) -> Option<PathBuf> {
    fs::read_dir(dir).expect("a directory").find_map(|entry| {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            return stored(&path, bytes);
        }
        // The file may have trailing data behind the bytes.
        let content = path.is_file().then(|| fs::read(&path).unwrap_or_default());
        content.is_some_and(|content| content.starts_with(bytes)).then_some(path)
    })
}

fn flip(machine: &Machine, bytes: &[u8]) {
    let path = stored(&machine.data(), bytes).expect("it is stored");
    let mut content = fs::read(&path).expect("readable");
    content[bytes.len() / 2] ^= 4;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("ours");
    fs::write(&path, content).expect("ours");
}

async fn verify(machine: &Machine) -> VerifyDone {
    machine.ask(Verify).await.expect("verified").0
}

/// A node that added a release and one that follows it.
async fn pair(large: &[u8]) -> (Machine, Machine, ReleaseId) {
    let a = Machine::start(&[], &[]).await;
    let added = a.add(&[("large", large), ("small", b"small")]).await;
    let b = Machine::start(&[&a], &[added.publisher]).await;
    b.until(&added.release, Holding::Held).await;
    (a, b, added.release)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_followers_damaged_release_is_partial_until_a_holder_connects() {
    let large = bytes(7);
    let (a, b, release) = pair(&large).await;
    let a = a.stop().await;
    flip(&b, &large);
    assert_eq!(verify(&b).await.corrupt, 1);
    let shown = b.show(&release).await.expect("known");
    assert_eq!((shown.row.state, shown.row.held_bytes), (Holding::Partial, 5));
    assert_eq!(shown.holders.len(), 1, "no other node is there: {:?}", shown.holders);

    let _a = Machine::on(a, &[&b], &[]).await;
    b.until(&release, Holding::Held).await;
    assert_eq!(verify(&b).await.corrupt, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publishers_damaged_release_comes_back_from_a_follower() {
    let large = bytes(11);
    let (a, b, release) = pair(&large).await;
    flip(&a, &large);
    assert_eq!(verify(&a).await.corrupt, 1);
    let shown = a.until(&release, Holding::Held).await;
    assert_eq!(verify(&a).await.corrupt, 0);
    assert!(shown.holders.iter().any(|holder| holder.peer == b.node.peer_id()));
}

/// Damage is found without `verify`, when a peer requests the blob.
#[tokio::test(flavor = "multi_thread")]
async fn damage_found_while_serving_is_repaired() {
    let large = bytes(13);
    let (a, _b, release) = pair(&large).await;
    flip(&a, &large);
    let c = Machine::start(&[&a], &[]).await;
    let blob = perennial_manifest::BlobId::of(&large).to_string();
    // Which peer finally delivers it does not matter here.
    let _ = c.get(&blob, None).await;
    let give_up = Instant::now() + Duration::from_secs(60);
    while stored(&a.data(), &large).is_none() {
        assert!(Instant::now() < give_up, "it did not come back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    a.until(&release, Holding::Held).await;
    assert_eq!(verify(&a).await.corrupt, 0);
}
