//! Streams for blobs on which a request begins and never ends: a byte now and then, so that none of
//! them is silent.

use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use perennial_swarm::BlobStream;
use perennial_tests::{Conduct, Stranger};
use tokio::io::AsyncWriteExt;

use super::Attack;

/// Streams that are held open, as far as the node lets them be.
const STREAMS: usize = 32;
/// The time between two bytes.
const PAUSE: Duration = Duration::from_secs(3);

pub(super) struct SilentStreams;

impl Conduct for SilentStreams {}

impl Attack for SilentStreams {
    fn strike<'a>(&'a self, stranger: &'a Stranger) -> BoxFuture<'a, ()> {
        async move {
            let mut open: Vec<BlobStream> = Vec::new();
            loop {
                while open.len() < STREAMS {
                    let Some(stream) = stranger.open_stream().await else { break };
                    open.push(stream);
                }
                let mut still = Vec::new();
                for mut stream in open {
                    // The length of a long request, and then the request, byte by byte.
                    let sent = stream.write_all(&[2]).await.is_ok() && stream.flush().await.is_ok();
                    still.extend(sent.then_some(stream));
                }
                open = still;
                tokio::time::sleep(PAUSE).await;
            }
        }
        .boxed()
    }
}
