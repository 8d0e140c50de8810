//! Checksum files: found under every name that release tools give them, read whatever is in them,
//! and never passed over in silence.

use std::time::Duration;

use perennial_import::{ImportError, Imported};
use sha2::{Digest, Sha256};

use crate::web::{Here, Reply, Web, artifact, bytes, hex, import};

fn sha256(bytes: &[u8]) -> String {
    hex(Sha256::digest(bytes))
}

/// Imports, and fails if that does not end.
async fn ends(here: &Here, urls: Vec<String>) -> Result<Imported, ImportError> {
    let import = import(here, urls);
    tokio::time::timeout(Duration::from_secs(60), import).await.expect("the import does not end")
}

#[tokio::test]
async fn a_checksum_file_is_added_like_any_other_and_counts_for_the_files_beside_it() {
    let file = bytes(1000);
    for (right, text) in [(true, sha256(&file)), (false, sha256(b"other"))] {
        for list in ["SHA256SUMS", "checksums.txt", "a_1.0_checksums.txt"] {
            let (body, sums) = (file.clone(), format!("{text}  a_1.0.tgz\n"));
            let sent = sums.clone();
            let web = Web::start(move |asked| match asked.path.trim_start_matches("/d/") {
                "a_1.0.tgz" => Reply::ok(body.clone()),
                name if name == list => Reply::ok(sent.clone()),
                _ => Reply::status(404),
            })
            .await;
            let [of_file, of_list] = ["a_1.0.tgz", list].map(|name| web.url(&format!("/d/{name}")));
            let alone = Here::new();
            let got = ends(&alone, vec![of_list.clone()]).await.unwrap();
            assert!(alone.holds(artifact(&got.drafts[0], list), sums.as_bytes()), "{list}");
            assert_eq!((got.failed.len(), got.unchecked.len()), (0, 0), "{list}");
            for urls in [vec![of_file.clone(), of_list.clone()], vec![of_list, of_file]] {
                let here = Here::new();
                match ends(&here, urls).await {
                    Ok(got) => {
                        assert!(right && got.failed.is_empty(), "{list}: {got:?}");
                        assert_eq!(got.drafts[0].artifacts.len(), 2, "{list}");
                    }
                    Err(error) => {
                        assert!(!right && matches!(error, ImportError::Mismatch { .. }), "{error}");
                    }
                }
                assert!(here.incoming().is_empty(), "{:?}", here.incoming());
            }
        }
    }
}

#[tokio::test]
async fn imports_that_want_each_others_checksum_files_end() {
    let web = Web::files([
        ("/a.bin", bytes(10)),
        ("/b.bin", bytes(11)),
        ("/SHA256SUMS", format!("{}  c\n", sha256(b"")).into()),
        ("/checksums.txt", format!("{}  d\n", sha256(b"")).into()),
    ])
    .await;
    let here = Here::new();
    let all = |paths: [&str; 3]| paths.map(|path| web.url(path)).to_vec();
    let (one, other) = futures::join!(
        ends(&here, all(["/a.bin", "/checksums.txt", "/SHA256SUMS"])),
        ends(&here, all(["/b.bin", "/SHA256SUMS", "/checksums.txt"])),
    );
    for got in [one.unwrap(), other.unwrap()] {
        assert_eq!((got.drafts[0].artifacts.len(), got.failed.len()), (3, 0));
    }
    assert!(here.incoming().is_empty(), "{:?}", here.incoming());
}

#[tokio::test]
async fn a_line_with_a_damaged_digest_is_named() {
    let file = bytes(10);
    let short = sha256(&file)[1..].to_owned();
    for (path, text, line) in [
        ("/a.tgz.sha256", format!("{short}  a.tgz\n"), "line 1"),
        ("/SHA256SUMS", format!("{}  b.tgz\n{short} *./dist/a.tgz\r\n", sha256(b"b")), "line 2"),
    ] {
        let web = Web::files([("/a.tgz", file.clone()), (path, text.into())]).await;
        let got = ends(&Here::new(), vec![web.url("/a.tgz")]).await.unwrap();
        assert_eq!(got.unchecked.len(), 1, "{path}: {got:?}");
        let said = &got.unchecked[0];
        let why = format!("{line} has 63 digits, where a SHA-256 has 64");
        assert!(said.what == web.url(path) && said.reason.contains(&why), "{said:?}");
        assert!(got.drafts[0].notes.as_deref().unwrap_or_default().contains(&why));
    }
}

#[tokio::test]
async fn lists_of_release_tools_are_found_and_compared() {
    for (folder, name, list) in [
        ("/v1.2.3", "tool_1.2.3_linux_amd64.tar.gz", "tool_1.2.3_checksums.txt"),
        ("/download/v1.2.3", "tool_Linux_x86_64.tar.gz", "tool_1.2.3_checksums.txt"),
        ("/1.5.0", "terraform_1.5.0_linux_amd64.zip", "terraform_1.5.0_SHA256SUMS"),
        ("", "x.zip", "sha256sums.txt"),
    ] {
        let (file, at) = (format!("{folder}/{name}"), format!("{folder}/{list}"));
        let paths = (file.clone(), at.clone());
        let web = Web::start(move |asked| match &asked.path {
            path if *path == paths.0 => Reply::ok("what came"),
            path if *path == paths.1 => Reply::ok(format!("{}  {name}\n", sha256(b"other"))),
            _ => Reply::status(404),
        })
        .await;
        let error = ends(&Here::new(), vec![web.url(&file)]).await.unwrap_err();
        assert!(error.to_string().contains(&web.url(&at)), "{error}");
    }
}

#[tokio::test]
async fn a_token_of_a_url_opens_the_files_beside_it() {
    let file = bytes(10);
    let token = "?token=c2VjcmV0LXNlY3JldC1zZWNyZXQ";
    // A server that wants the token for every file, one whose checksums are open to all, and one
    // whose query names the file.
    for (query, of_list) in [(token, token), (token, ""), ("?id=7", "")] {
        let body = file.clone();
        let web = Web::start(move |asked| match asked.path.split_at(6) {
            ("/a.tgz", rest) if rest == query => Reply::ok(body.clone()),
            ("/a.tgz", rest) if *rest == format!(".sha256{of_list}") => Reply::ok(sha256(b"other")),
            _ => Reply::status(403),
        })
        .await;
        let url = web.url(&format!("/a.tgz{query}"));
        let error = ends(&Here::new(), vec![url]).await.unwrap_err();
        assert!(matches!(error, ImportError::Mismatch { .. }), "{query}: {error}");
        assert!(!error.to_string().contains("c2Vjc"), "{error}");
        assert_eq!(web.asked(&format!("/a.tgz.sha256{query}")).len(), usize::from(query == token));
    }
}
