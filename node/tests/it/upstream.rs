//! An upstream that later serves other bytes, a web page, or nothing: the name keeps the bytes that
//! were archived.

use std::sync::{Arc, Mutex};

use perennial_control::{ErrorKind, Failure, Import, ImportEvent, ImportSource};
use perennial_manifest::{BlobId, Body, Purl, ReleaseId, Verdict};
use perennial_store::{OpenOptions, Store};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::machine::Machine;

/// Serves `/f.tgz` and `/g.tgz` with the current answer, and everything else with 404.
async fn web(answers: Arc<Mutex<(String, Vec<u8>)>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a client");
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.expect("a request"));
            }
            let (status, body) =
                match head.starts_with(b"GET /f.tgz ") || head.starts_with(b"GET /g.tgz ") {
                    true => answers.lock().expect("not poisoned").clone(),
                    false => ("404 Not Found".to_owned(), Vec::new()),
                };
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            stream.write_all(head.as_bytes()).await.expect("sent");
            stream.write_all(&body).await.expect("sent");
        }
    });
    url
}

async fn import(node: &Machine, urls: Vec<String>) -> Result<ReleaseId, Failure> {
    let purl = Purl::parse("pkg:generic/thing@1").expect("a purl");
    let request = Import {
        source: ImportSource::Urls { urls, purl, html: false, file_name: None },
        license: Some("MIT".into()),
        kind: None,
        notes: None,
        again: false,
        keep_query: false,
        allow_private: true,
        plain_http: false,
        environment: None,
        tries: None,
    };
    let (_, rows) = node.ask(request).await?;
    let released = rows.into_iter().find_map(|row| match row {
        ImportEvent::Published(row) => Some(row.release),
        _ => None,
    });
    Ok(released.expect("a release"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_upstream_does_not_change_what_a_name_means() {
    let answers = Arc::new(Mutex::new(("200 OK".to_owned(), b"the first".to_vec())));
    let (url, node) = (web(Arc::clone(&answers)).await, Machine::start(&[], &[]).await);
    let f = format!("{url}/f.tgz");
    let first = import(&node, vec![f.clone()]).await.expect("added");
    import(&node, vec![f.clone()]).await.expect("the same again is nothing new");
    for (status, body, code) in [
        ("200 OK", "the other", ErrorKind::Verification),
        ("200 OK", "<!DOCTYPE html><title>Sorry</title>", ErrorKind::Verification),
        ("404 Not Found", "", ErrorKind::NotFound),
        ("410 Gone", "", ErrorKind::NotFound),
    ] {
        *answers.lock().expect("not poisoned") = (status.to_owned(), body.into());
        let refused = import(&node, vec![f.clone()]).await.expect_err(body);
        assert_eq!(refused.code, code, "{refused:?}");
        assert!(refused.message.contains("still means"), "{refused:?}");
        let out = node.dir.path().join("out");
        let _ = std::fs::remove_dir_all(&out);
        node.get("thing@1", Some(out.clone())).await.expect("it is held");
        assert_eq!(
            std::fs::read(out.join("f.tgz")).expect("a file"),
            b"the first",
            "{status} {body}"
        );
    }
    let dir = node.stop().await;
    let store = Store::open(&dir.path().join("data"), OpenOptions::default())
        .expect("no other process uses it");
    assert!(store.blob_size(&BlobId::of(b"the first")).expect("read").is_some());
    assert!(store.entry(&first.entry()).expect("read").is_some(), "the first release stays");
    let entries =
        store.times(None).expect("read").into_iter().map(|(_, id)| store.entry(&id).expect("read"));
    let mut seen: Vec<_> = entries
        .filter_map(|signed| match &signed.expect("an entry").entry().body {
            Body::Observation(seen) if seen.url == f => Some((seen.verdict, seen.blake3)),
            _ => None,
        })
        .collect();
    seen.sort_by_key(|(verdict, blob)| (format!("{verdict:?}"), *blob));
    let (same, other) = (Some(BlobId::of(b"the first")), Some(BlobId::of(b"the other")));
    assert_eq!(
        seen,
        [
            (Verdict::Changed, None),
            (Verdict::Changed, other),
            (Verdict::Gone, None),
            (Verdict::Gone, None),
            (Verdict::Same, same),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_gone_does_not_make_the_release_smaller() {
    let answers = Arc::new(Mutex::new(("200 OK".to_owned(), b"the first".to_vec())));
    let (url, node) = (web(Arc::clone(&answers)).await, Machine::start(&[], &[]).await);
    let other = web(Arc::new(Mutex::new(("200 OK".to_owned(), b"the second".to_vec())))).await;
    let both = vec![format!("{url}/f.tgz"), format!("{other}/g.tgz")];
    let first = import(&node, both.clone()).await.expect("added");
    *answers.lock().expect("not poisoned") = ("404 Not Found".to_owned(), Vec::new());
    let refused = import(&node, both).await.expect_err("a half");
    assert!(refused.message.contains(&first.to_string()), "{refused:?}");
    // Another file of the same name, from another URL.
    *answers.lock().expect("not poisoned") = ("200 OK".to_owned(), b"the third".to_vec());
    let refused = import(&node, vec![format!("{url}/g.tgz")]).await.expect_err("another g.tgz");
    assert_eq!(refused.code, ErrorKind::Verification, "{refused:?}");
}
