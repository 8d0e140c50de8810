//! A few identities of a stranger open as many blob streams as they may, and say a byte now and
//! then on each.
//!
//! The streams end, and whoever asks for something is served meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Runtime;

use perennial_swarm::{Config, Handle, PeerAddress};
use perennial_tests::{Daemon, add, field, perennial, text, wait_until, write_tree};

/// How long a node waits for a request, and some time for a busy machine.
const DEADLINE: Duration = Duration::from_secs(5 + 10);

/// Streams that are kept open by a byte a second, and opened again when they end. Returns the
/// number of streams that ended so far, and the longest time that one lasted, in milliseconds.
fn silent_streams(
    runtime: &Runtime,
    to: &str,
    identities: usize,
    streams: usize,
) -> (Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let to: PeerAddress = to.parse().expect("an address");
    let (ended, longest) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    runtime.block_on(async {
        for _ in 0..identities {
            let (swarm, mut events) =
                perennial_swarm::start(&Config::new(rand::random())).expect("a swarm");
            swarm.dial(&to).await.expect("dials");
            tokio::spawn(async move { while events.recv().await.is_some() {} });
            for _ in 0..streams {
                let (swarm, to) = (swarm.clone(), to.clone());
                let (ended, longest) = (Arc::clone(&ended), Arc::clone(&longest));
                tokio::spawn(async move {
                    loop {
                        let began = Instant::now();
                        hold(&swarm, &to).await;
                        let lasted = usize::try_from(began.elapsed().as_millis());
                        longest.fetch_max(lasted.unwrap_or(usize::MAX), Ordering::SeqCst);
                        ended.fetch_add(1, Ordering::SeqCst);
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                });
            }
        }
    });
    (ended, longest)
}

/// Holds one stream as long as the other side lets it: the length of a request that is promised,
/// byte by byte.
async fn hold(swarm: &Handle, to: &PeerAddress) {
    let peer = to.peer_id().expect("it names the peer");
    let Ok(stream) = swarm.open_blob_stream(&peer).await else { return };
    let (mut reading, mut writing) = tokio::io::split(stream);
    let trickle = async {
        let start = [0_u8, 4, 0, 0];
        for byte in start.iter().chain(std::iter::repeat(&0)) {
            if writing.write_all(&[*byte]).await.is_err() || writing.flush().await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let mut byte = [0];
    tokio::select! {
        () = trickle => {}
        _ = reading.read(&mut byte) => {}
    }
}

#[test]
fn silent_streams_end_and_keep_nobody_from_being_served() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    let victim = Daemon::start(&at("victim"), &[]);
    let source = write_tree(&at("src"), 52, &[900_000, 10]);
    let added = add(victim.data(), &source, "tool", "1");
    let runtime = Runtime::new().expect("a runtime");
    // More of each than a node gives to one.
    let (ended, _) = silent_streams(&runtime, victim.address(), 6, 16);
    for n in 0..3 {
        let began = Instant::now();
        let (data, out) = (at(&format!("d{n}")), at(&format!("out{n}")));
        let get = ["--peer", victim.address(), "get", field(&added, "release"), "-o", text(&out)];
        perennial(&data, &get).ok();
        assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    }
    assert!(ended.load(Ordering::SeqCst) > 0, "silent streams made room");
    drop(runtime);
    assert!(!victim.log().contains("panicked"), "{}", victim.log());
}

#[test]
fn a_silent_stream_has_a_deadline_though_its_bytes_come_in_time() {
    let dir = tempfile::tempdir().expect("a directory");
    let victim = Daemon::start(&dir.path().join("victim"), &[]);
    let runtime = Runtime::new().expect("a runtime");
    // Fewer than there are slots, so that none is lost to another.
    let (ended, longest) = silent_streams(&runtime, victim.address(), 1, 2);
    wait_until(DEADLINE * 2, "both streams have ended", || {
        (ended.load(Ordering::SeqCst) >= 2).then_some(())
    });
    let longest = Duration::from_millis(longest.load(Ordering::SeqCst) as u64);
    assert!(longest > Duration::from_secs(4), "they had their time: {longest:?}");
    assert!(longest < DEADLINE, "a silent stream lasted {longest:?}");
    drop(runtime);
}
