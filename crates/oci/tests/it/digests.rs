//! Digests, and the tags that hold one.

use std::io::Write;

use perennial_oci::{Digest, DigestError, cosign_tags, referrers_tag, subject_of_tag};
use proptest::prelude::*;

fn sha512() -> Digest {
    format!("sha512:{}", "0f".repeat(64)).parse().unwrap()
}

#[test]
fn one_spelling_is_read_and_no_other() {
    let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let digest: Digest = empty.parse().unwrap();
    assert!(digest.matches(b"") && !digest.matches(b"x"));
    assert_eq!(digest.to_string(), empty);
    assert_eq!(Digest::of_path(&digest.path()), Some(digest));
    assert_eq!(digest.sha256().map(Digest::from), Some(digest));
    assert_eq!((sha512().sha256(), Digest::of_path(&sha512().path())), (None, Some(sha512())));
    assert_ne!(sha512().key(), [0; 16]);
    let (upper, mixed) = (empty.to_uppercase(), empty.replace("e3b0", "E3B0"));
    for wrong in ["", "sha256:", "sha256:00", "sha512:00", ":00", &empty[7..], &mixed] {
        assert!(matches!(wrong.parse::<Digest>(), Err(DigestError::Malformed(_))), "{wrong}");
    }
    for unknown in ["md5:d41d8cd98f00b204e9800998ecf8427e", &upper] {
        assert!(matches!(unknown.parse::<Digest>(), Err(DigestError::Algorithm(_))), "{unknown}");
    }
    assert_eq!(Digest::of_path("index.json"), None);
    let long = format!("md5:{}", "a".repeat(1 << 20)).parse::<Digest>().unwrap_err();
    assert!(long.to_string().len() < 300, "an error quotes a bounded part");
}

#[test]
fn bytes_are_checked_piece_by_piece() {
    let digest = Digest::sha256_of(b"abc");
    let mut check = digest.check();
    check.write_all(b"ab").unwrap();
    check.update(b"c");
    assert_eq!(check.finish(), Ok(()));
    let found = digest.check().finish().unwrap_err();
    assert_eq!((found.expected, found.found), (digest, Digest::sha256_of(b"")));
    assert!(!sha512().matches(b"abc"));
}

/// Imports look for these tags and the registry answers by them.
#[test]
fn attached_tags_are_those_of_cosign_and_the_specification() {
    for digest in [Digest::sha256_of(b"x"), sha512()] {
        let tags: Vec<_> = cosign_tags(&digest).collect();
        let base = digest.to_string().replace(':', "-");
        assert_eq!(tags, [".sig", ".att", ".sbom"].map(|suffix| format!("{base}{suffix}")));
        for tag in tags.iter().chain([&referrers_tag(&digest)]) {
            assert_eq!(subject_of_tag(tag), Some(digest), "{tag}");
        }
        for tag in [format!("{base}.other"), format!("{base}.sig.sig"), format!("{base}-sig")] {
            assert_eq!(subject_of_tag(&tag), None, "{tag}");
        }
    }
    let md5 = "md5-d41d8cd98f00b204e9800998ecf8427e.sig";
    for tag in ["v1", "sha256-", "sha256-ab.sig", "latest.sig", "sha256-abc", md5] {
        assert_eq!(subject_of_tag(tag), None, "{tag}");
    }
}

proptest! {
    #[test]
    fn arbitrary_text_does_not_panic(text in ".{0,200}") {
        let _ = (text.parse::<Digest>(), Digest::of_path(&text), subject_of_tag(&text));
    }
}
