//! Artifact lists that may not be believed.

use ipld_core::ipld::Ipld;
use perennial_manifest::{Artifact, ArtifactList, ArtifactListRef, BlobId};
use serde_json::json;

use super::cbor;
use crate::vectors::Refused;
use crate::vectors::forge::{map, text, with};

pub(super) fn lists(all: &mut Vec<Refused>) {
    let mut refuse_list = |name: &str, artifacts: &[Ipld], error: &str| {
        let bytes = cbor(&Ipld::List(artifacts.to_vec()));
        let claim = ArtifactListRef {
            blob: BlobId::of(&bytes),
            count: u32::try_from(artifacts.len().max(1)).unwrap(),
            bytes: 5 * artifacts.len() as u64,
            size: bytes.len() as u64,
        };
        all.push(Refused {
            name: name.into(),
            claim: Some(claim),
            error: error.into(),
            hex: hex::encode(bytes),
        });
    };
    let decode = "not valid deterministic CBOR";
    refuse_list("list: empty", &[], "it is empty");
    refuse_list("list: out of order", &[artifact("b"), artifact("a")], "a is out of order");
    refuse_list("list: a path twice", &[artifact("a"), artifact("a")], "would be one file");
    refuse_list(
        "list: twins by case",
        &[artifact("README"), artifact("readme")],
        "README and readme would be one file",
    );
    refuse_list(
        "list: twins by compatibility",
        &[artifact("file"), artifact("ﬁle")],
        "would be one file",
    );
    refuse_list("list: not in normal form C", &[artifact("e\u{301}")], "normal form C");
    refuse_list(
        "list: a file and a directory",
        &[artifact("a"), artifact("a-"), artifact("a/b")],
        "a is a file and a directory",
    );
    refuse_list("list: a path that climbs", &[artifact("../../etc/x")], "`.` or `..`");
    refuse_list("list: an absolute path", &[artifact("/etc/passwd")], "is absolute");
    refuse_list("list: a NUL in a path", &[artifact("a\0b")], "control");
    refuse_list(
        "list: a field more",
        &[with(&artifact("a"), "mode", Ipld::Integer(0o755))],
        "not the one encoding",
    );
    refuse_list(
        "list: exec spelled false",
        &[with(&artifact("a"), "exec", Ipld::Bool(false))],
        "not the one encoding",
    );
    refuse_list(
        "list: no origins, spelled",
        &[with(&artifact("a"), "origins", Ipld::List(Vec::new()))],
        "not the one encoding",
    );
    refuse_list(
        "list: 17 origins",
        &[with(&artifact("a"), "origins", Ipld::List(vec![text("u"); 17]))],
        "more than 16 origins",
    );
    refuse_list(
        "list: a media type without a subtype",
        &[with(&artifact("a"), "media_type", text("text"))],
        "media type",
    );
    refuse_list("list: an unknown role", &[with(&artifact("a"), "role", text("toy"))], decode);
    refuse_list(
        "list: a negative size",
        &[with(&artifact("a"), "size", Ipld::Integer(-1))],
        decode,
    );
    let most = with(&artifact("a"), "size", Ipld::Integer(u64::MAX.into()));
    refuse_list("list: sizes that sum past 2^64", &[most, artifact("b")], "the sum of sizes");

    let good = json!([{"path": "a", "size": 5, "blake3": BlobId::of(b"a"),
        "sha256": format!("sha256:{}", "b".repeat(64)), "media_type": "text/plain",
        "role": "doc"}]);
    let good: Vec<Artifact> = serde_json::from_value(good).unwrap();
    let (bytes, claim) = ArtifactList::new(good).unwrap().encode().unwrap();
    for (name, claim, error) in [
        (
            "list: fewer than claimed",
            ArtifactListRef { count: 2, ..claim },
            "the release says count 2, the list has 1",
        ),
        (
            "list: fewer bytes than claimed",
            ArtifactListRef { bytes: 6, ..claim },
            "the release says total bytes 6, the list has 5",
        ),
        (
            "list: shorter than claimed",
            ArtifactListRef { size: claim.size + 1, ..claim },
            "the release says length",
        ),
    ] {
        all.push(Refused {
            name: name.into(),
            claim: Some(claim),
            error: error.into(),
            hex: hex::encode(&bytes),
        });
    }
    for (name, head) in [
        ("list: claims 10^6 artifacts", "9a000f4240"),
        ("list: claims 2^40 artifacts", "9b0000010000000000"),
    ] {
        let size = head.len() as u64 / 2;
        let claim =
            ArtifactListRef { blob: BlobId::of(&hex::decode(head).unwrap()), size, ..claim };
        all.push(Refused {
            name: name.into(),
            claim: Some(claim),
            error: decode.into(),
            hex: head.into(),
        });
    }
}

fn artifact(path: &str) -> Ipld {
    map([
        ("path", text(path)),
        ("size", Ipld::Integer(5)),
        ("blake3", Ipld::Bytes(vec![0xaa; 32])),
        ("sha256", Ipld::Bytes(vec![0xbb; 32])),
        ("media_type", text("text/plain")),
        ("role", text("doc")),
    ])
}
