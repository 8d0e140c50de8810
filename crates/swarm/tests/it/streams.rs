//! Blob streams: in both directions, many at once, and never more than the limit.

use perennial_swarm::{BlobStream, Event};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{PATIENCE, Peer, config};

async fn inbound(peer: &mut Peer) -> BlobStream {
    peer.until("stream", |event| match event {
        Event::BlobStream { stream, .. } => Some(stream),
        _ => None,
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_echo_longer_than_the_window_is_complete() {
    let (mut a, mut b) = (Peer::start(&config()).await, Peer::start(&config()).await);
    a.connect(&mut b).await;
    let sent: Vec<u8> = (0..3u32 << 20).map(|n| n.to_le_bytes()[(n % 3) as usize]).collect();
    let stream = a.handle.open_blob_stream(&b.id()).await.expect("opens");
    let (mut reading, mut writing) = tokio::io::split(stream);
    let expected = sent.clone();
    let writer = tokio::spawn(async move {
        writing.write_all(&sent).await.expect("writes");
        writing.shutdown().await.expect("closes");
    });
    // A stream becomes visible once its opener has written something.
    let mut other = inbound(&mut b).await;
    let echo = tokio::spawn(async move {
        let mut all = Vec::new();
        other.read_to_end(&mut all).await.expect("reads");
        other.write_all(&all).await.expect("writes");
        other.shutdown().await.expect("closes");
    });
    let mut back = Vec::new();
    tokio::time::timeout(PATIENCE, reading.read_to_end(&mut back))
        .await
        .expect("in time")
        .expect("reads");
    writer.await.expect("wrote");
    echo.await.expect("echoed");
    assert!(back == expected);
}

/// Streams within the limit all open, even when requested at the same time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_within_the_limit_loses_none() {
    const PEERS: usize = 4;
    const EACH: usize = 8;
    let mut server = Peer::start(&config()).await;
    let to = server.id();
    let mut askers = Vec::new();
    for _ in 0..PEERS {
        let mut peer = Peer::start(&config()).await;
        peer.connect(&mut server).await;
        askers.push(peer);
    }
    let served = tokio::spawn(async move {
        let mut served = Vec::new();
        while let Some(event) = server.events.recv().await {
            if let Event::BlobStream { mut stream, .. } = event {
                served.push(tokio::spawn(async move {
                    let mut hello = [0];
                    if stream.read_exact(&mut hello).await.is_ok() {
                        let _ = stream.write_all(&hello).await;
                        let _ = stream.shutdown().await;
                    }
                }));
            }
        }
    });
    let mut all = Vec::new();
    for asker in &askers {
        for n in 0..EACH {
            let (handle, to) = (asker.handle.clone(), to.clone());
            all.push(tokio::spawn(async move {
                let mut stream = handle.open_blob_stream(&to).await.ok()?;
                stream.write_all(&[u8::try_from(n).ok()?]).await.ok()?;
                let mut back = [0];
                stream.read_exact(&mut back).await.ok()
            }));
        }
    }
    let mut lost = 0;
    for one in all {
        let done = tokio::time::timeout(PATIENCE, one).await.expect("in time").expect("runs");
        lost += usize::from(done.is_none());
    }
    served.abort();
    assert_eq!(lost, 0, "of {} streams", PEERS * EACH);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_over_the_limit_are_reset_and_slots_are_reused() {
    let mut few = config();
    few.max_blob_streams = 2;
    let (mut a, mut b) = (Peer::start(&config()).await, Peer::start(&few).await);
    a.connect(&mut b).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = a.handle.open_blob_stream(&b.id()).await.expect("opens");
        stream.write_all(b"x").await.expect("writes");
        let other = inbound(&mut b).await;
        other.keep_slot();
        held.push((stream, other));
    }
    let mut third = a.handle.open_blob_stream(&b.id()).await.expect("opens");
    let _ = third.write_all(b"x").await;
    let mut byte = [0];
    let read = tokio::time::timeout(PATIENCE, third.read(&mut byte)).await.expect("told at once");
    assert!(!matches!(read, Ok(n) if n > 0), "a third stream is served");
    drop(held.pop());
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let mut again = a.handle.open_blob_stream(&b.id()).await.expect("opens");
        let _ = again.write_all(b"x").await;
        let next =
            tokio::time::timeout(std::time::Duration::from_millis(300), inbound(&mut b)).await;
        if next.is_ok() {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "the place is not given again");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_stream_loses_its_slot_to_one_of_another_peer() {
    let mut few = config();
    few.max_blob_streams = 2;
    let mut server = Peer::start(&few).await;
    let (mut silent, mut other) = (Peer::start(&config()).await, Peer::start(&config()).await);
    silent.connect(&mut server).await;
    other.connect(&mut server).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = silent.handle.open_blob_stream(&server.id()).await.expect("opens");
        stream.write_all(b"x").await.expect("writes");
        held.push((stream, inbound(&mut server).await));
    }
    held[1].1.keep_slot();
    let mut asking = other.handle.open_blob_stream(&server.id()).await.expect("opens");
    asking.write_all(b"y").await.expect("writes");
    let _served = inbound(&mut server).await;
    tokio::time::timeout(PATIENCE, held[0].1.slot_lost()).await.expect("it is told");
    let kept = std::time::Duration::from_millis(200);
    let lost = tokio::time::timeout(kept, held[1].1.slot_lost()).await;
    assert!(lost.is_err(), "what is served keeps its slot");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_with_its_peer() {
    let (mut a, mut b) = (Peer::start(&config()).await, Peer::start(&config()).await);
    a.connect(&mut b).await;
    let mut stream = a.handle.open_blob_stream(&b.id()).await.expect("opens");
    stream.write_all(b"x").await.expect("writes");
    let _other = inbound(&mut b).await;
    b.handle.shutdown().await;
    let mut byte = [0];
    let read = tokio::time::timeout(PATIENCE, stream.read(&mut byte)).await.expect("told");
    assert!(!matches!(read, Ok(n) if n > 0));
}
