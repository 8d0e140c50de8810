//! Connections over loopback: limits, TLS, shutdown.

mod crowd;

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::uri::Scheme;
use axum::routing::get;
use axum::{Extension, Router};
use futures::StreamExt;
use perennial_gateway::{Limits, Tls, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio_rustls::rustls;

struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
    /// Lets `/wait` respond.
    go_on: watch::Sender<bool>,
    /// Bodies of `/big` and requests of `/wait` that are alive.
    held: Arc<AtomicUsize>,
}

impl Server {
    async fn until_held(&self, count: usize) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.held.load(Ordering::SeqCst) != count {
            assert!(Instant::now() < deadline, "{:?} are held", self.held);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

struct Held(Arc<AtomicUsize>);

impl Held {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// `/` responds at once, `/scheme` with the request's scheme, `/wait` when told to, `/big` with 64
/// MiB.
async fn server(tls: Option<Tls>, limits: Limits) -> Server {
    let (go_on, told) = watch::channel(false);
    let held = Arc::new(AtomicUsize::new(0));
    let (waiting, big) = (Arc::clone(&held), Arc::clone(&held));
    let router = Router::new()
        .route("/", get(|| async { "here" }).post(|body: String| async move { body }))
        .route(
            "/scheme",
            get(|Extension(scheme): Extension<Scheme>| async move { scheme.to_string() }),
        )
        .route(
            "/wait",
            get(async move || {
                let (mut told, _held) = (told.clone(), Held::new(&waiting));
                let _ = told.wait_for(|told| *told).await;
            }),
        )
        .route(
            "/big",
            get(async move || {
                let held = Held::new(&big);
                let pieces = futures::stream::iter(0..64).map(move |_| {
                    let _held = &held;
                    Ok::<_, std::io::Error>(vec![0; 1 << 20])
                });
                Body::from_stream(pieces)
            }),
        );
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(serve(listener, tls, router, limits, async {
        let _ = stopped.await;
    }));
    Server { address, stop, task, go_on, held }
}

fn limits() -> Limits {
    Limits { head_time: Duration::from_millis(300), ..Limits::default() }
}

async fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.address).await.expect("a connection")
}

/// Reads until the server closes the connection, within a deadline.
async fn rest(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut all)).await;
    // A reset also counts as the end.
    let _ = read.expect("the server must end the connection");
    String::from_utf8_lossy(&all).into_owned()
}

async fn ask(server: &Server, request: &str) -> String {
    let mut stream = connect(server).await;
    stream.write_all(request.as_bytes()).await.expect("it is read");
    rest(&mut stream).await
}

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
/// A request target can claim another scheme than that of the connection.
const SCHEME: [&str; 2] = [
    "GET https://x/scheme HTTP/1.1\r\nHost: x\r\nX-Forwarded-Proto: https\r\n\
    Connection: close\r\n\r\n",
    "GET http://x/scheme HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
];

#[tokio::test]
async fn slow_and_silent_clients_are_cut_off() {
    let server = server(None, limits()).await;
    let begun = Instant::now();
    // No bytes; the start of HTTP/2; an unfinished head; a complete request followed by silence.
    let starts =
        ["", "PRI * HT", "GET / HTTP/1.1\r\nHost: x\r\n", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"];
    for start in starts {
        let mut stream = connect(&server).await;
        stream.write_all(start.as_bytes()).await.expect("it is read");
        let answer = rest(&mut stream).await;
        assert_eq!(answer.contains("200 OK"), start.ends_with("\r\n\r\n"), "{start:?}: {answer}");
    }
    // One byte at a time, faster than any limit on the time between bytes.
    let mut stream = connect(&server).await;
    let (mut reading, mut writing) = stream.split();
    let trickle = async {
        for byte in "GET / HTTP/1.1\r\nX: ".bytes().chain(std::iter::repeat(b'a')) {
            if writing.write_all(&[byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let mut all = Vec::new();
    tokio::select! {
        () = trickle => {}
        _ = reading.read_to_end(&mut all) => {}
    }
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert!(!String::from_utf8_lossy(&all).contains("200 OK"));
}

#[tokio::test]
async fn request_heads_are_bounded() {
    let server = server(None, Limits::default()).await;
    let long = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "a".repeat(100_000));
    assert!(ask(&server, &long).await.starts_with("HTTP/1.1 431"));
    let many: String = (0..10_000).map(|at| format!("X{at}: 1\r\n")).collect();
    assert!(
        ask(&server, &format!("GET / HTTP/1.1\r\nHost: x\r\n{many}\r\n"))
            .await
            .starts_with("HTTP/1.1 431")
    );
    let target = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(100_000));
    let answer = ask(&server, &target).await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    let fits = format!(
        "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: {}\r\n\r\n",
        "a".repeat(16_000)
    );
    assert!(ask(&server, &fits).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_request_with_two_lengths_is_one_request_or_refused() {
    let server = server(None, limits()).await;
    let inner = "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n";
    for lengths in [
        format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n", inner.len() + 5),
        format!("Transfer-Encoding: chunked\r\nContent-Length: {}\r\n", inner.len() + 5),
    ] {
        // Under one reading, the inner request is a body; under the other, it is the next request.
        let answer =
            ask(&server, &format!("POST / HTTP/1.1\r\nHost: x\r\n{lengths}\r\n0\r\n\r\n{inner}"))
                .await;
        assert!(answer.matches("HTTP/1.1").count() <= 1, "{answer}");
    }
    let twice = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab";
    assert!(ask(&server, twice).await.starts_with("HTTP/1.1 400"));
}

#[tokio::test]
async fn one_client_beyond_the_limit_waits() {
    let server = server(None, Limits { connections: 2, ..Limits::default() }).await;
    let mut busy = Vec::new();
    for _ in 0..2 {
        let mut stream = connect(&server).await;
        stream
            .write_all(b"GET /wait HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .await
            .expect("sent");
        busy.push(stream);
    }
    server.until_held(2).await;
    let mut third = connect(&server).await;
    third.write_all(GET.as_bytes()).await.expect("the system takes it");
    let waited = tokio::time::timeout(Duration::from_millis(1500), third.read_u8()).await;
    assert!(waited.is_err(), "both places are taken: {waited:?}");
    server.go_on.send(true).expect("it is waited for");
    assert!(rest(&mut third).await.ends_with("here"));
    for mut stream in busy {
        assert!(
            rest(&mut stream).await.starts_with("HTTP/1.1 200"),
            "who is answered keeps the place"
        );
    }
}

#[tokio::test]
async fn an_idle_client_loses_its_slot_to_a_busy_one() {
    let server = server(None, Limits { connections: 2, ..Limits::default() }).await;
    let mut silent = [connect(&server).await, connect(&server).await];
    let answer = tokio::time::timeout(Duration::from_secs(20), ask(&server, GET)).await;
    assert!(answer.expect("long before the silent ones time out").ends_with("here"));
    assert_eq!(rest(&mut silent[0]).await, "", "the idlest went");
}

#[tokio::test]
async fn a_trickling_client_loses_its_slot_to_a_new_one() {
    let server = server(None, Limits { connections: 2, ..Limits::default() }).await;
    let mut slow = Vec::new();
    for _ in 0..2 {
        let mut stream = connect(&server).await;
        stream.write_all(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sent");
        slow.push(stream);
    }
    server.until_held(2).await;
    let mut busy = connect(&server).await;
    busy.write_all(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("the system takes it");
    let taking = async {
        let mut every = tokio::time::interval(Duration::from_millis(50));
        loop {
            every.tick().await;
            for stream in &mut slow {
                // An error is the expected end.
                let _ = stream.read_u8().await;
            }
        }
    };
    tokio::select! {
        () = taking => {}
        // Both slow clients read `/big`: the first loses its slot to the waiting request, the
        // second to the next one.
        () = async {
            let answer = tokio::time::timeout(Duration::from_secs(40), ask(&server, GET)).await;
            assert!(answer.expect("long before the slow ones are done").ends_with("here"));
        } => {}
    }
    server.go_on.send(true).expect("it is waited for");
    let mut status = [0; 12];
    busy.read_exact(&mut status).await.expect("an answer");
    assert_eq!(&status, b"HTTP/1.1 200", "who waits for the server keeps the place");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off() {
    let server =
        server(None, Limits { stalled: Duration::from_millis(300), ..Limits::default() }).await;
    let mut stream = connect(&server).await;
    stream.write_all(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sent");
    server.until_held(1).await;
    // The client reads nothing, and the server still releases the connection.
    server.until_held(0).await;
    assert!(rest(&mut stream).await.len() < 64 << 20);
}

#[tokio::test]
async fn shutdown_finishes_answers_and_admits_no_client() {
    let server = server(None, Limits::default()).await;
    let mut idle = connect(&server).await;
    let mut busy = connect(&server).await;
    busy.write_all(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sent");
    server.until_held(1).await;
    server.stop.send(()).expect("it runs");
    assert_eq!(rest(&mut idle).await, "");
    assert!(TcpStream::connect(server.address).await.is_err(), "it listens no more");
    server.go_on.send(true).expect("it is waited for");
    assert!(rest(&mut busy).await.starts_with("HTTP/1.1 200"));
    tokio::time::timeout(Duration::from_secs(10), server.task)
        .await
        .expect("it ends")
        .expect("well");
}

#[tokio::test]
async fn shutdown_ends_though_answers_hang() {
    let server =
        server(None, Limits { grace: Duration::from_millis(200), ..Limits::default() }).await;
    let mut busy = connect(&server).await;
    busy.write_all(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sent");
    server.until_held(1).await;
    server.stop.send(()).expect("it runs");
    tokio::time::timeout(Duration::from_secs(10), server.task)
        .await
        .expect("it ends")
        .expect("well");
    assert_eq!(rest(&mut busy).await, "");
}

#[tokio::test]
async fn plain_http_is_reported_as_such() {
    let server = server(None, limits()).await;
    assert!(ask(&server, SCHEME[0]).await.ends_with("\r\n\r\nhttp"));
}

struct Files {
    _dir: tempfile::TempDir,
    cert: PathBuf,
    key: PathBuf,
    der: rustls::pki_types::CertificateDer<'static>,
}

fn certificate() -> Files {
    let made =
        rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let dir = tempfile::tempdir().expect("a directory");
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).expect("written");
    std::fs::write(&key, made.key_pair.serialize_pem()).expect("written");
    Files { der: made.cert.der().clone(), _dir: dir, cert, key }
}

/// A client that trusts a certificate, and the name that it asks for.
fn client_of(
    files: &Files,
) -> (tokio_rustls::TlsConnector, rustls::pki_types::ServerName<'static>) {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(files.der.clone()).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = rustls::pki_types::ServerName::try_from("localhost").expect("a name");
    (tokio_rustls::TlsConnector::from(Arc::new(config)), name)
}

#[tokio::test]
async fn a_certificate_that_is_renewed_counts_from_the_next_connection() {
    let (old, new) = (certificate(), certificate());
    let tls = Tls::load(&old.cert, &old.key).expect("they fit");
    let server = server(Some(tls), limits()).await;
    let greets = async |files: &Files| {
        let (connector, name) = client_of(files);
        connector.connect(name, connect(&server).await).await.is_ok()
    };
    assert!(greets(&old).await && !greets(&new).await);
    // One file changes before the other: until both fit, the old pair stays.
    std::fs::rename(&new.cert, &old.cert).expect("renamed");
    assert!(greets(&old).await && !greets(&new).await);
    std::fs::rename(&new.key, &old.key).expect("renamed");
    assert!(greets(&new).await && !greets(&old).await);
    std::fs::write(&old.cert, "no certificate").expect("written");
    assert!(greets(&new).await, "a file of no use changes nothing");
}

#[test]
fn a_key_that_others_read_is_made_private_and_one_that_they_write_is_refused() {
    let files = certificate();
    let set_mode = |mode| {
        std::fs::set_permissions(&files.key, PermissionsExt::from_mode(mode)).expect("ours");
    };
    let mode = || std::fs::metadata(&files.key).expect("there").permissions().mode() & 0o777;
    for (loose, tight) in [(0o644, 0o640), (0o640, 0o640), (0o600, 0o600), (0o400, 0o400)] {
        set_mode(loose);
        Tls::load(&files.cert, &files.key).expect("they fit");
        assert_eq!(mode(), tight, "{loose:o}");
    }
    for loose in [0o666, 0o660, 0o602] {
        set_mode(loose);
        let error = Tls::load(&files.cert, &files.key).expect_err("refused").to_string();
        assert!(error.contains(&format!("chmod 600 {}", files.key.display())), "{error}");
        assert_eq!(mode(), loose, "left as it was");
    }
}

#[tokio::test]
async fn connections_are_encrypted_with_the_certificate_given() {
    let files = certificate();
    let tls = Tls::load(&files.cert, &files.key).expect("they fit");
    let server = server(Some(tls), limits()).await;
    let (connector, name) = client_of(&files);
    for (request, expected) in [(GET, "\r\n\r\nhere"), (SCHEME[1], "\r\n\r\nhttps")] {
        let mut stream =
            connector.connect(name.clone(), connect(&server).await).await.expect("a handshake");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut all = String::new();
        stream.read_to_string(&mut all).await.expect("an answer");
        assert!(all.ends_with(expected), "{all}");
    }
    // Neither plain text nor silence is a handshake.
    assert!(!ask(&server, GET).await.contains("HTTP/1.1"));
    assert_eq!(rest(&mut connect(&server).await).await, "");
}

#[test]
fn a_bad_certificate_or_key_names_its_file() {
    let (one, other) = (certificate(), certificate());
    let error = |cert: &PathBuf, key: &PathBuf| {
        Tls::load(cert, key).expect_err("it does not fit").to_string()
    };
    let missing = PathBuf::from("/nowhere/key.pem");
    for (error, expected) in [
        (error(&missing, &one.key), "the certificate /nowhere/key.pem"),
        (error(&one.cert, &missing), "the key /nowhere/key.pem"),
        (error(&one.key, &one.key), "holds no certificate"),
        (error(&one.cert, &one.cert), "holds none"),
        (error(&one.cert, &other.key), "do not go together"),
    ] {
        assert!(error.contains(expected), "{error}");
    }
}
