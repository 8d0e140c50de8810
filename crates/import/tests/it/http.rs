//! Files from the web, from a server that behaves and from servers that do not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use perennial_import::{ImportError, Options, Urls, urls};
use perennial_manifest::{Role, Verdict};
use sha2::{Digest, Sha256};

use crate::web::{Here, Reply, Seen, Web, artifact, bytes, hex, import, private, what};

const ETAG: &str = "\"one\"";

#[tokio::test]
async fn a_file_is_kept_byte_for_byte_with_its_observation() {
    let body = bytes(300_000);
    let sent = body.clone();
    let web = Web::start(move |asked| match asked.path.as_str() {
        "/old/tool.bin?v=1" => Reply::status(302).header("location", "/new/tool-1.bin"),
        "/new/tool-1.bin" => Reply::ok(sent.clone())
            .header("etag", "W/\"weak\"")
            .header("last-modified", "Mon, 01 Jan 2024 00:00:00 GMT")
            .header("content-type", "Application/X-Tool; q=1")
            .header("content-encoding", "gzip"),
        "/readme.md" => Reply::ok("# Read me"),
        _ => Reply::status(404),
    })
    .await;
    let here = Here::new();
    let with_secret = web.url("/old/tool.bin?v=1#part").replace("http://", "http://me:secret@");
    let seen = Seen::default();
    let wanted = what([with_secret.clone(), with_secret, web.url("/readme.md")]);
    let got = urls(&here.store, &private(), &wanted, &seen).await.unwrap();
    assert!(got.failed.is_empty(), "{:?}", got.failed);
    let draft = &got.drafts[0];
    let tool = artifact(draft, "tool.bin");
    assert!(here.holds(tool, &body));
    assert_eq!((tool.role, tool.media_type.as_str()), (Role::Binary, "application/x-tool"));
    assert_eq!(tool.origins, [web.url("/old/tool.bin?v=1"), web.url("/new/tool-1.bin")]);
    assert_eq!(draft.from, tool.origins[0]);
    let readme = artifact(draft, "readme.md");
    assert_eq!((readme.role, readme.origins.len()), (Role::Doc, 1));
    assert_eq!((draft.artifacts.len(), draft.observations.len()), (2, 2));
    let observed = &draft.observations[0];
    assert_eq!((observed.url.as_str(), observed.status), (tool.origins[0].as_str(), Some(200)));
    assert_eq!(observed.etag.as_deref(), Some("W/\"weak\""));
    assert_eq!(observed.last_modified.as_deref(), Some("Mon, 01 Jan 2024 00:00:00 GMT"));
    assert_eq!((observed.size, observed.verdict), (Some(tool.size), Verdict::Same));
    assert_eq!((observed.blake3, observed.sha256), (Some(tool.blake3), Some(tool.sha256)));
    assert!(observed.fetched_at > 1_700_000_000);
    assert_eq!(got.new_bytes, tool.size + readme.size);
    assert!(here.incoming().is_empty(), "{:?}", here.incoming());
    assert!(seen.last.lock().unwrap().bytes >= tool.size);
    // The secret goes to no host but its own.
    assert!(web.asked("/old/tool.bin?v=1")[0].header("authorization").is_some());
}

#[tokio::test]
async fn credentials_and_signatures_of_urls_are_not_signed() {
    let web = Web::start(|asked| match asked.path.as_str() {
        "/dl/x.bin?private_token=SECRET&s=abc&v=1" => {
            Reply::status(302).header("location", "/s3/x.bin?X-Amz-Signature=SECRET&n=2")
        }
        "/s3/x.bin?X-Amz-Signature=SECRET&n=2" => Reply::ok(bytes(1000)),
        "/gone?sig=SECRET" => Reply::status(302).header("location", "/none?sig=SECRET"),
        _ => Reply::status(404),
    })
    .await;
    let (file, gone) =
        (web.url("/dl/x.bin?private_token=SECRET&s=abc&v=1"), web.url("/gone?sig=SECRET"));
    let wanted = what([file.clone(), gone]);
    for keep_query in [false, true] {
        let here = Here::new();
        let options = Options { keep_query, ..private() };
        let got = urls(&here.store, &options, &wanted, &Seen::default()).await.unwrap();
        let draft = &got.drafts[0];
        let signed = if keep_query { file.clone() } else { web.url("/dl/x.bin?v=1") };
        assert_eq!(artifact(draft, "x.bin").origins, [signed.clone(), web.url("/s3/x.bin")]);
        assert_eq!((&draft.from, &draft.observations[0].url), (&signed, &signed));
        let notes = draft.notes.as_deref().unwrap();
        assert!(notes.contains(&format!("perennial/left-out: {}: ", web.url("/gone"))), "{notes}");
        let failed = format!("{:?} {notes}", got.failed);
        assert!(!failed.contains("SECRET"), "{failed}");
        let said = ["private_token", "s"].map(|part| {
            format!("not signed, as it may be a secret: `{part}` in the query, of {signed}")
        });
        assert_eq!(got.withheld, if keep_query { Vec::new() } else { said.to_vec() });
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, bytes).unwrap();
    packed.finish().unwrap()
}

#[tokio::test]
async fn unrequested_compression_is_undone_and_an_archive_is_kept() {
    let script = b"#!/bin/sh\n".repeat(100_000);
    let sum = hex(Sha256::digest(&script));
    let (packed, cut) = (gzip(&script), gzip(&script)[..200].to_vec());
    let page = gzip(b"<!DOCTYPE html><title>Sorry</title>");
    let sent = packed.clone();
    let web = Web::start(move |asked| {
        let gz = |body: &Vec<u8>| Reply::ok(body.clone()).header("content-encoding", "GZIP");
        match asked.path.as_str() {
            "/install.sh" | "/a.tgz" | "/b" => gz(&sent),
            "/cut.sh" => gz(&cut),
            "/page.sh" => gz(&page),
            "/kind" => gz(&sent).header("content-type", "application/x-gzip"),
            "/br.sh" => Reply::ok("x").header("content-encoding", "br"),
            "/install.sh.sha256" => Reply::ok(sum.clone()),
            _ => Reply::status(404),
        }
    })
    .await;
    let here = Here::new();
    let paths = ["/install.sh", "/a.tgz", "/kind", "/cut.sh", "/page.sh", "/br.sh"];
    let got = import(&here, paths.map(|path| web.url(path))).await.unwrap();
    let draft = &got.drafts[0];
    assert!(here.holds(artifact(draft, "install.sh"), &script));
    assert!(here.holds(artifact(draft, "a.tgz"), &packed));
    assert!(here.holds(artifact(draft, "kind"), &packed));
    let failed: Vec<_> = got.failed.iter().map(|failed| failed.reason.as_str()).collect();
    assert!(failed[0].contains("does not unpack") && failed[1].contains("page"), "{failed:?}");
    assert!(failed.len() == 3 && failed[2].contains("packs it with br"), "{failed:?}");
    assert!(here.incoming().is_empty(), "{:?}", here.incoming());
}

#[tokio::test]
async fn an_interrupted_transfer_resumes() {
    let body = bytes(3_000_000);
    let sent = body.clone();
    let web = Web::start(move |asked| match (asked.path.as_str(), asked.from()) {
        ("/f.bin", None) => Reply::ok(sent.clone()).header("etag", ETAG).cut(2_000_000),
        ("/f.bin", Some(from)) if asked.header("if-range") == Some(ETAG) => {
            Reply::rest(&sent, from).header("etag", ETAG)
        }
        _ => Reply::status(404),
    })
    .await;
    let here = Here::new();
    let got = import(&here, [web.url("/f.bin")]).await.unwrap();
    assert!(here.holds(artifact(&got.drafts[0], "f.bin"), &body));
    let asked = web.asked("/f.bin");
    assert_eq!(asked.len(), 2);
    assert!(asked[1].from().unwrap() > 1_000_000, "{:?}", asked[1].from());
}

#[tokio::test]
async fn a_file_that_changed_meanwhile_starts_over() {
    let (old, new) = (bytes(2_000_000), bytes(2_000_001));
    let sent = new.clone();
    let web = Web::start(move |asked| match (asked.path.as_str(), asked.before, asked.from()) {
        ("/f.bin", 0, None) => Reply::ok(old.clone()).header("etag", ETAG).cut(1_500_000),
        // A server that ignores `If-Range` and states another version of the file.
        ("/f.bin", 1, Some(from)) => Reply::rest(&sent, from).header("etag", "\"two\""),
        ("/f.bin", 2, None) => Reply::ok(sent.clone()).header("etag", "\"two\"").cut(1_500_000),
        // A server that honours it.
        ("/f.bin", 3, Some(_)) => Reply::ok(sent.clone()).header("etag", "\"three\""),
        _ => Reply::status(404),
    })
    .await;
    let here = Here::new();
    let got = import(&here, [web.url("/f.bin")]).await.unwrap();
    assert!(here.holds(artifact(&got.drafts[0], "f.bin"), &new));
    assert_eq!(web.asked("/f.bin")[3].header("if-range"), Some("\"two\""));
    assert_eq!(got.drafts[0].observations[0].etag.as_deref(), Some("\"three\""));
}

#[tokio::test]
async fn without_a_strong_validator_parts_are_not_joined() {
    let body = bytes(2_000_000);
    let sent = body.clone();
    let web = Web::start(move |asked| match (asked.path.as_str(), asked.before) {
        ("/f.bin", 0) => Reply::ok(sent.clone()).header("etag", "W/\"weak\"").cut(1_500_000),
        ("/f.bin", _) => Reply::ok(sent.clone()),
        _ => Reply::status(404),
    })
    .await;
    let here = Here::new();
    let got = import(&here, [web.url("/f.bin")]).await.unwrap();
    assert!(here.holds(artifact(&got.drafts[0], "f.bin"), &body));
    assert!(web.asked("/f.bin").iter().all(|asked| asked.from().is_none()));
}

#[tokio::test]
async fn a_cancelled_import_resumes() {
    let body = bytes(3_000_000);
    let sent = body.clone();
    let is_back = Arc::new(AtomicBool::new(false));
    let back = Arc::clone(&is_back);
    let web = Web::start(move |asked| match (asked.path.as_str(), asked.from()) {
        ("/f.bin", None) => Reply::ok(sent.clone()).header("etag", ETAG).cut(2_000_000),
        ("/f.bin", Some(from)) if back.load(Ordering::Relaxed) => {
            Reply::rest(&sent, from).header("etag", ETAG)
        }
        ("/f.bin", _) => Reply::status(503).header("retry-after", "60"),
        _ => Reply::status(404),
    })
    .await;
    let here = Here::new();
    let seen = Seen { cancel_after: Some(1_900_000), ..Seen::default() };
    let wanted = what([web.url("/f.bin")]);
    let error = urls(&here.store, &private(), &wanted, &seen).await.unwrap_err();
    assert!(matches!(error, ImportError::Cancelled), "{error:?}");
    is_back.store(true, Ordering::Relaxed);
    let got = import(&here, [web.url("/f.bin")]).await.unwrap();
    assert!(here.holds(artifact(&got.drafts[0], "f.bin"), &body));
    assert!(web.asked("/f.bin").iter().skip(1).all(|asked| asked.from() > Some(1_000_000)));
}

#[tokio::test]
async fn a_busy_server_is_retried_after_the_time_it_names() {
    let web = Web::start(|asked| match (asked.path.as_str(), asked.before) {
        ("/f.bin", 0) => Reply::status(429).header("retry-after", "2"),
        ("/f.bin", 1) => Reply::status(503),
        ("/f.bin", _) => Reply::ok(bytes(10)),
        ("/for-ever.bin", _) => Reply::status(429).header("retry-after", "86400"),
        ("/no.bin", _) => Reply::status(403),
        _ => Reply::status(404),
    })
    .await;
    let here = Here::new();
    let begun = std::time::Instant::now();
    let got = import(&here, [web.url("/f.bin"), web.url("/for-ever.bin"), web.url("/no.bin")])
        .await
        .unwrap();
    assert!(begun.elapsed() >= std::time::Duration::from_secs(2));
    assert!(here.holds(artifact(&got.drafts[0], "f.bin"), &bytes(10)));
    let failed: Vec<_> = got.failed.iter().map(|failed| (&failed.what, &failed.reason)).collect();
    assert_eq!(failed.len(), 2, "{failed:?}");
    assert!(failed[0].1.contains("429") && failed[1].1.contains("403"), "{failed:?}");
    assert_eq!((web.asked("/for-ever.bin").len(), web.asked("/no.bin").len()), (1, 1));
}

#[tokio::test]
async fn a_page_in_place_of_a_file_is_refused_unless_it_is_wanted() {
    let page = "<!DOCTYPE html><title>Sorry</title>";
    let web = Web::start(move |asked| match asked.path.as_str() {
        "/typed.tgz" => Reply::ok(bytes(10)).header("content-type", "text/html; charset=utf-8"),
        "/sniffed.tgz" => Reply::ok(page).header("content-type", "application/octet-stream"),
        "/page.html" => Reply::ok(page).header("content-type", "text/html"),
        // The answer for every missing path, checksum and signature files included.
        _ => Reply::ok(page),
    })
    .await;
    let here = Here::new();
    for path in ["/typed.tgz", "/sniffed.tgz"] {
        let error = import(&here, [web.url(path)]).await.unwrap_err();
        assert!(matches!(error, ImportError::Unfit { .. }), "{error:?}");
        assert!(error.to_string().contains("--html"), "{error}");
    }
    assert!(here.incoming().is_empty());
    let got = import(&here, [web.url("/page.html"), web.url("/sniffed.tgz")]).await.unwrap();
    assert_eq!((got.drafts[0].artifacts.len(), got.failed.len()), (1, 1));
    let wanted = Urls { html: true, ..what([web.url("/sniffed.tgz")]) };
    let got = urls(&here.store, &private(), &wanted, &Seen::default()).await.unwrap();
    assert!(here.holds(artifact(&got.drafts[0], "sniffed.tgz"), page.as_bytes()));
}

#[tokio::test]
async fn missing_files_and_forbidden_addresses_are_clear_errors() {
    let web = Web::files([]).await;
    let here = Here::new();
    let error = import(&here, [web.url("/f.tgz")]).await.unwrap_err();
    assert!(matches!(error, ImportError::Gone { .. }), "{error:?}");
    let wanted = what([web.url("/f.tgz")]);
    let error =
        urls(&here.store, &Options::default(), &wanted, &Seen::default()).await.unwrap_err();
    assert!(matches!(error, ImportError::Private(_)), "{error:?}");
    assert_eq!(web.asked("/f.tgz").len(), 1);
    let error = import(&here, ["https://nobody.invalid/f.tgz".to_owned()]).await.unwrap_err();
    assert!(error.to_string().contains("there is no host nobody.invalid"), "{error}");
    for wrong in ["ftp://a.test/x", "file:///etc/passwd", "nonsense"] {
        let error = import(&here, [wrong.to_owned()]).await.unwrap_err();
        assert!(matches!(error, ImportError::Usage(_)), "{error:?}");
    }
    assert!(import(&here, []).await.is_err());
}

#[tokio::test]
async fn two_imports_of_one_url_at_once_do_not_harm_each_other() {
    let body = bytes(5_000_000);
    let sent = body.clone();
    let web = Web::start(move |asked| match asked.path.as_str() {
        "/f.bin" => Reply::ok(sent.clone()).header("etag", ETAG),
        _ => Reply::status(404),
    })
    .await;
    let here = Here::new();
    let (a, b) =
        tokio::join!(import(&here, [web.url("/f.bin")]), import(&here, [web.url("/f.bin")]));
    for got in [a.unwrap(), b.unwrap()] {
        assert!(here.holds(artifact(&got.drafts[0], "f.bin"), &body));
    }
    assert!(here.incoming().is_empty(), "{:?}", here.incoming());
}
