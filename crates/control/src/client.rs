//! The client's end: one connection, one request, its replies.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::UnixStream;

use crate::failure::Failure;
use crate::frame::{FrameError, MAX_REPLY, MAX_REQUEST, read_frame, write_frame};
use crate::handler::Handler;
use crate::reply::{Event, Reply};
use crate::request::{Ask, Request};
use crate::server::converse;
use crate::socket::{ShortPath, socket_path};

/// Why a client could not connect.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the variants document their fields")]
pub enum ConnectError {
    /// No node runs on the data directory `data`: there is no socket, or no process behind it.
    #[error("no node runs on {}", data.display())]
    NotRunning { data: PathBuf },
    /// The socket at `path` belongs to another user.
    #[error("{}: permission denied; only the user that runs the node may use it", path.display())]
    Denied { path: PathBuf },
    /// The socket at `path` could not be opened or used.
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

/// Why a request was not answered.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The node refused the request or could not carry it out.
    #[error("{}", .0.message)]
    Failed(Failure),
    /// The node closed the connection before answering.
    #[error("the node closed the connection before it answered")]
    Lost,
    /// A frame could not be written or read.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// A connection to a node, for a single request.
///
/// ```no_run
/// use std::path::Path;
///
/// use perennial_control::{Client, Event, Ls, Status};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let data = Path::new("/srv/perennial");
/// let status = Client::connect(data).await?.call(Status, |_| ()).await?;
/// println!("{} of {} releases held", status.held_releases, status.releases);
///
/// // A connection carries one request; rows arrive before the answer.
/// let listed = Client::connect(data)
///     .await?
///     .call(Ls::default(), |event| {
///         if let Event::Item(row) = event {
///             println!("{} {}", row.release, row.purl);
///         }
///     })
///     .await?;
/// println!("{} rows", listed.rows);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
}

impl Client {
    /// Connects to the node on the data directory `data`.
    ///
    /// # Errors
    /// [`ConnectError::NotRunning`] when no node runs there; the other variants when the socket
    /// cannot be used.
    pub async fn connect(data: &Path) -> Result<Client, ConnectError> {
        let path = socket_path(data);
        let failed = |source| ConnectError::Io { path: path.clone(), source };
        let short = match ShortPath::of(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(ConnectError::NotRunning { data: data.to_owned() });
            }
            other => other.map_err(failed)?,
        };
        match UnixStream::connect(short.path()).await {
            Ok(stream) => Ok(Client { stream }),
            Err(error) => Err(match error.kind() {
                ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
                    ConnectError::NotRunning { data: data.to_owned() }
                }
                ErrorKind::PermissionDenied => ConnectError::Denied { path },
                _ => failed(error),
            }),
        }
    }

    /// Connects to a handler in this process, without a socket file. Needs a Tokio runtime.
    ///
    /// # Errors
    /// When the system has no more sockets.
    pub fn of<H: Handler>(handler: Arc<H>) -> io::Result<Client> {
        let (stream, end) = UnixStream::pair()?;
        tokio::spawn(async move { converse(end, &*handler).await });
        Ok(Client { stream })
    }

    /// Sends `request`, passes its rows and progress to `on_event` and returns its answer. Dropping
    /// the future cancels the request.
    ///
    /// # Errors
    /// [`CallError::Failed`] with the node's failure; the other variants when the conversation
    /// broke off.
    pub async fn call<R: Ask>(
        mut self,
        request: R,
        mut on_event: impl FnMut(Event<R::Item>),
    ) -> Result<R::Answer, CallError> {
        let request: Request = request.into();
        write_frame(&mut self.stream, &request, MAX_REQUEST).await?;
        loop {
            let reply = read_frame::<Reply<R::Item, R::Answer>>(&mut self.stream, MAX_REPLY).await;
            match reply {
                Ok(Some(Reply::Progress(progress))) => on_event(Event::Progress(progress)),
                Ok(Some(Reply::Item(item))) => on_event(Event::Item(item)),
                Ok(Some(Reply::Done(answer))) => return Ok(answer),
                Ok(Some(Reply::Error(failure))) => return Err(CallError::Failed(failure)),
                Ok(None) | Err(FrameError::Cut) => return Err(CallError::Lost),
                Err(FrameError::Io(error)) if error.kind() == ErrorKind::ConnectionReset => {
                    return Err(CallError::Lost);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}
