//! Asks the node that runs on a data directory for its status.
//!
//! `cargo run -p perennial-control --example ask_status -- ~/.local/share/perennial`

use std::error::Error;
use std::path::PathBuf;

use perennial_control::{Client, ConnectError, Status};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let data: PathBuf =
        std::env::args_os().nth(1).ok_or("usage: ask_status DATA-DIRECTORY")?.into();
    let client = match Client::connect(&data).await {
        Err(error @ ConnectError::NotRunning { .. }) => {
            return Err(format!("{error}; start one with `perennial-node`").into());
        }
        other => other?,
    };
    let status = client.call(Status, |_| ()).await?;
    println!("peer id   {}", status.peer_id);
    println!("peers     {}", status.peers);
    println!("releases  {} held of {} known", status.held_releases, status.releases);
    println!("blobs     {} in {} bytes", status.blobs, status.stored_bytes);
    Ok(())
}
