//! The node's end: the socket file, connections, cancellation.
//!
//! A node binds only while it holds the lock of its data directory, so an existing socket file is a
//! leftover of a node that died; it is replaced in one step. The number of concurrent conversations
//! is bounded; further clients wait in the kernel's queue.

use std::fs::{self, Permissions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use perennial_operation::ErrorKind;
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufWriter};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::failure::Failure;
use crate::frame::{FrameError, MAX_REPLY, MAX_REQUEST, read_frame, write_frame};
use crate::handler::{Handler, Sink};
use crate::reply::{Event, NoRows, Reply};
use crate::request::{Ask, Request, requests};
use crate::socket::{ShortPath, elsewhere, own_path};

/// Concurrent conversations, at most.
pub const MAX_CONNECTIONS: usize = 64;
/// How long a client may take to send its request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long conversations may continue once the node is asked to stop.
const DRAIN: Duration = Duration::from_secs(2);

/// Why the socket could not be bound.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the variants document their fields")]
pub enum BindError {
    /// `path`, the socket's place, holds another kind of file, which is left alone.
    #[error("{} is in the way: it is not a socket; move it elsewhere", path.display())]
    InTheWay { path: PathBuf },
    /// The socket at `path` could not be created.
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

/// A listening control socket. Dropping it removes the socket file.
#[derive(Debug)]
pub struct Listener {
    listener: UnixListener,
    path: PathBuf,
    /// The file in the data directory that names `path`, if it is elsewhere.
    pointer: Option<PathBuf>,
}

impl Listener {
    /// Binds the socket of the data directory `data`, whose lock the caller holds: in it, or in the
    /// folder `other` if the file system cannot hold a private socket. Needs a Tokio runtime.
    ///
    /// # Errors
    /// [`BindError::InTheWay`] when another file has the socket's name; otherwise the file system's
    /// error.
    pub fn bind(data: &Path, other: Option<&Path>) -> Result<Listener, BindError> {
        let pointer = elsewhere(data);
        let path = own_path(data);
        let (error, other) = match (Self::at(path.clone()), other) {
            (Err(error @ BindError::Io { .. }), Some(other)) => (error, other),
            (bound, _) => {
                let _ = fs::remove_file(&pointer);
                return bound;
            }
        };
        let mut name = DefaultHasher::new();
        path.hash(&mut name);
        let path = other.join(format!("control-{:016x}.sock", name.finish()));
        let bound = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(other)
            .and_then(|()| Self::at(path.clone()).map_err(io::Error::other))
            .and_then(|bound| {
                fs::write(&pointer, format!("{}\n", path.display()))?;
                Ok(bound)
            });
        match bound {
            Ok(mut bound) => {
                bound.pointer = Some(pointer);
                Ok(bound)
            }
            // The first failure is the one to mend.
            Err(_) => Err(error),
        }
    }

    fn at(path: PathBuf) -> Result<Listener, BindError> {
        let failed = |source| BindError::Io { path: path.clone(), source };
        match fs::symlink_metadata(&path) {
            Ok(meta) if !meta.file_type().is_socket() => return Err(BindError::InTheWay { path }),
            _ => {}
        }
        let fresh = path.with_file_name(".control.new");
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let short = ShortPath::of(&fresh).map_err(failed)?;
        let listener = UnixListener::bind(short.path()).map_err(failed)?;
        let place = || {
            // Only who may write to a socket can connect to it.
            let narrowed = fs::set_permissions(&fresh, Permissions::from_mode(0o600));
            if fs::symlink_metadata(&fresh)?.permissions().mode() & 0o022 != 0 {
                narrowed?;
                return Err(io::Error::other("the file system keeps no modes"));
            }
            fs::rename(&fresh, &path)
        };
        if let Err(error) = place() {
            let _ = fs::remove_file(&fresh);
            return Err(failed(error));
        }
        Ok(Listener { listener, path, pointer: None })
    }

    /// The path of the socket.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Answers requests until `stop` resolves, then accepts no more and gives running conversations
    /// 2 s to end.
    pub async fn serve<H: Handler>(self, handler: Arc<H>, stop: impl Future<Output = ()>) {
        let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut conversations = JoinSet::new();
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                Some(_) = conversations.join_next() => {}
                (accepted, slot) = async {
                    let slot = slots.clone().acquire_owned().await;
                    (self.listener.accept().await, slot)
                } => match accepted {
                    Ok((stream, _)) => {
                        let handler = handler.clone();
                        conversations.spawn(async move {
                            converse(stream, &*handler).await;
                            drop(slot);
                        });
                    }
                    // Out of file descriptors, for example: avoid a busy loop.
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                },
            }
        }
        let _ = timeout(DRAIN, async { while conversations.join_next().await.is_some() {} }).await;
        conversations.shutdown().await;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
        if let Some(pointer) = self.pointer.take() {
            let _ = fs::remove_file(pointer);
        }
    }
}

/// Runs one conversation. Its errors are dropped: the client that they concern has disconnected.
pub(crate) async fn converse<H: Handler>(stream: UnixStream, handler: &H) {
    let (mut input, output) = stream.into_split();
    let output = BufWriter::new(output);
    let request =
        match timeout(REQUEST_TIMEOUT, read_frame::<Request>(&mut input, MAX_REQUEST)).await {
            Ok(Ok(Some(request))) => request,
            Ok(Ok(None)) | Err(_) => return,
            Ok(Err(error)) => {
                let _ = finish::<NoRows, ()>(output, Reply::Error(unreadable(&error))).await;
                return;
            }
        };
    macro_rules! dispatch {
        ($( $(#[$doc:meta])* $name:ident, $method:ident: $item:ident => $answer:ty; )*) => {
            match request {
                $(Request::$name(request) => {
                    let (sink, events) = Sink::new();
                    let answer = handler.$method(request, sink);
                    answer_with::<crate::$name>(&mut input, output, events, answer).await;
                })*
            }
        };
    }
    requests!(dispatch);
}

/// The failure for an unreadable request.
fn unreadable(error: &FrameError) -> Failure {
    let failure =
        Failure::new(ErrorKind::Usage, format!("the node cannot read the request: {error}"));
    match error {
        FrameError::Json(_) => {
            failure.hint("the command and the node may be of different versions")
        }
        _ => failure,
    }
}

/// Writes the replies to one request until the answer is sent or the client disconnects.
async fn answer_with<R: Ask>(
    input: &mut OwnedReadHalf,
    output: BufWriter<OwnedWriteHalf>,
    events: mpsc::Receiver<Event<R::Item>>,
    answer: impl Future<Output = Result<R::Answer, Failure>>,
) {
    tokio::select! {
        () = closed(input) => {}
        _ = write_replies::<R>(output, events, answer) => {}
    }
}

/// Resolves once the client has disconnected, or has sent more than its one request.
async fn closed(input: &mut OwnedReadHalf) {
    let _ = input.read(&mut [0; 1]).await;
}

/// Writes the handler's events while it works, then its answer.
async fn write_replies<R: Ask>(
    mut output: BufWriter<OwnedWriteHalf>,
    mut events: mpsc::Receiver<Event<R::Item>>,
    answer: impl Future<Output = Result<R::Answer, Failure>>,
) -> Result<(), FrameError> {
    tokio::pin!(answer);
    let answer = loop {
        tokio::select! {
            biased;
            Some(event) = events.recv() => {
                write_event::<R>(&mut output, event).await?;
                if events.is_empty() {
                    output.flush().await?;
                }
            }
            answer = &mut answer => break answer,
        }
    };
    // Events sent before the handler returned are written; remaining clones of its sink are
    // disconnected.
    events.close();
    while let Ok(event) = events.try_recv() {
        write_event::<R>(&mut output, event).await?;
    }
    finish::<R::Item, R::Answer>(output, answer.map_or_else(Reply::Error, Reply::Done)).await
}

async fn write_event<R: Ask>(
    output: &mut BufWriter<OwnedWriteHalf>,
    event: Event<R::Item>,
) -> Result<(), FrameError> {
    write_frame(output, &Reply::<R::Item, R::Answer>::from(event), MAX_REPLY).await
}

/// Writes the last reply; a reply that is too long is replaced by a failure that says so.
async fn finish<I: Serialize, A: Serialize>(
    mut output: BufWriter<OwnedWriteHalf>,
    last: Reply<I, A>,
) -> Result<(), FrameError> {
    if let Err(FrameError::TooLong { length, limit }) =
        write_frame(&mut output, &last, MAX_REPLY).await
    {
        let failure = Failure::new(
            ErrorKind::Failed,
            format!("the answer is {length} bytes long; the limit is {limit}"),
        );
        write_frame(&mut output, &Reply::<I, A>::Error(failure), MAX_REPLY).await?;
    }
    Ok(output.flush().await?)
}
