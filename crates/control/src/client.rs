//! The asking end: one connection, one request, its replies.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use tokio::net::UnixStream;

use crate::frame::{FrameError, MAX_REPLY, MAX_REQUEST, read_frame, write_frame};
use crate::reply::{Done, Failure, Item, Progress, Reply};
use crate::request::Request;
use crate::server::{ShortPath, socket_path};

/// Why no node answers.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No node runs on that data directory: there is no socket, or nobody behind it.
    #[error("no node runs on {}", data.display())]
    NotRunning {
        /// The data directory.
        data: PathBuf,
    },
    /// The socket belongs to somebody else.
    #[error("{}: permission denied; the socket belongs to the user that runs the node", path.display())]
    Denied {
        /// The socket.
        path: PathBuf,
    },
    /// The socket failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// How.
        source: std::io::Error,
    },
}

/// Why a request has no result.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The node says why.
    #[error("{}", .0.message)]
    Failed(Failure),
    /// The node closed the connection first.
    #[error("the node ended the conversation before it answered")]
    Lost,
    /// The conversation broke.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// What comes before the result.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// How far it is.
    Progress(Progress),
    /// One row of a list.
    Item(Item),
}

/// A connection to a node, good for one request.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
}

impl Client {
    /// Connects to the node on the data directory `data`.
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

    /// Sends `request`, hands what comes before the result to `on_event`, returns the result. Dropping the
    /// future cancels the request.
    pub async fn call(
        mut self,
        request: &Request,
        mut on_event: impl FnMut(Event),
    ) -> Result<Done, CallError> {
        write_frame(&mut self.stream, request, MAX_REQUEST).await?;
        loop {
            match read_frame(&mut self.stream, MAX_REPLY).await {
                Ok(Some(Reply::Progress(progress))) => on_event(Event::Progress(progress)),
                Ok(Some(Reply::Item(item))) => on_event(Event::Item(item)),
                Ok(Some(Reply::Done(done))) => return Ok(done),
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
