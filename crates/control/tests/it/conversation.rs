//! Requests, replies, cancellation, and obstacles in the socket's place.

use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener as StdListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use perennial_control::{
    BindError, CallError, Client, ConnectError, ErrorKind, Event, Listed, Listener, Peers, Pins,
    Search, socket_path,
};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::fake::{Fake, row};

const SOON: Duration = Duration::from_secs(10);

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
    let listener = Listener::bind(data, None).unwrap();
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
    let listed = client
        .call(Search { text: "a".into(), limit: 5000 }, |event| match event {
            Event::Item(row) => rows.push(row),
            Event::Progress(_) => progress += 1,
        })
        .await
        .unwrap();
    assert_eq!(listed, Listed { rows: 5000, ..Listed::default() });
    assert_eq!(rows, (0..5000).map(row).collect::<Vec<_>>());
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
    let error = client.call(Pins, |_| ()).await.unwrap_err();
    let CallError::Failed(failure) = error else { panic!("{error}") };
    assert_eq!(failure.code, ErrorKind::NotFound);
    assert_eq!(failure.hint.as_deref(), Some("look elsewhere"));
}

#[tokio::test]
async fn a_client_that_disconnects_cancels_its_request() {
    let data = tempfile::tempdir().unwrap();
    let server = serve(data.path());
    let client = Client::connect(data.path()).await.unwrap();
    let call = client.call(Peers, |_| ());
    assert!(timeout(Duration::from_millis(200), call).await.is_err(), "it never answers");
    timeout(SOON, server.cancelled.notified()).await.expect("the handler's future is dropped");
}

#[tokio::test]
async fn stopping_the_server_ends_running_requests() {
    let data = tempfile::tempdir().unwrap();
    let server = serve(data.path());
    let client = Client::connect(data.path()).await.unwrap();
    let call = tokio::spawn(async move { client.call(Peers, |_| ()).await });
    // One full conversation proves that the server has started.
    Client::connect(data.path()).await.unwrap().call(Pins, |_| ()).await.unwrap_err();
    server.stop.notify_one();
    timeout(SOON, server.task).await.unwrap().unwrap();
    let error = timeout(SOON, call).await.unwrap().unwrap().unwrap_err();
    assert!(matches!(error, CallError::Lost), "{error}");
}

#[tokio::test]
async fn a_dead_nodes_socket_counts_as_no_node() {
    let data = tempfile::tempdir().unwrap();
    let missing = data.path().join("never-made");
    for place in [data.path(), missing.as_path()] {
        let error = Client::connect(place).await.unwrap_err();
        assert!(matches!(error, ConnectError::NotRunning { .. }), "{error}");
    }
    // A killed node leaves a socket file without a process behind it.
    drop(StdListener::bind(socket_path(data.path())).unwrap());
    let error = Client::connect(data.path()).await.unwrap_err();
    assert!(matches!(error, ConnectError::NotRunning { .. }), "{error}");
    let _server = serve(data.path());
    let meta = std::fs::symlink_metadata(socket_path(data.path())).unwrap();
    assert!(meta.file_type().is_socket());
    assert_eq!(meta.permissions().mode() & 0o777, 0o600);
    let client = Client::connect(data.path()).await.unwrap();
    assert!(matches!(client.call(Pins, |_| ()).await, Err(CallError::Failed(_))));
}

#[tokio::test]
async fn a_file_in_the_way_is_left_alone() {
    let data = tempfile::tempdir().unwrap();
    std::fs::write(socket_path(data.path()), "precious").unwrap();
    let error = Listener::bind(data.path(), None).unwrap_err();
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
    assert!(matches!(client.call(Pins, |_| ()).await, Err(CallError::Failed(_))));
}

/// Sends a frame unchanged and returns the text of the reply.
async fn raw(data: &Path, body: &'static str) -> String {
    let path = socket_path(data);
    let answer = tokio::task::spawn_blocking(move || {
        let mut stream = UnixStream::connect(path).unwrap();
        stream.write_all(&u32::try_from(body.len()).unwrap().to_le_bytes()).unwrap();
        stream.write_all(body.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer[4..]).into_owned()
    });
    timeout(SOON, answer).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_request_of_another_version_is_answered_and_not_dropped() {
    let data = tempfile::tempdir().unwrap();
    let _server = serve(data.path());
    let answer = raw(data.path(), r#"{"op":"levitate"}"#).await;
    assert!(answer.contains(r#""code":"usage""#) && answer.contains("levitate"), "{answer}");
}

#[tokio::test]
async fn values_that_break_a_rule_are_refused_by_the_node_as_well() {
    let data = tempfile::tempdir().unwrap();
    let _server = serve(data.path());
    for (body, why) in [
        (r#"{"op":"follow","args":{"target":"all","name":"two words"}}"#, "64 bytes"),
        (r#"{"op":"follow","args":{"target":"somebody","name":null}}"#, "publisher"),
        (r#"{"op":"ls","args":{"publisher":"did:web:a.org"}}"#, "publisher"),
        (r#"{"op":"get","args":{"selector":"blake3:12"}}"#, "names nothing"),
    ] {
        let answer = raw(data.path(), body).await;
        assert!(answer.contains(r#""code":"usage""#) && answer.contains(why), "{answer}");
    }
}
