//! HTTP clients that ask for much and leave at once: while it is sent, or while it is looked for.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::slow_http::{connect, unheld};
use super::{Tally, Target, count};

/// How long a client stays that is not answered.
const STAYS: Duration = Duration::from_millis(30);
/// The time from one request to the next.
const PAUSE: Duration = Duration::from_millis(100);

/// Asks for ever, at ten requests a second.
pub(super) async fn ask(from: Ipv4Addr, target: Target, tally: Arc<Tally>) {
    let held = "GET /r/large/1/file-0.bin HTTP/1.0\r\nHost: localhost\r\n\r\n";
    for number in 0_u64.. {
        let asked = if number % 2 == 0 { held.to_owned() } else { unheld(&target) };
        if let Ok(mut stream) = connect(from, &target.http).await
            && stream.write_all(asked.as_bytes()).await.is_ok()
        {
            count(&tally.http_asked);
            let mut first = [0; 4096];
            let read = tokio::time::timeout(STAYS, stream.read(&mut first)).await;
            if matches!(read, Ok(Ok(1..))) {
                count(&tally.http_answered);
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}
