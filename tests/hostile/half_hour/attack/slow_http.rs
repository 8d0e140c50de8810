//! 300 HTTP clients, 25 at each address. A third never finishes its request, a third hardly reads
//! its answer, and a third asks for what nobody has, so that the node looks for it.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use super::{Tally, Target, count};

/// Clients at each address.
const CLIENTS: usize = 25;
/// The time from one byte, or bite, to the next.
const PAUSE: Duration = Duration::from_secs(2);
/// What the system may hold of an answer that is not read.
const WINDOW: u32 = 16 << 10;

/// Asks for ever: who is shown the door comes back.
pub(super) async fn ask(from: Ipv4Addr, target: Target, tally: Arc<Tally>) {
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let (target, tally) = (target.clone(), tally.clone());
        clients.spawn(async move {
            loop {
                if let Ok(stream) = connect(from, &target.http).await {
                    count(&tally.http_asked);
                    // However it ended, it begins again.
                    let _ = match number % 3 {
                        0 => never_asks(stream).await,
                        1 => hardly_reads(stream, &tally).await,
                        _ => waits(stream, &target, &tally).await,
                    };
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
    }
    while clients.join_next().await.is_some() {}
}

/// A client that takes little at a time.
pub(super) async fn connect(from: Ipv4Addr, http: &str) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(WINDOW)?;
    socket.bind(SocketAddrV4::new(from, 0).into())?;
    socket.connect(http.parse().expect("an address")).await
}

async fn never_asks(mut stream: TcpStream) -> std::io::Result<()> {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: ").await?;
    loop {
        tokio::time::sleep(PAUSE).await;
        stream.write_all(b"a").await?;
    }
}

async fn hardly_reads(mut stream: TcpStream, tally: &Tally) -> std::io::Result<()> {
    stream.write_all(b"GET /r/large/1/file-0.bin HTTP/1.0\r\nHost: localhost\r\n\r\n").await?;
    let mut bite = [0; 512];
    stream.read_exact(&mut bite).await?;
    count(&tally.http_answered);
    loop {
        tokio::time::sleep(PAUSE).await;
        stream.read_exact(&mut bite).await?;
    }
}

async fn waits(mut stream: TcpStream, target: &Target, tally: &Tally) -> std::io::Result<()> {
    stream.write_all(unheld(target).as_bytes()).await?;
    stream.read_u8().await?;
    count(&tally.http_answered);
    Ok(())
}

/// A request for a file of a release that a followed publisher signed, and nobody has.
pub(super) fn unheld(target: &Target) -> String {
    // The first followed publisher's releases are the first ones, one version each.
    let seq = rand::random::<u64>() % target.unheld;
    format!("GET /r/tool-{seq}/v1.{seq}.0/x HTTP/1.0\r\nHost: localhost\r\n\r\n")
}
