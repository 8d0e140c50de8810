//! Signs a release of two files and checks it the way a peer would.
//!
//! `cargo run -p perennial-manifest --example sign_a_release`

use std::error::Error;

use perennial_manifest::{
    Artifact, ArtifactList, ArtifactPath, BlobId, Body, FeedState, Keypair, Purl, Release, Role,
    Sha256Digest, SignedEntry,
};

fn main() -> Result<(), Box<dyn Error>> {
    // 1. The list of files, sorted and checked. Hashing files is the store's work; here they are
    //    in memory, and their SHA-256 digests come from a SHA256SUMS file.
    let files: [(&str, &[u8], &str); 2] = [
        (
            "hello.txt",
            b"hello\n",
            "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",
        ),
        ("empty", b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ];
    let mut artifacts = Vec::new();
    for (path, bytes, sha256) in files {
        artifacts.push(Artifact {
            path: ArtifactPath::parse(path)?,
            size: bytes.len() as u64,
            blake3: BlobId::of(bytes),
            sha256: format!("sha256:{sha256}").parse::<Sha256Digest>()?,
            media_type: "text/plain".into(),
            role: Role::Doc,
            platform: None,
            exec: false,
            origins: Vec::new(),
        });
    }
    let (list, claim) = ArtifactList::new(artifacts)?.encode()?;

    // 2. The statement, as the first entry of a feed. A real key comes from a random seed.
    let key = Keypair::from_seed([7; 32]);
    let next = FeedState::default().next(None)?;
    let release =
        Release { license: "MIT".into(), ..Release::new(Purl::generic("hello", "1.0")?, claim) };
    let entry = next.entry(key.id(), 1_750_000_000, Body::Release(Box::new(release)));
    let signed = entry.sign(&key)?;

    // 3. On the other side: only bytes arrive, and nothing in them is taken on trust.
    let received = SignedEntry::decode(&signed.encode())?;
    let (id, release) = received.release().ok_or("not a release")?;
    let files = ArtifactList::decode(&list, &release.artifacts)?;
    println!("{} by {}", release.purl, received.entry().publisher);
    println!("release {id}, {} bytes of statement", received.encode().len());
    for file in &files {
        println!("  {:<10} {:>3} bytes  {}", file.path.as_str(), file.size, file.blake3);
    }
    Ok(())
}
