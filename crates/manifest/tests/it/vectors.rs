//! Golden vectors: committed bytes and their meaning. Other implementations can be tested against
//! the same files.
//!
//! Each vector is checked both ways: its bytes decode to its meaning, and its meaning encodes to
//! its bytes. A normal test run never writes the files. After an intended change of the format, run
//! `PERENNIAL_BLESS=1 cargo test -p perennial-manifest --test it vectors -- --ignored` and read the
//! diff.

mod forge;
mod harm;

use std::collections::BTreeMap;
use std::path::PathBuf;

use perennial_manifest::{
    Artifact, ArtifactList, ArtifactListRef, ArtifactPath, BlobId, Body, Entry, EntryId, Keypair,
    PublisherId, Purl, Sha256Digest, SignedEntry,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Serialize, Deserialize)]
struct EntryVector {
    name: String,
    /// The keys that sign, in order.
    seeds: Vec<String>,
    publisher: PublisherId,
    seq: u64,
    prevs: Vec<EntryId>,
    issued_at: u64,
    kind: String,
    /// The body; `{"cbor": <hex>}` for an unknown kind.
    body: Value,
    /// Fields of the body that this version does not know.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    adds: BTreeMap<String, String>,
    id: String,
    hex: String,
}

#[derive(Serialize, Deserialize)]
struct ListVector {
    name: String,
    artifacts: Vec<Artifact>,
    claim: ArtifactListRef,
    hex: String,
}

#[derive(Serialize, Deserialize)]
struct Refused {
    name: String,
    /// The release's claims about an artifact list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    claim: Option<ArtifactListRef>,
    /// A part of the error message.
    error: String,
    hex: String,
}

#[derive(Deserialize)]
struct Names {
    publishers: Vec<BTreeMap<String, String>>,
    blobs: Vec<BTreeMap<String, String>>,
    purls: Vec<BTreeMap<String, Option<String>>>,
    paths: Vec<String>,
    refused: Vec<BTreeMap<String, String>>,
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name)
}

fn committed<T: DeserializeOwned>(name: &str) -> T {
    serde_json::from_slice(&std::fs::read(file(name)).unwrap()).unwrap()
}

fn key(seed: &str) -> Keypair {
    Keypair::from_seed(hex::decode(seed).unwrap().try_into().unwrap())
}

fn body_of(kind: &str, value: &Value) -> Body {
    let value = value.clone();
    match kind {
        "profile" => Body::Profile(serde_json::from_value(value).unwrap()),
        "release" => Body::Release(serde_json::from_value(value).unwrap()),
        "observation" => Body::Observation(serde_json::from_value(value).unwrap()),
        "status" => Body::Status(serde_json::from_value(value).unwrap()),
        "rotate" => Body::Rotate(serde_json::from_value(value).unwrap()),
        "merge" => Body::Merge(serde_json::from_value(value).unwrap()),
        _ => Body::Unknown {
            kind: kind.to_owned(),
            fields: hex::decode(value["cbor"].as_str().unwrap()).unwrap(),
        },
    }
}

fn value_of(body: &Body) -> Value {
    match body {
        Body::Profile(profile) => serde_json::to_value(profile),
        Body::Release(release) => serde_json::to_value(release),
        Body::Observation(observation) => serde_json::to_value(observation),
        Body::Status(status) => serde_json::to_value(status),
        Body::Rotate(rotate) => serde_json::to_value(rotate),
        Body::Merge(merge) => serde_json::to_value(merge),
        Body::Unknown { fields, .. } => Ok(json!({ "cbor": hex::encode(fields) })),
    }
    .unwrap()
}

impl EntryVector {
    fn entry(&self) -> Entry {
        Entry {
            publisher: self.publisher,
            seq: self.seq,
            prevs: self.prevs.clone(),
            issued_at: self.issued_at,
            body: body_of(&self.kind, &self.body),
        }
    }

    /// The meaning, encoded.
    fn written(&self) -> Vec<u8> {
        let keys: Vec<_> = self.seeds.iter().map(|seed| key(seed)).collect();
        let signed = match &keys[..] {
            [key] => self.entry().sign(key),
            [old, new] => self.entry().sign_rotation(old, new),
            _ => panic!("{}: one key or two", self.name),
        }
        .unwrap();
        if self.adds.is_empty() {
            signed.encode()
        } else {
            forge::with_fields(&signed, &self.adds, &keys)
        }
    }
}

#[test]
fn entries_decode_as_their_vectors_say() {
    let vectors: Vec<EntryVector> = committed("entries.json");
    for vector in &vectors {
        let name = &vector.name;
        let bytes = hex::decode(&vector.hex).unwrap();
        let signed = SignedEntry::decode(&bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(signed.entry(), &vector.entry(), "{name}");
        assert_eq!(signed.entry().body.kind(), vector.kind, "{name}");
        assert_eq!(value_of(&signed.entry().body), vector.body, "{name}");
        assert_eq!(signed.id().to_hex(), vector.id, "{name}");
        assert_eq!(hex::encode(signed.encode()), vector.hex, "{name}: received and sent on");
        assert_eq!(hex::encode(vector.written()), vector.hex, "{name}: signed anew");
    }
    for kind in ["profile", "release", "observation", "status", "rotate", "merge", "x-mirror-list"]
    {
        assert!(vectors.iter().any(|vector| vector.kind == kind), "no vector of kind {kind}");
    }
}

#[test]
fn lists_decode_as_their_vectors_say() {
    for vector in committed::<Vec<ListVector>>("lists.json") {
        let list = ArtifactList::decode(&hex::decode(&vector.hex).unwrap(), &vector.claim).unwrap();
        assert_eq!(list.iter().cloned().collect::<Vec<_>>(), vector.artifacts, "{}", vector.name);
        let (bytes, claim) = ArtifactList::new(vector.artifacts).unwrap().encode().unwrap();
        assert_eq!((hex::encode(bytes), claim), (vector.hex, vector.claim), "{}", vector.name);
    }
}

#[test]
fn refused_vectors_stay_refused() {
    let vectors: Vec<Refused> = committed("refused.json");
    assert!(vectors.len() >= 60, "vectors went missing");
    for vector in vectors {
        let bytes = hex::decode(&vector.hex).unwrap();
        let said = match vector.claim {
            Some(claim) => {
                ArtifactList::decode(&bytes, &claim).map(drop).map_err(|e| e.to_string())
            }
            None => SignedEntry::decode(&bytes).map(drop).map_err(|e| e.to_string()),
        };
        let said = said.expect_err(&vector.name);
        assert!(
            said.contains(&vector.error),
            "{}: expected `{}`, got `{said}`",
            vector.name,
            vector.error
        );
    }
}

#[test]
fn names_resolve_as_their_vectors_say() {
    let names: Names = committed("names.json");
    for publisher in names.publishers {
        let id = key(&publisher["seed"]).id();
        assert_eq!(hex::encode(id.as_bytes()), publisher["key"]);
        assert_eq!(id.to_string(), publisher["did"]);
        assert_eq!(publisher["did"].parse(), Ok(id));
    }
    for blob in names.blobs {
        let id = BlobId::of(&hex::decode(&blob["bytes"]).unwrap());
        assert_eq!(id.to_string(), blob["id"]);
        assert_eq!(blob["id"].parse(), Ok(id));
    }
    for vector in names.purls {
        let purl = Purl::parse(vector["given"].as_deref().unwrap()).unwrap();
        assert_eq!(Some(purl.as_str()), vector["canonical"].as_deref());
        assert_eq!(Some(purl.ty()), vector["type"].as_deref());
        assert_eq!(purl.namespace(), vector["namespace"].as_deref());
        assert_eq!(Some(purl.name()), vector["name"].as_deref());
        assert_eq!(purl.version(), vector["version"].as_deref());
        assert_eq!(Purl::try_from(purl.to_string()), Ok(purl));
    }
    for path in names.paths {
        assert_eq!(ArtifactPath::parse(&path).unwrap().as_str(), path);
    }
    for vector in names.refused {
        let (what, text) = (&vector["what"], &vector["text"]);
        let said = match what.as_str() {
            "publisher" => text.parse::<PublisherId>().map(drop).map_err(|e| e.to_string()),
            "blob" => text.parse::<BlobId>().map(drop).map_err(|e| e.to_string()),
            "sha256" => text.parse::<Sha256Digest>().map(drop).map_err(|e| e.to_string()),
            "entry id" => text.parse::<EntryId>().map(drop).map_err(|e| e.to_string()),
            "purl" => text.parse::<Purl>().map(drop).map_err(|e| e.to_string()),
            "path" => text.parse::<ArtifactPath>().map(drop).map_err(|e| e.to_string()),
            _ => panic!("{what} is no name"),
        };
        let said = said.expect_err(text);
        assert!(said.contains(&vector["error"]), "{what} {text:?}: got `{said}`");
    }
}

/// FORMAT.md draws one of the vectors; comments after `#` are for people.
#[test]
fn the_worked_example_is_the_vector() {
    let page = std::fs::read_to_string(file("../../FORMAT.md")).unwrap();
    let drawn = page.split("```hex").nth(1).unwrap().split("```").next().unwrap();
    let hex: String = drawn.lines().flat_map(|line| line.split('#').next()).collect();
    let hex: String = hex.split_whitespace().collect();
    let vectors: Vec<EntryVector> = committed("entries.json");
    let vector =
        vectors.iter().find(|vector| vector.name == "profile, only what it must have").unwrap();
    assert_eq!(hex, vector.hex);
    let signed = SignedEntry::decode(&hex::decode(hex).unwrap()).unwrap();
    let covered = forge::signed_bytes(signed.payload());
    let (context, rest) = covered.split_at("perennial/entry/1".len());
    for said in [&vector.name, &vector.id, &hex::encode(context), &hex::encode(&rest[..8])] {
        assert!(page.contains(said.as_str()), "FORMAT.md does not say {said}");
    }
}

/// FORMAT.md names every field that occurs in the vectors.
#[test]
fn every_field_is_drawn() {
    fn fields(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => map.iter().for_each(|(field, value)| {
                found.push(field.clone());
                fields(value, found);
            }),
            Value::Array(list) => list.iter().for_each(|value| fields(value, found)),
            _ => {}
        }
    }
    let page = std::fs::read_to_string(file("../../FORMAT.md")).unwrap();
    let mut found = Vec::new();
    for vector in committed::<Vec<EntryVector>>("entries.json") {
        assert!(page.contains(&format!("**`{}`**", vector.kind)) || vector.kind.starts_with("x-"));
        fields(&vector.body, &mut found);
    }
    for vector in committed::<Vec<ListVector>>("lists.json") {
        fields(&serde_json::to_value(vector.artifacts).unwrap(), &mut found);
    }
    found.retain(|field| field != "cbor" && !field.contains('/'));
    for field in found {
        assert!(page.contains(&format!("`{field}`")), "FORMAT.md does not draw `{field}`");
    }
}

/// Writes the encoding of every meaning into the files, if `PERENNIAL_BLESS` is set.
#[test]
#[ignore = "a maintainer's tool: it writes the vectors"]
fn bless() {
    if std::env::var_os("PERENNIAL_BLESS").is_none() {
        return;
    }
    let mut entries: Vec<EntryVector> = committed("entries.json");
    for vector in &mut entries {
        let bytes = vector.written();
        vector.id = SignedEntry::decode(&bytes).unwrap().id().to_hex();
        vector.hex = hex::encode(bytes);
    }
    let mut lists: Vec<ListVector> = committed("lists.json");
    for vector in &mut lists {
        let (bytes, claim) = ArtifactList::new(vector.artifacts.clone()).unwrap().encode().unwrap();
        (vector.hex, vector.claim) = (hex::encode(bytes), claim);
    }
    let write = |name, json: String| std::fs::write(file(name), json + "\n").unwrap();
    write("entries.json", serde_json::to_string_pretty(&entries).unwrap());
    write("lists.json", serde_json::to_string_pretty(&lists).unwrap());
    write("refused.json", serde_json::to_string_pretty(&harm::all()).unwrap());
}
