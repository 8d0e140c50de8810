//! A hostile peer that speaks the protocol: it claims to hold everything, hands out the entries it
//! was given, and serves large blobs according to its [`Manner`]. It serves small blobs (lists)
//! honestly.
//!
//! Runs in the test's process on `perennial_swarm` and ends with its owner. Sends as fast as the
//! other side reads.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Runtime;

use perennial_manifest::{
    ArtifactListRef, BlobId, Body, Entry, Holding, Keypair, Release, Selector, SignedEntry,
};
use perennial_protocol::{
    BLOB_NOT_HELD, BLOB_OK, BlobRange, BlobRequest, Bounded, EntryBytes, Input, Refusal, Request,
    Response,
};
use perennial_store::{OpenOptions, SMALL, Store};
use perennial_swarm::{BlobStream, Config, Event, Handle, PeerAddress};
use perennial_tests::all_ids;

/// How the liar answers a request for a large blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Correctly.
    Honest,
    /// With one wrong bit, at this percentage of the response: 0 in the first group, 100 in the
    /// last.
    Wrong(usize),
    /// With 99 % of the bytes, then silence on an open stream.
    Stalls,
    /// With ten bytes per second.
    Trickles,
    /// Correctly, then with endless further bytes.
    Endless,
    /// With half of the bytes, then the end of the stream.
    Closes,
    /// With this false length, then the true bytes.
    Claims(u64),
}

/// The entries and blobs that the liar offers.
pub(crate) struct Goods {
    pub(crate) entries: Vec<SignedEntry>,
    pub(crate) store: Store,
    /// Whether a reconciliation is answered, with the ids of all entries; else the liar is busy.
    pub(crate) reconciles: bool,
}

impl Goods {
    /// The contents of a data directory that is not in use.
    pub(crate) fn of(data: &std::path::Path, entries: Vec<SignedEntry>) -> Self {
        let store = Store::open(data, OpenOptions::default()).expect("a data directory");
        Self { entries, store, reconciles: false }
    }
}

/// A release as the first entry of its publisher's feed.
pub(crate) fn genesis(seed: [u8; 32], purl: &str, artifacts: ArtifactListRef) -> SignedEntry {
    let key = Keypair::from_seed(seed);
    let release = Release::new(purl.parse().expect("a package URL"), artifacts);
    let body = Body::Release(Box::new(release));
    let entry = Entry { publisher: key.id(), seq: 0, prevs: Vec::new(), issued_at: 1, body };
    entry.sign(&key).expect("a sound entry")
}

/// Counts of received requests for large blobs and of bytes sent.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) asked: AtomicU64,
    pub(crate) sent: AtomicU64,
}

/// The hostile peer.
pub(crate) struct Liar {
    runtime: Option<Runtime>,
    handle: Handle,
    pub(crate) address: String,
    pub(crate) tally: Arc<Tally>,
}

impl Liar {
    pub(crate) fn start(goods: Goods, manner: Manner) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let mut config = Config::new(rand::random());
        config.listen = vec!["/ip4/127.0.0.1/tcp/0".to_owned()];
        let tally = Arc::new(Tally::default());
        let (handle, mut events) =
            runtime.block_on(async { perennial_swarm::start(&config) }).expect("a swarm");
        let address = runtime.block_on(async {
            loop {
                match events.recv().await.expect("it runs") {
                    Event::Listening(address) => return address.to_string(),
                    _ => continue,
                }
            }
        });
        let (goods, swarm, counted) = (Arc::new(goods), handle.clone(), tally.clone());
        runtime.spawn(async move {
            while let Some(event) = events.recv().await {
                match event {
                    Event::Input(Input::Request { token, request, .. }) => {
                        let response = answer(&goods, manner, &request);
                        let _ = swarm.respond(token, response).await;
                    }
                    Event::BlobStream { stream, .. } => {
                        tokio::spawn(serve(goods.clone(), manner, counted.clone(), stream));
                    }
                    _ => {}
                }
            }
        });
        Self { runtime: Some(runtime), handle, address, tally }
    }

    /// Gossips these bytes to connected peers.
    pub(crate) fn gossip(&self, bytes: Vec<u8>) {
        if let Some(runtime) = &self.runtime {
            runtime.block_on(self.handle.publish(bytes)).expect("it runs");
        }
    }

    /// Opens this many streams to `address` under another peer id, requests a blob on each and
    /// reads only the first byte of the response. Returns the number of streams answered, which
    /// stay open as long as the liar lives.
    pub(crate) fn hang(&self, address: &str, blob: BlobId, size: u64, streams: usize) -> usize {
        let Some(runtime) = &self.runtime else { return 0 };
        let address: PeerAddress = address.parse().expect("an address");
        let to = address.peer_id().expect("it names the peer");
        let item = BlobRange { blob, ranges: Bounded::first_of([(0, size)]) };
        let frame = BlobRequest { items: Bounded::first_of([item]) }
            .encode_frame()
            .expect("a sound request");
        runtime.block_on(async {
            let (swarm, mut events) =
                perennial_swarm::start(&Config::new(rand::random())).expect("a swarm");
            swarm.dial(&address).await.expect("dials");
            while !matches!(events.recv().await.expect("it runs"), Event::Connected { .. }) {}
            let mut open = Vec::new();
            for _ in 0..streams {
                let mut stream = swarm.open_blob_stream(&to).await.expect("opens");
                stream.write_all(&frame).await.expect("asks");
                let first = tokio::time::timeout(Duration::from_secs(5), stream.read_u8()).await;
                if matches!(first, Ok(Ok(BLOB_OK))) {
                    open.push(stream);
                }
            }
            let came = open.len();
            tokio::spawn(async move {
                while events.recv().await.is_some() {}
                drop((open, swarm));
            });
            came
        })
    }

    pub(crate) fn asked(&self) -> u64 {
        self.tally.asked.load(SeqCst)
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn answer(goods: &Goods, manner: Manner, request: &Request) -> Response {
    let encoded = |fits: &dyn Fn(&SignedEntry) -> bool| {
        goods
            .entries
            .iter()
            .filter(|entry| fits(entry))
            .map(|entry| EntryBytes(entry.encode()))
            .collect()
    };
    match request {
        Request::Reconcile { .. } if goods.reconciles => {
            let ids: Vec<_> = goods.entries.iter().map(SignedEntry::id).collect();
            Response::Reconcile { message: all_ids(&ids) }
        }
        Request::Reconcile { .. } => Response::Refused { reason: Refusal::Busy },
        Request::Entries { ids } => {
            let found: Vec<_> = encoded(&|entry| ids.iter().any(|id| *id == entry.id()));
            Response::Entries { entries: Bounded::first_of(found) }
        }
        Request::Find { selector, .. } => {
            let wanted: Result<Selector, _> = selector.parse();
            let found: Vec<_> = encoded(&|entry| match &wanted {
                Ok(Selector::Release(id)) => id.entry() == entry.id(),
                _ => entry.release().is_some(),
            });
            Response::Found { entries: Bounded::first_of(found) }
        }
        Request::Have { releases, blobs } => Response::Have {
            releases: Bounded::first_of(releases.iter().map(|_| Some(Holding::Held))),
            blobs: Bounded::first_of(blobs.iter().map(|blob| claimed(goods, manner, blob))),
        },
        Request::Search { .. } => Response::Found {
            entries: Bounded::first_of(encoded(&|entry| entry.release().is_some())),
        },
        Request::ResolveSha256 { .. } => Response::Sha256 { blob: None },
    }
}

/// The length that the liar claims for a blob.
fn claimed(goods: &Goods, manner: Manner, blob: &BlobId) -> Option<u64> {
    let size = goods.store.blob_size(blob).expect("a sound store")?;
    Some(match manner {
        Manner::Claims(size) => size,
        _ => size,
    })
}

/// Answers what is asked for on a stream, from these goods in this manner.
pub(crate) async fn serve(
    goods: Arc<Goods>,
    manner: Manner,
    tally: Arc<Tally>,
    mut stream: BlobStream,
) {
    let Some(request) = read_request(&mut stream).await else { return };
    for item in request.items.iter() {
        let Some(size) = goods.store.blob_size(&item.blob).expect("a sound store") else {
            let _ = stream.write_all(&[BLOB_NOT_HELD]).await;
            continue;
        };
        let (store, wanted) = (goods.store.clone(), item.clone());
        let honest =
            tokio::task::spawn_blocking(move || encoded(&store, &wanted)).await.expect("encodes");
        let small = size <= SMALL;
        let head = |size: u64| [&[BLOB_OK][..], &size.to_le_bytes()].concat();
        if small {
            let _ = stream.write_all(&[head(size), honest].concat()).await;
            continue;
        }
        tally.asked.fetch_add(1, SeqCst);
        let size = if let Manner::Claims(size) = manner { size } else { size };
        if stream.write_all(&head(size)).await.is_err()
            || misbehave(manner, &honest, &tally, &mut stream).await
        {
            return;
        }
    }
    let _ = stream.shutdown().await;
}

async fn read_request(stream: &mut BlobStream) -> Option<BlobRequest> {
    let length = stream.read_u32_le().await.ok()?;
    let mut body = vec![0; length as usize];
    stream.read_exact(&mut body).await.ok()?;
    BlobRequest::decode(&body).ok()
}

fn encoded(store: &Store, item: &BlobRange) -> Vec<u8> {
    let ranges: Vec<_> = item.ranges.iter().map(|(start, end)| *start..*end).collect();
    let mut bytes = Vec::new();
    // A range beyond the blob's true end cannot be encoded; a liar that claims such a length sends
    // nothing.
    let _ = store.encode(&item.blob, &ranges, &mut bytes);
    bytes
}

/// Sends the response in the given manner. Returns true if the stream is finished.
async fn misbehave(manner: Manner, honest: &[u8], tally: &Tally, stream: &mut BlobStream) -> bool {
    let sent = |bytes: usize| tally.sent.fetch_add(bytes as u64, SeqCst);
    let part = match manner {
        Manner::Stalls => &honest[..honest.len() / 100 * 99],
        Manner::Closes => &honest[..honest.len() / 2],
        Manner::Trickles => &[],
        _ => honest,
    };
    let mut bytes = part.to_vec();
    if let Manner::Wrong(percent) = manner {
        // The tree nodes before the first group take less than 4 KiB; a group takes 16 KiB.
        let at = (honest.len() / 100 * percent).clamp(4096, honest.len() - 1);
        bytes[at] ^= 4;
    }
    if stream.write_all(&bytes).await.is_err() {
        return true;
    }
    sent(bytes.len());
    match manner {
        Manner::Stalls => {
            let _ = stream.flush().await;
            std::future::pending().await
        }
        Manner::Trickles => {
            for byte in honest {
                if stream.write_all(&[*byte]).await.is_err() || stream.flush().await.is_err() {
                    return true;
                }
                sent(1);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            true
        }
        Manner::Endless => {
            let junk = vec![7; 64 << 10];
            while stream.write_all(&junk).await.is_ok() {
                sent(junk.len());
            }
            true
        }
        Manner::Closes => true,
        Manner::Honest | Manner::Wrong(_) | Manner::Claims(_) => false,
    }
}
