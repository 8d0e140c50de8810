//! `get sha256:…` delivers nothing with another SHA-256, whether written to files or not.

use perennial_control::ErrorKind;
use perennial_manifest::{BlobId, Sha256Digest};
use perennial_store::{OpenOptions, Store};

use crate::machine::Machine;

#[tokio::test(flavor = "multi_thread")]
async fn a_false_claim_is_found_by_hashing() {
    let a = Machine::start(&[], &[]).await;
    let large = vec![7; 100_000];
    let added = a.add(&[("large", &large)]).await;
    let (_, files) = a.show_files(&added.release).await.expect("added here");
    let right = &files.expect("the list")[0].sha256;
    let wrong = Sha256Digest::from_bytes([9; 32]);
    // The record that a node with a hashing error would keep.
    let dir = a.stop().await;
    let store = Store::open(&dir.path().join("data"), OpenOptions::default())
        .expect("no other process uses it");
    store.note_sha256(&[(wrong, BlobId::of(&large))]).expect("noted");
    drop(store);
    let a = Machine::on(dir, &[], &[]).await;
    let b = Machine::start(&[&a], &[]).await;

    let out = b.dir.path().join("out");
    for (asked, output) in [(&b, None), (&a, None), (&b, Some(out.clone()))] {
        let refused = asked.get(&wrong.to_string(), output).await.expect_err("wrong bytes");
        assert_eq!(refused.code, ErrorKind::Verification, "{refused:?}");
    }
    assert_eq!(std::fs::read_dir(&out).expect("made").count(), 0, "nothing of it was left there");
    // An existing file does not make the claim true.
    std::fs::write(out.join(wrong.to_hex()), &large).expect("ours");
    let refused = b.get(&wrong.to_string(), Some(out)).await.expect_err("wrong bytes");
    assert_eq!(refused.code, ErrorKind::Verification, "{refused:?}");
    let got = b.get(&right.to_string(), None).await.expect("true");
    assert_eq!(got.bytes, 100_000);
}
