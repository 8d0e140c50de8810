//! Measures the throughput of a bare blob stream: 1 GiB of zeros from one process to another over
//! loopback TCP, as a node's swarm sets it up, without hashing and without a disk. Prints
//! `<rate> MiB/s`, the yardstick for `perennial get`.
//!
//! `cargo bench -p perennial-swarm --bench stream [-- tcp|quic]`

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a step that fails must end the test"
)]

use std::io::{BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use perennial_swarm::{Config, Event, Handle};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

/// Bytes sent.
const TOTAL: u64 = 1 << 30;
/// Bytes per write, and the limit of a read.
const PIECE: usize = 256 << 10;

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let has = |word: &str| words.iter().any(|given| given == word);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let done = runtime.map_err(Failure::from).and_then(|runtime| match () {
        () if has("serve") => runtime.block_on(serve(has("quic"))),
        () => runtime.block_on(measure(has("quic"))),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("stream: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn start(seed: u8, listen: Option<&str>) -> Result<(Handle, mpsc::Receiver<Event>), Failure> {
    let mut config = Config::new([seed; 32]);
    config.listen = listen.map(str::to_owned).into_iter().collect();
    Ok(perennial_swarm::start(&config)?)
}

/// The sending process: prints its address, and answers each stream with all the bytes, until it is
/// killed.
async fn serve(quic: bool) -> Result<(), Failure> {
    let listen = if quic { "/ip4/127.0.0.1/udp/0/quic-v1" } else { "/ip4/127.0.0.1/tcp/0" };
    let (_handle, mut events) = start(1, Some(listen))?;
    while let Some(event) = events.recv().await {
        match event {
            Event::Listening(address) => println!("{address}"),
            Event::BlobStream { mut stream, .. } => {
                tokio::spawn(async move {
                    let piece = vec![0; PIECE];
                    for _ in 0..TOTAL / PIECE as u64 {
                        if stream.write_all(&piece).await.is_err() {
                            return;
                        }
                    }
                    // The reader counts the bytes, so it detects a broken stream.
                    let _ = stream.shutdown().await;
                });
            }
            _ => {}
        }
    }
    Ok(())
}

async fn measure(quic: bool) -> Result<(), Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("serve").args(quic.then_some("quic")).stdout(Stdio::piped());
    let mut server = command.spawn()?;
    let measured = receive(&mut server).await;
    server.kill()?;
    server.wait()?;
    println!("{:.0} MiB/s", measured?);
    Ok(())
}

async fn receive(server: &mut std::process::Child) -> Result<f64, Failure> {
    let mut address = String::new();
    BufReader::new(server.stdout.take().ok_or("no output")?).read_line(&mut address)?;
    let (handle, mut events) = start(2, None)?;
    handle.dial(&address.trim().parse()?).await?;
    let peer = loop {
        if let Event::Connected { peer, .. } = events.recv().await.ok_or("the swarm ended")? {
            break peer;
        }
    };
    tokio::spawn(async move { while events.recv().await.is_some() {} });
    let before = Instant::now();
    let mut stream = handle.open_blob_stream(&peer).await?;
    stream.shutdown().await?;
    let mut piece = vec![0; PIECE];
    let mut received = 0;
    loop {
        match stream.read(&mut piece).await? {
            0 => break,
            some => received += some as u64,
        }
    }
    if received != TOTAL {
        return Err(format!("{received} of {TOTAL} bytes").into());
    }
    let mib = f64::from(u32::try_from(TOTAL >> 20)?);
    Ok(mib / before.elapsed().as_secs_f64())
}
