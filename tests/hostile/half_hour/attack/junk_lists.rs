//! Entries whose lists are noise, or nested without end, or cut short. The stranger has these bytes
//! and serves them well; it also asks for the releases over HTTP, so that they are fetched.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use perennial_manifest::{ArtifactListRef, BlobId, Holding};
use perennial_protocol::{Bounded, Refusal, Request, Response};
use perennial_store::Store;
use perennial_swarm::BlobStream;
use perennial_tests::{Answer, Conduct, Stranger};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Attack, Target};
use crate::cluster::liar::{Goods, Manner, Tally, genesis, serve};

/// Bytes of the list that is noise.
const NOISE: usize = 40_000;
/// How long an answer over HTTP is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// The junk, in a store of the stranger's own.
pub(super) fn goods(dir: &Path) -> Arc<(Goods, Vec<(BlobId, u64)>)> {
    let noise: Vec<u8> = (0..NOISE).map(|_| rand::random()).collect();
    // A list of a list of a list; and the beginning of a list of very many.
    let (nested, cut) =
        (vec![0x81; 20_000], [&[0x9a, 0, 1, 0x86, 0xa0][..], &[0xa0; 900]].concat());
    let sizes = |bytes: &Vec<u8>| (BlobId::of(bytes), bytes.len() as u64);
    let junk = vec![noise, nested, cut];
    let named = junk.iter().map(sizes).collect();
    let goods = Goods::of(dir, Vec::new());
    goods.store.add_small(junk).expect("stored");
    Arc::new((goods, named))
}

pub(super) struct JunkLists {
    goods: Arc<(Goods, Vec<(BlobId, u64)>)>,
    http: String,
}

impl JunkLists {
    pub(super) fn new(target: &Target, goods: &Arc<(Goods, Vec<(BlobId, u64)>)>) -> Self {
        Self { goods: goods.clone(), http: target.http.clone() }
    }

    fn size(&self, blob: &BlobId) -> Option<u64> {
        self.goods.1.iter().find(|(junk, _)| junk == blob).map(|(_, size)| *size)
    }

    /// Asks for a release's files, and reads a part of what is said.
    async fn ask(&self, release: &str) -> std::io::Result<()> {
        let mut stream = TcpStream::connect(&self.http).await?;
        let asked = format!("GET /r/{release}/ HTTP/1.0\r\nHost: localhost\r\n\r\n");
        stream.write_all(asked.as_bytes()).await?;
        stream.read_u8().await.map(drop)
    }
}

impl Conduct for JunkLists {
    fn answer(&self, request: &Request) -> Answer {
        Answer::Now(match request {
            Request::Have { releases, blobs } => Response::Have {
                releases: Bounded::first_of(releases.iter().map(|_| Some(Holding::Held))),
                blobs: Bounded::first_of(blobs.iter().map(|blob| self.size(blob))),
            },
            _ => Response::Refused { reason: Refusal::Busy },
        })
    }

    fn serve(&self, stream: BlobStream) -> BoxFuture<'static, ()> {
        let store: Store = self.goods.0.store.clone();
        let goods = Goods { entries: Vec::new(), store, reconciles: false };
        let tally: Arc<Tally> = Arc::default();
        serve(Arc::new(goods), Manner::Honest, tally, stream).boxed()
    }
}

impl Attack for JunkLists {
    fn strike<'a>(&'a self, stranger: &'a Stranger) -> BoxFuture<'a, ()> {
        async move {
            for number in 0_usize.. {
                let (blob, size) = self.goods.1[number % self.goods.1.len()];
                let list = ArtifactListRef { blob, count: 100_000, bytes: 1 << 40, size };
                let purl = format!("pkg:generic/junk-{}@1", rand::random::<u32>());
                let entry = genesis(rand::random(), &purl, list);
                stranger.gossip(entry.encode()).await;
                let release = entry.release().expect("a release").0.to_string();
                // What comes of it is the node's affair.
                let _ = tokio::time::timeout(PATIENCE, self.ask(&release)).await;
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        }
        .boxed()
    }
}
