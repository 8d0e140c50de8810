//! Both ends over a real socket.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a step that fails must end the test"
)]

use std::future::Future;
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener as StdListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use perennial_control::{
    BindError, CallError, Client, ConnectError, Done, ErrorCode, Event, Failure, Handler, Item,
    Listener, Progress, ReleaseRow, Request, Sink, Stage, socket_path,
};
use perennial_manifest::{Holding, PublisherKind};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(10);

/// Lists rows, waits for ever, or fails, by what it is asked.
#[derive(Default)]
struct Fake {
    cancelled: Arc<Notify>,
}

struct OnDrop(Arc<Notify>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

impl Handler for Fake {
    fn handle(
        &self,
        request: Request,
        sink: Sink,
    ) -> impl Future<Output = Result<Done, Failure>> + Send {
        let guard = OnDrop(self.cancelled.clone());
        async move {
            match request {
                Request::Search { limit, .. } => {
                    for n in 0..limit {
                        sink.progress(Progress::of(Stage::Finding));
                        assert!(sink.item(Item::Release(row(n))).await);
                    }
                    Ok(Done::Listed { rows: limit.into(), more: false })
                }
                Request::Peers => {
                    let _guard = guard;
                    std::future::pending().await
                }
                _ => Err(Failure::new(ErrorCode::NotFound, "nothing here").hint("look elsewhere")),
            }
        }
    }
}

fn row(n: u32) -> ReleaseRow {
    ReleaseRow {
        release: format!("{n:064x}"),
        purl: "pkg:generic/a@1".into(),
        publisher: "did:key:z6Mk".into(),
        kind: PublisherKind::Archivist,
        artifacts: 1,
        bytes: u64::from(n),
        held_bytes: 0,
        state: Holding::Known,
    }
}

struct Server {
    stop: Arc<Notify>,
    cancelled: Arc<Notify>,
    task: JoinHandle<()>,
}

fn serve(data: &Path) -> Server {
    let fake = Fake::default();
    let cancelled = fake.cancelled.clone();
    let stop = Arc::new(Notify::new());
    let stopped = stop.clone();
    let listener = Listener::bind(data).unwrap();
    let task =
        tokio::spawn(listener.serve(Arc::new(fake), async move { stopped.notified().await }));
    Server { stop, cancelled, task }
}

#[tokio::test]
async fn rows_come_in_order_and_the_result_last() {
    let data = tempfile::tempdir().unwrap();
    let server = serve(data.path());
    let client = Client::connect(data.path()).await.unwrap();
    let mut rows = Vec::new();
    let mut progress = 0;
    let request = Request::Search { text: "a".into(), limit: 5000 };
    let done = client
        .call(&request, |event| match event {
            Event::Item(Item::Release(row)) => rows.push(row.bytes),
            Event::Item(other) => panic!("{other:?}"),
            Event::Progress(_) => progress += 1,
        })
        .await
        .unwrap();
    assert_eq!(done, Done::Listed { rows: 5000, more: false });
    assert_eq!(rows, (0..5000).collect::<Vec<_>>());
    assert!(progress > 0);
    server.stop.notify_one();
    timeout(SOON, server.task).await.unwrap().unwrap();
    assert!(!socket_path(data.path()).exists(), "the socket file goes with the node");
}

#[tokio::test]
async fn a_failure_arrives_with_its_hint() {
    let data = tempfile::tempdir().unwrap();
    let _server = serve(data.path());
    let client = Client::connect(data.path()).await.unwrap();
    let error = client.call(&Request::Pins, |_| ()).await.unwrap_err();
    let CallError::Failed(failure) = error else { panic!("{error}") };
    assert_eq!(failure.code, ErrorCode::NotFound);
    assert_eq!(failure.hint.as_deref(), Some("look elsewhere"));
}

#[tokio::test]
async fn leaving_cancels_the_request() {
    let data = tempfile::tempdir().unwrap();
    let server = serve(data.path());
    let client = Client::connect(data.path()).await.unwrap();
    let call = client.call(&Request::Peers, |_| ());
    assert!(timeout(Duration::from_millis(200), call).await.is_err(), "it never answers");
    timeout(SOON, server.cancelled.notified()).await.expect("the handler's future is dropped");
}

#[tokio::test]
async fn stopping_ends_what_still_runs() {
    let data = tempfile::tempdir().unwrap();
    let server = serve(data.path());
    let client = Client::connect(data.path()).await.unwrap();
    let call = tokio::spawn(async move { client.call(&Request::Peers, |_| ()).await });
    // one full conversation: the server is at work
    Client::connect(data.path()).await.unwrap().call(&Request::Pins, |_| ()).await.unwrap_err();
    server.stop.notify_one();
    timeout(SOON, server.task).await.unwrap().unwrap();
    let error = timeout(SOON, call).await.unwrap().unwrap().unwrap_err();
    assert!(matches!(error, CallError::Lost), "{error}");
}

#[tokio::test]
async fn nobody_there_is_told_apart_from_a_dead_socket_by_nobody() {
    let data = tempfile::tempdir().unwrap();
    let missing = data.path().join("never-made");
    for place in [data.path(), missing.as_path()] {
        let error = Client::connect(place).await.unwrap_err();
        assert!(matches!(error, ConnectError::NotRunning { .. }), "{error}");
    }
    // what a killed node leaves: a socket file with nobody behind it
    drop(StdListener::bind(socket_path(data.path())).unwrap());
    let error = Client::connect(data.path()).await.unwrap_err();
    assert!(matches!(error, ConnectError::NotRunning { .. }), "{error}");
    let _server = serve(data.path());
    let meta = std::fs::symlink_metadata(socket_path(data.path())).unwrap();
    assert!(meta.file_type().is_socket());
    assert_eq!(meta.permissions().mode() & 0o777, 0o600);
    let client = Client::connect(data.path()).await.unwrap();
    assert!(matches!(client.call(&Request::Pins, |_| ()).await, Err(CallError::Failed(_))));
}

#[tokio::test]
async fn a_file_in_the_way_is_left_alone() {
    let data = tempfile::tempdir().unwrap();
    std::fs::write(socket_path(data.path()), "precious").unwrap();
    let error = Listener::bind(data.path()).unwrap_err();
    assert!(matches!(error, BindError::InTheWay { .. }), "{error}");
    assert_eq!(std::fs::read(socket_path(data.path())).unwrap(), b"precious");
}

#[tokio::test]
async fn a_data_directory_with_a_path_too_long_for_a_socket_works() {
    let data = tempfile::tempdir().unwrap();
    let deep = data.path().join("d".repeat(120)).join("e".repeat(120));
    let error = Client::connect(&deep).await.unwrap_err();
    assert!(matches!(error, ConnectError::NotRunning { .. }), "{error}");
    std::fs::create_dir_all(&deep).unwrap();
    let _server = serve(&deep);
    let client = Client::connect(&deep).await.unwrap();
    assert!(matches!(client.call(&Request::Pins, |_| ()).await, Err(CallError::Failed(_))));
}

#[tokio::test]
async fn a_request_of_another_version_is_answered_and_not_dropped() {
    let data = tempfile::tempdir().unwrap();
    let _server = serve(data.path());
    let path = socket_path(data.path());
    let answer = tokio::task::spawn_blocking(move || {
        use std::io::Read;
        let mut stream = std::os::unix::net::UnixStream::connect(path).unwrap();
        let body = br#"{"op":"levitate"}"#;
        stream.write_all(&u32::try_from(body.len()).unwrap().to_le_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer[4..]).into_owned()
    });
    let answer = timeout(SOON, answer).await.unwrap().unwrap();
    assert!(answer.contains(r#""code":"usage""#) && answer.contains("levitate"), "{answer}");
}
