//! Hostile names and lists: nothing panics, nothing is corrected, and equivalent paths never meet
//! on a disk.

use perennial_manifest::{
    Artifact, ArtifactList, ArtifactListRef, ArtifactPath, BlobId, ListError, Purl, Role, Selector,
    Sha256Digest,
};
use proptest::prelude::*;

fn artifact(path: &str) -> Artifact {
    Artifact {
        path: path.parse().unwrap(),
        size: 1,
        blake3: BlobId::of(path.as_bytes()),
        sha256: Sha256Digest::from_bytes([7; 32]),
        media_type: "text/plain".into(),
        role: Role::Doc,
        platform: None,
        exec: false,
        origins: Vec::new(),
    }
}

fn list(paths: &[&str]) -> Result<ArtifactList, ListError> {
    ArtifactList::new(paths.iter().map(|path| artifact(path)).collect())
}

fn claim_of(encoded: &[u8]) -> ArtifactListRef {
    ArtifactListRef { blob: BlobId::of(encoded), count: 2, bytes: 2, size: encoded.len() as u64 }
}

#[test]
fn a_path_ends_at_its_bound() {
    let longest = format!(
        "{}/{}",
        ["a".repeat(255), "b".repeat(255), "c".repeat(255)].join("/"),
        "d".repeat(256 - 1)
    );
    assert_eq!(longest.len(), 1023);
    assert!(ArtifactPath::parse(&longest).is_ok());
    let at_bound = "é/".repeat(341) + "a";
    assert_eq!(at_bound.len(), 1024);
    assert!(ArtifactPath::parse(&at_bound).is_ok());
    assert!(ArtifactPath::parse(&format!("{at_bound}a")).is_err());
    assert!(ArtifactPath::parse(&"é".repeat(127)).is_ok(), "254 bytes");
    assert!(ArtifactPath::parse(&"é".repeat(128)).is_err(), "the bound counts bytes");
    for c in (0..=0x1f).chain(0x7f..=0x9f) {
        let c = char::from_u32(c).unwrap();
        assert!(ArtifactPath::parse(&format!("a{c}b")).is_err(), "{c:?}");
    }
}

#[test]
fn a_list_holds_no_two_names_of_one_file() {
    for twins in [
        ["a", "a"],
        ["README.md", "readme.MD"],
        ["straße", "STRASSE"],
        ["ﬁle", "file"],
        ["É", "é"],
        ["dir/ſ", "DIR/s"],
        ["Ω", "\u{3c9}"],
    ] {
        assert!(matches!(list(&twins), Err(ListError::Twins(..))), "{twins:?}");
    }
    for clash in [["a", "a/b"], ["A", "a/b/c"], ["x/É", "x/é/y"]] {
        assert!(matches!(list(&clash), Err(ListError::FileAndDirectory(_))), "{clash:?}");
    }
    for good in [["a", "ab/c"], ["a.b", "a/b"], ["a/b", "a/c"], ["a-b", "a/b"]] {
        assert!(list(&good).is_ok(), "{good:?}");
    }
    // Every neighbour in byte order sorts between the file and its contents.
    let crowd =
        ["a", "a!", "a-", "a.", "a/b", "a0"].map(|path| if path == "a." { "a.b" } else { path });
    assert!(matches!(list(&crowd), Err(ListError::FileAndDirectory(path)) if path.as_str() == "a"));
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![".{0,40}", "[a-zA-Z./: \\\\\u{301}é]{0,12}", "([a-c]{1,2}/){0,3}[a-cA-C.]{1,3}"]
}

proptest! {
    /// An accepted path stays below its directory, is one name, and is unchanged.
    #[test]
    fn a_path_is_accepted_unchanged_or_refused(text in name()) {
        if let Ok(path) = ArtifactPath::parse(&text) {
            prop_assert_eq!(path.as_str(), &text);
            prop_assert!(path.components().all(|part| !matches!(part, "" | "." | "..")));
            prop_assert!(path
                .components()
                .all(|part| std::path::Path::new(part).components().count() == 1));
            prop_assert!(std::path::Path::new(&text).is_relative());
            prop_assert_eq!(path.components().last(), Some(path.file_name()));
            prop_assert_eq!(ArtifactPath::parse(path.as_str()).unwrap(), path);
        }
    }

    /// Equivalent paths are found whichever way case is folded.
    #[test]
    fn names_that_fold_alike_clash(text in "\\PC{1,12}") {
        let Ok(path) = ArtifactPath::parse(&text) else { return Ok(()) };
        for folded in [text.to_lowercase(), text.to_uppercase()] {
            if let Ok(folded) = ArtifactPath::parse(&folded) {
                prop_assert_eq!(folded.twin_key(), path.twin_key());
            }
        }
    }

    #[test]
    fn a_list_takes_any_set_of_paths_or_says_why(
        paths in proptest::collection::vec("([a-cA-C]{1,2}/){0,2}[a-cA-C]{1,2}", 1..8)) {
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        let folded: Vec<String> = paths.iter().map(|path| path.to_lowercase()).collect();
        let one_file = folded.iter().enumerate().any(|(at, one)| {
            folded.iter().enumerate().any(|(other_at, other)| {
                at != other_at && (one == other || other.starts_with(&format!("{one}/")))
            })
        });
        match list(&paths) {
            Ok(list) => {
                prop_assert!(!one_file);
                let (encoded, claim) = list.encode().unwrap();
                prop_assert_eq!(ArtifactList::decode(&encoded, &claim).unwrap(), list);
            }
            Err(_) => prop_assert!(one_file),
        }
    }

    #[test]
    fn arbitrary_lists_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(ArtifactList::decode(&bytes, &claim_of(&bytes)).is_err());
    }

    /// A damaged list is refused, or is another list with one encoding, and thus another name.
    #[test]
    fn a_corrupted_list_is_another_or_refused(at in any::<prop::sample::Index>(), xor in 1u8..) {
        let (mut encoded, claim) = list(&["a/b", "c"]).unwrap().encode().unwrap();
        let at = at.index(encoded.len());
        encoded[at] ^= xor;
        if let Ok(read) = ArtifactList::decode(&encoded, &claim) {
            prop_assert_eq!(read.encode().unwrap().0, encoded);
        }
    }

    #[test]
    fn a_selector_is_read_back_as_it_is_shown(text in prop_oneof![
        name(), "[a-f0-9]{1,64}", "[a-z@/]{1,12}", "(blake3|sha256):[a-f0-9]{0,64}",
        "pkg:[a-z/@?#%]{0,20}"]) {
        if let Ok(selector) = text.parse::<Selector>() {
            prop_assert_eq!(selector.to_string().parse::<Selector>().unwrap(), selector);
        }
    }

    #[test]
    fn a_purl_has_one_text(text in prop_oneof![
        "pkg:[a-z]{1,6}/[ -~]{0,30}",
        "pkg:[a-zA-Z.+-]{1,6}/\\PC{0,20}", "pkg:(docker|generic)/[%@?#/=&+.:a0F2-]{1,16}"]) {
        if let Ok(purl) = Purl::parse(&text) {
            prop_assert_eq!(&Purl::parse(purl.as_str()).unwrap(), &purl);
            prop_assert!(Purl::try_from(purl.to_string()).is_ok_and(|again| again == purl));
            prop_assert!(!purl.name().is_empty());
        }
    }
}
