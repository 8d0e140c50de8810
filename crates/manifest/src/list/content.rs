//! The part of a list that publishers agree or disagree on.
//!
//! Two archivists who took the same bytes from the same place sign different lists: one was
//! redirected elsewhere, the other knows a media type or a platform. The content of both lists is
//! the same.

use crate::{Artifact, ArtifactList, ContentId};

/// Separates this hash from others of the same bytes.
const CONTEXT: &[u8] = b"perennial/content/1";

impl ArtifactList {
    /// The digest over the path, size, BLAKE3 and kind of each artifact: whether it is a file, an
    /// executable one, a symbolic link or a directory.
    #[must_use]
    pub fn content(&self) -> ContentId {
        let mut hasher = blake3::Hasher::new();
        hasher.update(CONTEXT);
        for artifact in self {
            let path = artifact.path.as_str().as_bytes();
            hasher.update(&(path.len() as u64).to_le_bytes());
            hasher.update(path);
            hasher.update(&artifact.size.to_le_bytes());
            hasher.update(artifact.blake3.as_bytes());
            hasher.update(&[kind(artifact)]);
        }
        ContentId::from_bytes(*hasher.finalize().as_bytes())
    }
}

fn kind(artifact: &Artifact) -> u8 {
    match artifact {
        link if link.is_link() => 2,
        directory if directory.is_directory() => 3,
        file => u8::from(file.exec),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ArtifactPath, BlobId, Platform, Role, Sha256Digest, link};

    fn artifact(path: &str, bytes: &[u8]) -> Artifact {
        Artifact {
            path: ArtifactPath::parse(path).unwrap(),
            size: bytes.len() as u64,
            blake3: BlobId::of(bytes),
            sha256: Sha256Digest::from_bytes([7; 32]),
            media_type: "application/gzip".into(),
            role: Role::Binary,
            platform: None,
            exec: false,
            origins: Vec::new(),
        }
    }

    fn content(artifacts: Vec<Artifact>) -> ContentId {
        ArtifactList::new(artifacts).unwrap().content()
    }

    #[test]
    fn the_content_is_the_same_wherever_it_came_from() {
        let plain = content(vec![artifact("a", b"x"), artifact("b", b"y")]);
        let mut other = [artifact("b", b"y"), artifact("a", b"x")];
        other[0].origins = vec!["https://example.org/b".into()];
        other[0].platform =
            Some(Platform { os: "linux".into(), arch: "arm64".into(), variant: None });
        other[1].media_type = "text/plain".into();
        other[1].role = Role::Doc;
        other[1].sha256 = Sha256Digest::from_bytes([8; 32]);
        assert_eq!(content(other.into()), plain);
    }

    #[test]
    fn every_difference_in_what_is_written_out_is_another_content() {
        let base = || artifact("a", b"x");
        let mut all = vec![content(vec![base()])];
        all.push(content(vec![artifact("b", b"x")]));
        all.push(content(vec![artifact("a", b"z")]));
        all.push(content(vec![Artifact { size: 2, ..base() }]));
        all.push(content(vec![Artifact { exec: true, ..base() }]));
        for kind in [link::SYMLINK, link::DIRECTORY] {
            all.push(content(vec![Artifact { media_type: kind.into(), ..base() }]));
        }
        all.push(content(vec![base(), artifact("b", b"x")]));
        for (at, one) in all.iter().enumerate() {
            assert!(!all[at + 1..].contains(one), "{at}");
        }
    }

    #[test]
    fn the_content_is_hashed_as_it_is_written_down() {
        let bytes = [
            &b"perennial/content/1"[..],
            &1u64.to_le_bytes(),
            b"a",
            &1u64.to_le_bytes(),
            BlobId::of(b"x").as_bytes(),
            &[0],
        ]
        .concat();
        let written = ContentId::from_bytes(*BlobId::of(&bytes).as_bytes());
        assert_eq!(content(vec![artifact("a", b"x")]), written);
    }
}
