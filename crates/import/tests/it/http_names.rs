//! Names of web files, and the checksums and signatures imported with them.

use std::io::Write;

use perennial_import::{ImportError, Urls, urls};
use perennial_manifest::{ArtifactPath, Role};
use sha2::{Digest, Sha256, Sha512};

use crate::web::{Here, Reply, Seen, Web, artifact, bytes, hex, import, private, what};

/// A text with every byte percent-encoded.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

fn sha256(bytes: &[u8]) -> String {
    hex(Sha256::digest(bytes))
}

#[tokio::test]
async fn checksums_and_signatures_beside_a_file_come_along() {
    let (a, b) = (bytes(100_000), bytes(5));
    let sums = format!("{}  a.tgz\n{} *sub/b.tgz\n", sha256(&a), sha256(&b));
    let sha512 = hex(Sha512::digest(&a));
    let web = Web::files([
        ("/d/a.tgz?raw=1", a.clone()),
        ("/d/b.tgz", b.clone()),
        ("/d/SHA256SUMS", sums.clone().into()),
        ("/d/checksums.txt", "says nothing of them".into()),
        ("/d/a.tgz.sha256", sha256(&a).into()),
        ("/d/a.tgz.sha512", format!("{sha512}  a.tgz").into()),
        ("/d/a.tgz.asc", "-----BEGIN PGP SIGNATURE-----".into()),
        ("/d/b.tgz.asc", "not found".into()),
        ("/d/a.tgz.sig", vec![0x89, 1, 0x33, 4, 0]),
        ("/d/b.tgz.sig", "404 page not found".into()),
        ("/d/b.tgz.sha256", "no such file".into()),
        ("/d/a.tgz.minisig", "untrusted comment: x\n".into()),
        ("/d/a.tgz.sigstore.json", "{\"mediaType\":\"x\"}".into()),
        ("/d/b.tgz.sigstore.json", "[]".into()),
        ("/e/c.tgz", bytes(6)),
        ("/e/SHA256SUMS", format!("{}  c.tgz\n", sha256(&bytes(6))).into()),
    ])
    .await;
    let here = Here::new();
    let got = import(&here, [web.url("/d/a.tgz?raw=1"), web.url("/d/b.tgz"), web.url("/e/c.tgz")])
        .await
        .unwrap();
    let draft = &got.drafts[0];
    let mut found: Vec<_> = draft.artifacts.iter().map(|a| (a.path.as_str(), a.role)).collect();
    found.sort_unstable();
    assert_eq!(
        found,
        [
            ("SHA256SUMS", Role::Checksums),
            ("a.tgz", Role::Binary),
            ("a.tgz.asc", Role::Signature),
            ("a.tgz.minisig", Role::Signature),
            ("a.tgz.sha256", Role::Checksums),
            ("a.tgz.sha512", Role::Checksums),
            ("a.tgz.sig", Role::Signature),
            ("a.tgz.sigstore.json", Role::Signature),
            ("b.tgz", Role::Binary),
            ("c.tgz", Role::Binary),
            ("c.tgz.SHA256SUMS", Role::Checksums),
        ]
    );
    assert!(here.holds(artifact(draft, "SHA256SUMS"), sums.as_bytes()));
    assert_eq!(artifact(draft, "a.tgz.sig").origins, [web.url("/d/a.tgz.sig")]);
    assert_eq!(draft.observations.len(), 3);
    assert_eq!(web.asked("/d/SHA256SUMS").len(), 1);
    // Rejected responses under the names of checksums and signatures are noted.
    let notes = draft.notes.as_deref().unwrap_or_default();
    for (what, path) in [
        ("signature", "/d/b.tgz.asc"),
        ("signature", "/d/b.tgz.sig"),
        ("file of checksums", "/d/b.tgz.sha256"),
        ("bundle of Sigstore", "/d/b.tgz.sigstore.json"),
        ("file of checksums", "/d/checksums.txt"),
    ] {
        let line = format!("Left out, because it is no {what}: {}", web.url(path));
        assert!(notes.lines().any(|noted| noted == line), "{line} is not in {notes}");
    }
    assert_eq!((notes.lines().count(), got.failed.len()), (5, 0), "{notes}");
    assert!(here.incoming().is_empty(), "{:?}", here.incoming());
}

#[tokio::test]
async fn a_checksum_that_differs_ends_the_import() {
    let a = bytes(100_000);
    let sha512 = hex(Sha512::digest(b"other"));
    let cases = [
        ("/a.tgz.sha256", sha256(b"other")),
        ("/a.tgz.sha512", format!("{sha512}  a.tgz")),
        ("/SHA256SUMS", format!("{}  a.tgz", sha256(b"other"))),
        ("/checksums.txt", format!("SHA256 (a.tgz) = {}", sha256(b"other"))),
    ];
    for (path, text) in cases {
        let web =
            Web::files([("/a.tgz", a.clone()), (path, text.into()), ("/z.tgz", bytes(3))]).await;
        let here = Here::new();
        let error = import(&here, [web.url("/z.tgz"), web.url("/a.tgz")]).await.unwrap_err();
        assert!(matches!(error, ImportError::Mismatch { .. }), "{path}: {error:?}");
        assert!(error.to_string().contains(&web.url(path)), "{error}");
    }
}

#[tokio::test]
async fn a_checksum_counts_whatever_wrote_it_and_however_it_is_sent() {
    let other = sha256(b"other");
    let spaced: String = other.as_bytes().chunks(8).fold(String::new(), |text, word| {
        format!("{text} {}", String::from_utf8_lossy(word).to_uppercase())
    });
    let wide: Vec<u8> =
        format!("\u{feff}{other} *a.tgz\r\n").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let wider: Vec<u8> =
        format!("{other} *a.tgz").chars().map(u32::from).flat_map(u32::to_le_bytes).collect();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(format!("{other}  a.tgz\n").as_bytes()).unwrap();
    for text in [
        wider,
        packed.finish().unwrap(),
        format!("SHA2-256(a.tgz)= {other}\n").into_bytes(),
        format!("a.tgz:{spaced}\n").into_bytes(),
        format!("a.tgz: {other}\n").into_bytes(),
        format!("sha256:{other}\n").into_bytes(),
        wide,
    ] {
        for ending in [".sha256", ".sha256sum"] {
            let (text, beside) = (text.clone(), format!("/a.tgz{ending}"));
            let web = Web::start(move |asked| match asked.path.as_str() {
                "/a.tgz" => Reply::ok(bytes(10)),
                path if path == beside => {
                    Reply::ok(text.clone()).header("content-type", "text/html")
                }
                _ => Reply::status(404),
            })
            .await;
            let error = import(&Here::new(), [web.url("/a.tgz")]).await.unwrap_err();
            assert!(matches!(error, ImportError::Mismatch { .. }), "{error:?}");
        }
    }
}

#[tokio::test]
async fn a_checksum_file_that_says_nothing_comparable_is_kept_and_named() {
    let hex = sha256(b"other");
    let page = format!("<!DOCTYPE html><pre>{hex}  d.tgz</pre>");
    let web = Web::files([
        ("/a.tgz", bytes(1)),
        ("/a.tgz.sha256", format!("BLAKE3 (a.tgz) = {hex}\n").into()),
        ("/b.tgz", bytes(2)),
        ("/b.tgz.sha512", format!("{hex}  x.tgz\n{hex}  y.tgz\n").into()),
        ("/d.tgz", bytes(3)),
        ("/d.tgz.sha256", page.into()),
        ("/e.tgz", bytes(4)),
        ("/e.tgz.sha256", format!("<!DOCTYPE html><title>{hex}</title>").into()),
    ])
    .await;
    let paths = ["/a.tgz", "/b.tgz", "/d.tgz", "/e.tgz"];
    let got = import(&Here::new(), paths.map(|path| web.url(path))).await.unwrap();
    let named: Vec<_> = got.unchecked.iter().map(|row| row.what.as_str()).collect();
    let expected = ["/a.tgz.sha256", "/b.tgz.sha512", "/d.tgz.sha256"].map(|path| web.url(path));
    assert_eq!((named, got.failed.len()), (expected.iter().map(String::as_str).collect(), 0));
    let draft = &got.drafts[0];
    for kept in ["a.tgz", "a.tgz.sha256", "b.tgz", "b.tgz.sha512", "d.tgz", "e.tgz"] {
        artifact(draft, kept);
    }
    assert_eq!(draft.artifacts.len(), 6);
    let notes = draft.notes.as_deref().unwrap_or_default();
    assert_eq!(notes.matches("perennial/not-checked: ").count(), 3, "{notes}");
}

#[tokio::test]
async fn a_checksum_file_of_no_known_form_is_kept_and_named() {
    let digits = sha256(b"other");
    let forms: [(&str, Vec<u8>); 6] = [
        ("empty", Vec::new()),
        ("raw", (0..32).map(|byte| byte * 7).collect()),
        ("short", digits[..63].into()),
        ("sha1", format!("{}  f.tgz\n", &digits[..40]).into()),
        ("md5", format!("{}  f.tgz\n", &digits[..32]).into()),
        ("broken", b"\x1f\x8b\x08\x00broken".to_vec()),
    ];
    for (form, text) in forms {
        for beside in ["/f.tgz.sha256", "/f.tgz.sha512sum", "/SHA256SUMS", "/checksums.txt"] {
            let web = Web::files([("/f.tgz", bytes(10)), (beside, text.clone())]).await;
            let here = Here::new();
            let got = import(&here, [web.url("/f.tgz")]).await.unwrap();
            let named: Vec<_> = got.unchecked.iter().map(|row| row.what.clone()).collect();
            assert_eq!(named, [web.url(beside)], "{form}, {beside}");
            let draft = &got.drafts[0];
            assert!(here.holds(artifact(draft, beside.trim_start_matches('/')), &text), "{form}");
            assert!(draft.notes.as_deref().unwrap().contains("perennial/not-checked: "));
        }
    }
    // A server that says the same for every name has none of these files.
    for always in [&b""[..], b"\x89PNG\x0d\x0a\x1a\x0a"] {
        let web = Web::start(move |asked| match asked.path.as_str() {
            "/f.tgz" => Reply::ok(bytes(10)),
            _ => Reply::ok(always),
        })
        .await;
        let here = Here::new();
        let got = import(&here, [web.url("/f.tgz")]).await.unwrap();
        assert_eq!((got.unchecked, got.drafts[0].artifacts.len()), (Vec::new(), 1));
        assert!(here.incoming().is_empty(), "{:?}", here.incoming());
    }
}

#[tokio::test]
async fn an_unportable_name_becomes_its_last_part_and_matches_its_checksum() {
    for (given, name) in [
        ("../../etc/passwd", "passwd"),
        ("dist/linux/tool.tgz", "tool.tgz"),
        ("C:\\build\\tool.tgz", "tool.tgz"),
        ("tool 10:30.tgz", "tool 10_30.tgz"),
        ("con", "_con"),
        ("..", "f.bin"),
        ("dir/", "f.bin"),
        ("te\u{301}.tgz", "té.tgz"),
    ] {
        let header = format!("attachment; filename*=UTF-8''{}", encoded(given));
        let web = Web::start(move |asked| match asked.path.as_str() {
            "/f.bin" => Reply::ok(bytes(10)).header("content-disposition", &header),
            _ => Reply::status(404),
        })
        .await;
        let got = import(&Here::new(), [web.url("/f.bin")]).await.unwrap();
        artifact(&got.drafts[0], name);
    }
    let other = sha256(b"other");
    let web = Web::start(move |asked| match asked.path.as_str() {
        "/SHA256SUMS" => Reply::ok(format!("{other}  vim_2:8.2_amd64.deb\n")),
        path if path.contains(".deb.") => Reply::status(404),
        _ => Reply::ok(bytes(10)),
    })
    .await;
    for (path, name) in [
        ("/x/..%2f..%2fpasswd", "passwd"),
        ("/x/%2e%2e%5cy", "y"),
        ("/x/a%00b", "a%00b"),
        ("/x/vim_2%3a8.2_amd64.deb", "vim_2%3a8.2_amd64.deb"),
    ] {
        let got = import(&Here::new(), [web.url(path)]).await.unwrap();
        artifact(&got.drafts[0], name);
    }
    import(&Here::new(), [web.url("/vim_2%3a8.2_amd64.deb")]).await.unwrap_err();
    import(&Here::new(), [web.url("/")]).await.unwrap_err();
    let named = Urls {
        file_name: Some(ArtifactPath::parse("own.bin").unwrap()),
        ..what([web.url("/?id=7")])
    };
    let here = Here::new();
    let got = urls(&here.store, &private(), &named, &Seen::default()).await.unwrap();
    artifact(&got.drafts[0], "own.bin");
    let web = Web::start(|asked| match asked.path.as_str() {
        "/f" => Reply::ok(bytes(10))
            .header("content-disposition", "attachment; filename*=UTF-8''t%C3%A9.tgz"),
        _ => Reply::status(404),
    })
    .await;
    let got = import(&Here::new(), [web.url("/f")]).await.unwrap();
    artifact(&got.drafts[0], "té.tgz");
}

#[tokio::test]
async fn two_files_of_one_name_are_one_only_with_the_same_bytes() {
    let web =
        Web::files([("/a/f.tgz", bytes(10)), ("/b/f.tgz", bytes(10)), ("/c/F.tgz", bytes(11))])
            .await;
    let got = import(&Here::new(), ["/a/f.tgz", "/b/f.tgz", "/c/F.tgz"].map(|path| web.url(path)))
        .await
        .unwrap();
    let draft = &got.drafts[0];
    assert_eq!(draft.artifacts.len(), 1);
    assert_eq!(draft.artifacts[0].origins, [web.url("/a/f.tgz"), web.url("/b/f.tgz")]);
    assert_eq!(got.failed.len(), 1);
    assert_eq!(got.failed[0].what, web.url("/c/F.tgz"));
}

#[tokio::test]
async fn an_endless_signature_is_not_kept() {
    let web = Web::start(|asked| match asked.path.as_str() {
        "/f.tgz" => Reply::ok(bytes(10)),
        "/f.tgz.sig" => Reply::ok("").endless(),
        "/f.tgz.sha256" => Reply::ok(vec![b'z'; 5 << 20]),
        _ => Reply::status(404),
    })
    .await;
    let here = Here::new();
    let got = import(&here, [web.url("/f.tgz")]).await.unwrap();
    assert_eq!(got.drafts[0].artifacts.len(), 1);
    assert!(here.incoming().is_empty());
}
