//! Small valid inputs, one of each kind, built by the encoders that nodes use.

use std::collections::BTreeMap;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use perennial_control::{Add, Follow, Ls, Request, Status, Target};
use perennial_manifest::{
    self as manifest, Acquired, Artifact, ArtifactList, ArtifactListRef, BlobId, Body, Entry,
    Holding, Keypair, Profile, PublisherKind, Release, Role, Sha256Digest, StatusKind,
};
use perennial_oci::{Digest, OCI_INDEX, OCI_MANIFEST};
use perennial_protocol::{
    BlobRange, BlobRequest, Bounded, EntryBytes, Request as PeerRequest, Response,
};

/// Target, file name and bytes.
type Seed = (&'static str, &'static str, Vec<u8>);

pub(crate) fn all() -> Vec<Seed> {
    [entries(), messages(), control(), oci(), archives(), ranges()].concat()
}

fn list() -> (Vec<u8>, ArtifactListRef) {
    let artifact = |path: &str, role| Artifact {
        path: path.parse().unwrap(),
        size: 5,
        blake3: BlobId::of(path.as_bytes()),
        sha256: Sha256Digest::from_bytes([7; 32]),
        media_type: "application/octet-stream".to_owned(),
        role,
        platform: None,
        exec: false,
        origins: vec!["https://example.org/kk".to_owned()],
    };
    let artifacts = vec![artifact("docs/guide.md", Role::Doc), artifact("kk", Role::Binary)];
    ArtifactList::new(artifacts).unwrap().encode().unwrap()
}

fn entry(seq: u64, body: Body) -> (Vec<u8>, Vec<u8>) {
    let key = Keypair::from_seed([5; 32]);
    let prevs = (0..seq.min(1)).map(|_| "11".repeat(32).parse().unwrap()).collect();
    let entry = Entry { publisher: key.id(), seq, prevs, issued_at: 1_753_920_000, body };
    let signed = entry.sign(&key).unwrap();
    (signed.encode(), signed.payload().to_vec())
}

fn release() -> Body {
    let (_, artifacts) = list();
    Body::Release(Box::new(Release {
        purl: "pkg:generic/kubekey@v3.1.0".parse().unwrap(),
        license: "Apache-2.0".to_owned(),
        license_texts: Vec::new(),
        artifacts,
        source: None,
        acquired: Some(Acquired {
            at: 1_753_920_000,
            from: "https://example.org/kk".to_owned(),
            tool: "perennial 0.1.0".to_owned(),
        }),
        tags: BTreeMap::from([("latest".to_owned(), BlobId::of(b"x").to_string())]),
        notes: Some("the last one".to_owned()),
    }))
}

fn entries() -> Vec<Seed> {
    let profile = Body::Profile(Profile {
        name: "savers".to_owned(),
        publisher_kind: PublisherKind::Archivist,
        contact: None,
        claims: vec!["example.org".to_owned()],
    });
    let status = Body::Status(manifest::Status {
        target: manifest::Target::Blob(BlobId::of(b"x")),
        status: StatusKind::Advisory,
        text: "do not run".to_owned(),
        references: vec!["GHSA-0000".to_owned()],
    });
    let (profile, profile_payload) = entry(0, profile);
    let (release, release_payload) = entry(1, release());
    let (status, status_payload) = entry(1, status);
    vec![
        ("entry", "profile", profile),
        ("entry", "profile-payload", profile_payload),
        ("entry", "release", release),
        ("entry", "release-payload", release_payload),
        ("entry", "status", status),
        ("entry", "status-payload", status_payload),
        ("entry", "list", list().0),
    ]
}

fn messages() -> Vec<Seed> {
    let (encoded, _) = entry(1, release());
    let id = "22".repeat(32).parse().unwrap();
    let requests = [
        ("entries", PeerRequest::Entries { ids: Bounded::first_of([id]) }),
        (
            "find",
            PeerRequest::Find { selector: "kubekey@v3.1.0".to_owned(), publisher: None, limit: 8 },
        ),
        (
            "have",
            PeerRequest::Have {
                releases: Bounded::first_of([id.into()]),
                blobs: Bounded::first_of([BlobId::of(b"x")]),
            },
        ),
        ("sha256", PeerRequest::ResolveSha256 { digest: Sha256Digest::from_bytes([7; 32]) }),
    ];
    let responses = [
        ("entries-answer", Response::Entries { entries: Bounded::first_of([EntryBytes(encoded)]) }),
        (
            "have-answer",
            Response::Have {
                releases: Bounded::first_of([Some(Holding::Held)]),
                blobs: Bounded::first_of([Some(70_000)]),
            },
        ),
        ("sha256-answer", Response::Sha256 { blob: None }),
    ];
    let ranges = Bounded::first_of([(0, 16_384), (49_152, 50_000)]);
    let blobs =
        BlobRequest { items: Bounded::first_of([BlobRange { blob: BlobId::of(b"x"), ranges }]) };
    let requests = requests.map(|(name, request)| ("message", name, request.encode().unwrap()));
    let responses = responses.map(|(name, answer)| ("message", name, answer.encode().unwrap()));
    let frame = blobs.encode_frame().unwrap();
    [requests.to_vec(), responses.to_vec(), vec![("message", "blobs", frame[4..].to_vec())]]
        .concat()
}

fn control() -> Vec<Seed> {
    let add = Add {
        paths: vec!["/a/kk".into()],
        purl: "pkg:generic/kk@1".parse().unwrap(),
        license: Some("MIT".to_owned()),
        license_files: Vec::new(),
        in_place: false,
        kind: Some(PublisherKind::Archivist),
        notes: None,
        again: false,
        keep_query: false,
        exclude: vec!["*.log".to_owned()],
        dereference: false,
        skip_unportable: true,
    };
    let publisher = Keypair::from_seed([5; 32]).id();
    let ls = Ls {
        selector: Some("kubekey@v3.1.0".parse().unwrap()),
        publisher: Some("savers".parse().unwrap()),
        state: Some(Holding::Held),
        limit: Some(8),
    };
    let follow = Follow { target: Target::Publisher(publisher), name: None, only: None };
    let requests = [
        ("status", Request::from(Status)),
        ("add", add.into()),
        ("ls", ls.into()),
        ("follow", follow.into()),
    ];
    let framed =
        |json: &[u8]| [&u32::try_from(json.len()).unwrap().to_le_bytes()[..], json].concat();
    let mut seeds: Vec<Seed> = vec![("control", "too-long", u32::MAX.to_le_bytes().to_vec())];
    for (name, request) in requests {
        let json = serde_json::to_vec(&request).unwrap();
        seeds.push(("control", name, framed(&json)));
    }
    seeds
}

fn manifest() -> Vec<u8> {
    let digest = Digest::sha256_of(b"layer");
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{digest}","size":2}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"{digest}","size":5}}],"subject":{{"mediaType":"{OCI_MANIFEST}","digest":"{digest}","size":7}},"annotations":{{"a":"b"}}}}"#
    )
    .into_bytes()
}

fn index() -> Vec<u8> {
    let manifest = manifest();
    let digest = Digest::sha256_of(&manifest);
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[{{"mediaType":"{OCI_MANIFEST}","digest":"{digest}","size":{},"platform":{{"os":"linux","architecture":"arm64","variant":"v8"}},"annotations":{{"org.opencontainers.image.ref.name":"v1"}}}}]}}"#,
        manifest.len()
    )
    .into_bytes()
}

fn oci() -> Vec<Seed> {
    let digest = Digest::sha256_of(b"x");
    vec![
        ("oci", "manifest", manifest()),
        ("oci", "index", index()),
        ("oci", "digest", digest.to_string().into_bytes()),
        ("oci", "path", digest.path().into_bytes()),
        ("oci", "tag", b"docker://quay.io/kubesphere/ks-console:v3.4.1".to_vec()),
        ("oci", "bare", b"127.0.0.1:5000/team/app".to_vec()),
        ("oci", "by-digest", format!("quay.io/a/b@{digest}").into_bytes()),
    ]
}

fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, *bytes).unwrap();
    }
    tar.into_inner().unwrap()
}

fn archives() -> Vec<Seed> {
    let manifest = manifest();
    let blob = Digest::sha256_of(&manifest).path();
    let layout = tar(&[
        ("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#),
        ("index.json", &index()),
        (&blob, &manifest),
    ]);
    let layer = tar(&[("etc/hosts", b"127.0.0.1 localhost\n")]);
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#,
        Digest::sha256_of(&layer)
    );
    let name = format!("{}.json", Digest::sha256_of(config.as_bytes()).hex());
    let saved = tar(&[
        (
            "manifest.json",
            format!(
                r#"[{{"Config":"{name}","RepoTags":["team/app:v1"],"Layers":["l/layer.tar"]}}]"#
            )
            .as_bytes(),
        ),
        (&name, config.as_bytes()),
        ("l/layer.tar", &layer),
    ]);
    let chart = tar(&[
        ("console/Chart.yaml", b"apiVersion: v2\nname: console\nversion: 1.2.3\n"),
        ("console/values.yaml", b"image: { repository: team/app, tag: v1 }\n"),
        ("console/templates/pod.yaml", b"- image: quay.io/team/app:v1\n"),
    ]);
    // Stored rather than compressed, so that a mutation of the tar is a mutation of the archive.
    let mut gzip = GzEncoder::new(Vec::new(), Compression::none());
    gzip.write_all(&chart).unwrap();
    vec![
        ("archive", "oci-archive", layout),
        ("archive", "docker-archive", saved),
        ("archive", "chart", gzip.finish().unwrap()),
        ("archive", "layer", layer),
    ]
}

fn ranges() -> Vec<Seed> {
    let texts = [
        ("first", "bytes=0-0\n100\n"),
        ("open", "bytes=10-\n100\n"),
        ("suffix", "bytes=-10\n100\n"),
        ("beyond", "bytes=100-\n100\n"),
        ("several", "bytes=0-1,5-6\n100\n"),
        ("huge", "bytes=0-99999999999999999999\n18446744073709551615\n"),
        ("condition", "bytes=1-2\n100\n\"etag\""),
    ];
    texts.map(|(name, text)| ("range", name, text.as_bytes().to_vec())).to_vec()
}
