//! A GET over HTTP/1.0, with nothing in between: what the other end sends is what is returned.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// How long the other end may be silent.
const SILENCE: Duration = Duration::from_secs(120);

/// The status and the body that `address:port` answers.
///
/// # Errors
/// Those of the system, and an answer without a status.
pub fn http_get(address: &str, path: &str) -> std::io::Result<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(SILENCE))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let status = head.and_then(|end| {
        let head = String::from_utf8_lossy(&answer[..end]);
        head.split(' ').nth(1).and_then(|status| status.parse().ok())
    });
    match (head, status) {
        (Some(end), Some(status)) => Ok((status, answer.split_off(end + 4))),
        _ => {
            let said = format!("{} bytes without a status", answer.len());
            Err(std::io::Error::new(std::io::ErrorKind::InvalidData, said))
        }
    }
}
