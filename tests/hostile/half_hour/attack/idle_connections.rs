//! Calls that stay: they say nothing, or the first line of the conversation, and never who calls.

use std::net::Ipv4Addr;
use std::time::Duration;

use perennial_tests::{connect_from, socket_address};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use super::Target;

/// Calls of each address at a time.
const CALLS: usize = 8;
/// The first line that either end sends.
const HELLO: &[u8] = b"\x13/multistream/1.0.0\n";

/// Holds calls open for ever: those that the node ends begin again.
pub(super) async fn hold(from: Ipv4Addr, target: Target) {
    let to = socket_address(&target.address);
    let mut calls = JoinSet::new();
    for number in 0..CALLS {
        calls.spawn(async move {
            loop {
                if let Ok(mut call) = connect_from(from, to).await {
                    let said = if number % 2 == 0 { &[][..] } else { HELLO };
                    let mut answer = [0; 64];
                    if call.write_all(said).await.is_ok() {
                        while matches!(call.read(&mut answer).await, Ok(1..)) {}
                    }
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
    }
    while calls.join_next().await.is_some() {}
}
