//! Questions of an anonymous HTTP client: asked again and again, and each behind a new entry of a
//! stranger, which outdates what was kept.

use std::time::Duration;

use perennial_manifest::{ArtifactListRef, BlobId, Body, Entry, Keypair, Release, SignedEntry};
use perennial_tests::{Stranger, http_get};
use tokio::runtime::Runtime;

use super::{Cost, Spent, Subject, peers};
use crate::Failure;

/// How often each question is asked.
const TIMES: u32 = 20;
/// New entries of strangers that questions are asked behind, of each kind.
const NEW: u32 = 5;
/// From one of them to the next, so that it is in the index, and more are taken in.
const PAUSE: Duration = Duration::from_millis(250);

/// Questions, and the status that answers each.
fn questions(subject: &Subject) -> Vec<(&'static str, String, u16)> {
    let Subject { own, blake3, sha256, image, strange, .. } = subject;
    let (manifest, layer) = (&image.manifest, &image.layer);
    let unknown = format!("sha256:{}", "5".repeat(64));
    let of = |what: &str| format!("/v2/quay.io/team/own/{what}");
    vec![
        ("GET /", "/".into(), 200),
        ("GET /healthz", "/healthz".into(), 200),
        ("GET /r/ a name, its files", "/r/own/1/".into(), 200),
        ("GET /r/ a name, a file", "/r/own/1/file-0.bin".into(), 200),
        ("GET /r/ a name, SHA256SUMS", "/r/own/1/SHA256SUMS".into(), 200),
        ("GET /r/ a name, its statement", "/r/own/1/release.cbor".into(), 200),
        ("GET /r/ a name of strangers", "/r/tool-9000/v1.0.0/x".into(), 404),
        ("GET /r/ a name of very many", "/r/common/v9999/x".into(), 404),
        ("GET /r/ a name of none", "/r/nothing/1/x".into(), 404),
        ("GET /r/ an id", format!("/r/{own}/"), 200),
        ("GET /r/ an id of a stranger", format!("/r/{strange}/x"), 404),
        ("GET /b/ BLAKE3", format!("/b/{blake3}"), 200),
        ("GET /b/ BLAKE3 of nothing", format!("/b/blake3:{}", "5".repeat(64)), 404),
        ("GET /b/ SHA-256", format!("/b/{sha256}"), 200),
        ("GET /b/ SHA-256 of nothing", format!("/b/{unknown}"), 404),
        ("GET /v2/", "/v2/".into(), 200),
        ("GET /v2/ a tag", of("manifests/v1"), 200),
        ("GET /v2/ a tag of none", of("manifests/none"), 404),
        ("GET /v2/ a manifest's digest", of(&format!("manifests/{manifest}")), 200),
        ("GET /v2/ a digest of none", of(&format!("manifests/{unknown}")), 404),
        ("GET /v2/ a blob", of(&format!("blobs/{layer}")), 200),
        ("GET /v2/ a blob of none", of(&format!("blobs/{unknown}")), 404),
        ("GET /v2/ tags", of("tags/list"), 200),
        ("GET /v2/ the catalog, ten", "/v2/_catalog?n=10".into(), 200),
        ("GET /helm/all/index.yaml", "/helm/all/index.yaml".into(), 200),
        ("GET /feed.atom", "/feed.atom".into(), 200),
        ("GET /releases.json, one", "/releases.json?limit=1".into(), 200),
        ("GET /releases.json, 100", "/releases.json".into(), 200),
    ]
}

pub(super) fn costs(subject: &Subject, runtime: &Runtime) -> Result<Vec<Cost>, Failure> {
    let mut costs = Vec::new();
    for (name, path, status) in questions(subject) {
        // What it finds once.
        ask(subject, &path, status)?;
        let spent = Spent::begin(&subject.node)?;
        (0..TIMES).try_for_each(|_| ask(subject, &path, status))?;
        costs.push(spent.cost(name, subject.idle, TIMES)?);
    }
    let stranger = runtime.block_on(peers::call(subject))?;
    let alone = behind_new(subject, runtime, &stranger, None)?;
    costs.push(Cost { question: "a new entry of a stranger".into(), ..alone });
    let alone = costs.last().map_or(0.0, |cost| cost.millis);
    for (name, path, status) in questions(subject) {
        if !["/v2/", "/helm/", "/feed", "/releases"].iter().any(|one| path.starts_with(one)) {
            continue;
        }
        let cost = behind_new(subject, runtime, &stranger, Some((&path, status)))?;
        let (question, millis) = (format!("{name}, behind a new entry"), cost.millis - alone);
        costs.push(Cost { question, millis: millis.max(0.0), ..cost });
    }
    Ok(costs)
}

/// What a new entry costs, and a question behind it, if any.
fn behind_new(
    subject: &Subject,
    runtime: &Runtime,
    stranger: &Stranger,
    question: Option<(&str, u16)>,
) -> Result<Cost, Failure> {
    let spent = Spent::begin(&subject.node)?;
    for _ in 0..NEW {
        runtime.block_on(stranger.gossip(entry()?.encode()));
        std::thread::sleep(PAUSE);
        if let Some((path, status)) = question {
            ask(subject, path, status)?;
        }
    }
    spent.cost("behind a new entry", subject.idle, NEW)
}

fn ask(subject: &Subject, path: &str, status: u16) -> Result<(), Failure> {
    let (answered, body) = http_get(subject.http()?, path)?;
    if answered == status {
        Ok(())
    } else {
        let said = String::from_utf8_lossy(&body).into_owned();
        Err(format!("{path}: {answered} instead of {status}: {said}").into())
    }
}

/// An entry that nobody knows yet.
fn entry() -> Result<SignedEntry, Failure> {
    let key = Keypair::from_seed(rand::random());
    let purl = format!("pkg:generic/new-{}@1", rand::random::<u32>()).parse()?;
    let blob = BlobId::from_bytes(rand::random());
    let list = ArtifactListRef { blob, count: 1, bytes: 1, size: 60 };
    let body = Body::Release(Box::new(Release::new(purl, list)));
    let entry = Entry { publisher: key.id(), seq: 0, prevs: Vec::new(), issued_at: 1, body };
    Ok(entry.sign(&key)?)
}
