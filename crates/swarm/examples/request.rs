//! Two swarms on loopback: the client asks for the blob with a given SHA-256, and the server
//! answers.
//!
//! `cargo run -p perennial-swarm --example request`

use std::error::Error;

use perennial_manifest::{BlobId, Sha256Digest};
use perennial_protocol::{BlobClaim, Input, Request, RequestId, Response};
use perennial_swarm::{Config, Event};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut config = Config::new([1; 32]);
    config.listen = vec!["/ip4/127.0.0.1/tcp/0".to_owned()];
    let (server, mut arriving) = perennial_swarm::start(&config)?;
    let (client, mut events) = perennial_swarm::start(&Config::new([2; 32]))?;

    // The server reports its listen address; the client dials it.
    let address = loop {
        if let Event::Listening(address) = arriving.recv().await.ok_or("the server ended")? {
            break address;
        }
    };
    println!("the server listens on {address}");
    client.dial(&address).await?;

    // The server answers every request.
    let answering = server.clone();
    tokio::spawn(async move {
        while let Some(event) = arriving.recv().await {
            if let Event::Input(Input::Request { from, token, request }) = event {
                println!("{from} asks {request:?}");
                let blob = Some(BlobClaim { blob: BlobId::of(b"hello"), size: 5 });
                let _ = answering.respond(token, Response::Sha256 { blob }).await;
            }
        }
    });

    // The client asks once it is connected.
    while let Some(event) = events.recv().await {
        match event {
            Event::Connected { peer, .. } => {
                let digest = Sha256Digest::from_bytes([9; 32]);
                client.request(peer, RequestId(1), Request::ResolveSha256 { digest }).await?;
            }
            Event::Input(Input::Response { from, id, result }) => {
                println!("{from} answers {id:?}: {result:?}");
                client.shutdown().await;
                server.shutdown().await;
                return Ok(());
            }
            _ => {}
        }
    }
    Err("the client ended".into())
}
