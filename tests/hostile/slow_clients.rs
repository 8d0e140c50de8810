//! 300 HTTP clients take all connections: some never finish their question, some do not read the
//! answer, some ask again and again for what nobody holds. Each comes back when it is cut off.
//!
//! Whoever asks for what is held is answered.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use perennial_tests::{Daemon, add, field, perennial, write_tree};

use crate::cluster::liar::genesis;

const CLIENTS: usize = 300;
/// How long an answer may take on a busy machine; alone it takes milliseconds.
const SOON: Duration = Duration::from_secs(5);

/// One client, again and again.
async fn client(http: String, n: usize, absent: String, large: String) {
    let question = match n % 3 {
        0 => "GET / HTTP/1.1\r\nX: ".to_owned(),
        1 => format!("GET {large} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        _ => format!("GET {absent} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    };
    loop {
        let Ok(mut stream) = TcpStream::connect(&http).await else { continue };
        let mut some = [0; 512];
        while stream.write_all(question.as_bytes()).await.is_ok() {
            match n % 3 {
                // Says no more than that, and waits to be cut off.
                0 | 1 => tokio::time::sleep(Duration::from_secs(2)).await,
                _ if stream.read(&mut some).await.is_ok_and(|read| read > 0) => {}
                _ => break,
            }
            if n % 3 == 1 && stream.read_exact(&mut some[..1]).await.is_err() {
                break;
            }
        }
    }
}

/// The status of an answer, its head and the first bytes of its body.
async fn ask(http: &str, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(http).await?;
    let question = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(question.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(4096).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[test]
fn three_hundred_clients_keep_nobody_waiting() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    let node = Daemon::start(&at("node"), &["--http", "127.0.0.1:0"]);
    let source = write_tree(&at("src"), 53, &[8_000_000, 10]);
    let added = add(node.data(), &source, "tool", "1");
    let shown = perennial(node.data(), &["show", field(&added, "release")]).ok().json();
    let blob = |n: usize| format!("/b/{}", field(&shown["files"][n], "blake3"));
    let (large, small) = (blob(0), blob(1));
    // A release whose list no peer has.
    let nowhere = perennial_manifest::BlobId::of(b"nowhere");
    let list = perennial_manifest::ArtifactListRef { blob: nowhere, count: 1, bytes: 1, size: 60 };
    let absent = format!("/r/{}/x", genesis([7; 32], "pkg:generic/gone@1", list).id().to_hex());

    let http = node.http.clone().expect("it serves HTTP");
    let runtime = Runtime::new().expect("a runtime");
    for n in 0..CLIENTS {
        runtime.spawn(client(http.clone(), n, absent.clone(), large.clone()));
    }
    let mut slowest = Duration::ZERO;
    for path in ["/healthz", &small, "/v2/"].into_iter().cycle().take(12) {
        let began = Instant::now();
        let answer = runtime.block_on(async { tokio::time::timeout(SOON, ask(&http, path)).await });
        let answer = answer.unwrap_or_else(|_| panic!("{path}: no answer within {SOON:?}"));
        let answer = answer.expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        slowest = slowest.max(began.elapsed());
    }
    println!("the slowest answer took {slowest:?}");
    drop(runtime);
    assert!(!node.log().contains("panicked"), "{}", node.log());
}
