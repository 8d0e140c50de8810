//! More clients than there are places, none of which leaves by itself.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use perennial_gateway::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use super::{GET, Server, ask, rest, server};

/// An address of this machine that counts as one of the internet.
const FAR: Ipv4Addr = Ipv4Addr::new(127, 9, 0, 1);

async fn connect_from(address: Ipv4Addr, server: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((address, 0).into())?;
    socket.connect(server).await
}

/// A client that asks in time is answered within this time, whatever others do.
const SOON: Duration = Duration::from_secs(5);

async fn is_served(server: &Server) {
    let began = Instant::now();
    let answer = tokio::time::timeout(SOON, ask(server, GET)).await;
    let answer = answer.unwrap_or_else(|_| panic!("no answer within {SOON:?}"));
    assert!(answer.ends_with("here"), "after {:?}: {answer}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_hundred_slow_clients_keep_nobody_waiting() {
    let server = server(None, Limits::default()).await;
    let address = server.address;
    let mut slow = JoinSet::new();
    let (began, mut all_began) = tokio::sync::mpsc::channel(300);
    for n in 0..300 {
        let began = began.clone();
        slow.spawn(async move {
            let mut first = Some(began);
            loop {
                // Heads and responses by the byte, and a new connection when one is cut.
                let Ok(mut stream) = TcpStream::connect(address).await else { continue };
                let start = ["GET / HTTP/1.1\r\nX: ", "GET /big HTTP/1.1\r\nHost: x\r\n\r\n"];
                let _ = stream.write_all(start[n % 2].as_bytes()).await;
                if let Some(began) = first.take() {
                    let _ = began.send(()).await;
                }
                let mut byte = [0];
                loop {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    let moved = match n % 2 {
                        0 => stream.write_all(b"a").await,
                        _ => stream.read_exact(&mut byte).await.map(drop),
                    };
                    if moved.is_err() {
                        break;
                    }
                }
            }
        });
    }
    for _ in 0..300 {
        all_began.recv().await.expect("they run");
    }
    for _ in 0..10 {
        is_served(&server).await;
    }
    slow.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_ask_without_end_make_room_for_others() {
    let server = server(None, Limits { connections: 4, ..Limits::default() }).await;
    let address = server.address;
    let mut busy = JoinSet::new();
    let (asked, mut all_asked) = tokio::sync::mpsc::channel(8);
    for _ in 0..4 {
        let asked = asked.clone();
        busy.spawn(async move {
            loop {
                let Ok(mut stream) = TcpStream::connect(address).await else { continue };
                let mut answer = [0; 512];
                while stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.is_ok()
                    && stream.read(&mut answer).await.is_ok_and(|read| read > 0)
                {
                    let _ = asked.try_send(());
                }
            }
        });
    }
    for _ in 0..8 {
        all_asked.recv().await.expect("they ask");
    }
    for _ in 0..3 {
        is_served(&server).await;
    }
    busy.shutdown().await;
}

#[tokio::test]
async fn one_network_has_half_of_the_connections() {
    let server = server(None, Limits { connections: 4, ..Limits::default() }).await;
    let mut crowd = Vec::new();
    for _ in 0..3 {
        let mut stream = connect_from(FAR, server.address).await.expect("a connection");
        stream.write_all(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sent");
        crowd.push(stream);
    }
    server.until_held(2).await;
    is_served(&server).await;
    is_served(&server).await;
    let mut late = crowd.pop().expect("three");
    let mut answer = [0; 12];
    // Its network's places do not become free in time.
    let told = tokio::time::timeout(Duration::from_secs(20), late.read_exact(&mut answer)).await;
    told.expect("told to come back").expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 503");
    assert_eq!(server.held.load(std::sync::atomic::Ordering::SeqCst), 2);
}

#[tokio::test]
async fn whoever_waits_in_vain_is_told_when_to_come_back() {
    let server = server(None, Limits { connections: 1, ..Limits::default() }).await;
    let mut first = TcpStream::connect(server.address).await.expect("a connection");
    first.write_all(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sent");
    server.until_held(1).await;
    let answer = tokio::time::timeout(Duration::from_secs(20), ask(&server, GET)).await;
    let answer = answer.expect("told to come back");
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.to_lowercase().contains("\r\nretry-after:"), "{answer}");
    server.go_on.send(true).expect("it is waited for");
    is_served(&server).await;
    assert!(rest(&mut first).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_response_has_a_deadline_over_the_whole_of_it() {
    let limits = Limits {
        slowest: Duration::from_secs(1),
        stalled: Duration::from_secs(2),
        answer_time: Duration::from_millis(300),
        ..Limits::default()
    };
    let server = server(None, limits).await;
    // Bytes move all the time, and few of them.
    let mut slow = TcpStream::connect(server.address).await.expect("a connection");
    slow.write_all(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sent");
    server.until_held(1).await;
    let reading = async {
        let mut some = [0; 4096];
        while slow.read_exact(&mut some).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        () = reading => panic!("64 MiB came by 40 KiB a second"),
        () = server.until_held(0) => {}
    }
    // A response that does not begin.
    let answer = ask(&server, "GET /wait HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    server.until_held(0).await;
}
