//! The answering end: the socket file, connections, cancellation.
//!
//! A node binds only while it holds the lock of its data directory, so a socket file that is there already was
//! left by a node that died: it is replaced in one step. A bound number of conversations runs at once; the rest
//! wait in the kernel's queue.

use std::fs::{self, File, Permissions};
use std::future::Future;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufWriter};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::frame::{FrameError, MAX_REPLY, MAX_REQUEST, read_frame, write_frame};
use crate::reply::{Done, ErrorCode, Failure, Item, Progress, Reply};
use crate::request::Request;

/// Conversations that run at once.
pub const MAX_CONNECTIONS: usize = 64;
/// How long a client may take to say what it wants.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long conversations get to end by themselves once the node stops.
const DRAIN: Duration = Duration::from_secs(2);
/// Replies waiting to be written, for each conversation.
const QUEUE: usize = 64;
/// Longest path the kernel takes for a socket, its end mark left out.
const MAX_SOCKET_PATH: usize = 107;

/// Where the node on the data directory `data` answers.
pub fn socket_path(data: &Path) -> PathBuf {
    data.join("control.sock")
}

/// What a node does with requests.
pub trait Handler: Send + Sync + 'static {
    /// Carries out `request`; rows and progress go to `sink`. The future is dropped when the client goes away,
    /// so what has to be finished once it was begun runs in a task of its own.
    fn handle(
        &self,
        request: Request,
        sink: Sink,
    ) -> impl Future<Output = Result<Done, Failure>> + Send;
}

/// Where a handler puts what comes before the result. May be used from blocking code.
#[derive(Debug, Clone)]
pub struct Sink(mpsc::Sender<Reply>);

impl Sink {
    /// Tells how far it is; never waits, so a slow reader misses some.
    pub fn progress(&self, progress: Progress) {
        // half the queue is kept for rows
        if self.0.capacity() > QUEUE / 2 {
            let _ = self.0.try_send(Reply::Progress(progress));
        }
    }

    /// Sends a row; waits while the client is slow. False: nobody listens any more.
    pub async fn item(&self, item: Item) -> bool {
        self.0.send(Reply::Item(item)).await.is_ok()
    }

    /// The same from blocking code, which must not be a task of the runtime.
    pub fn item_blocking(&self, item: Item) -> bool {
        self.0.blocking_send(Reply::Item(item)).is_ok()
    }

    /// Whether the client went away: long blocking work looks at it now and then.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

/// Why the socket cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Something that is no socket has its name.
    #[error("{} is in the way and is no socket: move it away", path.display())]
    InTheWay {
        /// The file.
        path: PathBuf,
    },
    /// The file system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// How.
        source: io::Error,
    },
}

/// A socket that a node answers on; the file goes when this is dropped.
#[derive(Debug)]
pub struct Listener {
    listener: UnixListener,
    path: PathBuf,
}

impl Listener {
    /// Binds the socket in the data directory `data`, whose lock the caller holds. Needs a Tokio runtime.
    pub fn bind(data: &Path) -> Result<Listener, BindError> {
        let path = socket_path(data);
        let failed = |source| BindError::Io { path: path.clone(), source };
        match fs::symlink_metadata(&path) {
            Ok(meta) if !meta.file_type().is_socket() => return Err(BindError::InTheWay { path }),
            _ => {}
        }
        let fresh = data.join(".control.new");
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let short = ShortPath::of(&fresh).map_err(failed)?;
        let listener = UnixListener::bind(short.path()).map_err(failed)?;
        fs::set_permissions(&fresh, Permissions::from_mode(0o600)).map_err(failed)?;
        fs::rename(&fresh, &path).map_err(failed)?;
        Ok(Listener { listener, path })
    }

    /// Answers until `stop` is ready; then takes no new conversations and gives those that run 2 s to end.
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
                    // out of file descriptors, say: do not spin
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
    }
}

/// One conversation. Its errors have nobody left to be told to.
async fn converse<H: Handler>(stream: UnixStream, handler: &H) {
    let (mut input, output) = stream.into_split();
    let output = BufWriter::new(output);
    let request =
        match timeout(REQUEST_TIMEOUT, read_frame::<Request>(&mut input, MAX_REQUEST)).await {
            Ok(Ok(Some(request))) => request,
            Ok(Ok(None)) | Err(_) => return,
            Ok(Err(error)) => {
                let failure = Failure::new(
                    ErrorCode::Usage,
                    format!("the node cannot read the request: {error}"),
                );
                let failure = match error {
                    FrameError::Json(_) => {
                        failure.hint("the command and the node may be of different versions")
                    }
                    _ => failure,
                };
                let _ = finish(output, Reply::Error(failure)).await;
                return;
            }
        };
    let (sender, receiver) = mpsc::channel(QUEUE);
    let answer = async {
        let result = handler.handle(request, Sink(sender)).await;
        result.map_or_else(Reply::Error, Reply::Done)
    };
    tokio::select! {
        () = closed(&mut input) => {}
        _ = write_replies(output, receiver, answer) => {}
    }
}

/// Ready once the client closed its end, or says more than it may.
async fn closed(input: &mut OwnedReadHalf) {
    let _ = input.read(&mut [0; 1]).await;
}

/// Writes what the handler says while it works, and its answer last.
async fn write_replies(
    mut output: BufWriter<OwnedWriteHalf>,
    mut replies: mpsc::Receiver<Reply>,
    answer: impl Future<Output = Reply>,
) -> Result<(), FrameError> {
    tokio::pin!(answer);
    let last = loop {
        tokio::select! {
            biased;
            Some(reply) = replies.recv() => {
                write_frame(&mut output, &reply, MAX_REPLY).await?;
                if replies.is_empty() {
                    output.flush().await?;
                }
            }
            last = &mut answer => break last,
        }
    };
    // what it said before it returned; clones of the sink that are still out there say nothing that counts
    replies.close();
    while let Ok(reply) = replies.try_recv() {
        write_frame(&mut output, &reply, MAX_REPLY).await?;
    }
    finish(output, last).await
}

/// Writes the last reply; one that is too long is replaced by a failure that says so.
async fn finish(mut output: BufWriter<OwnedWriteHalf>, last: Reply) -> Result<(), FrameError> {
    if let Err(FrameError::TooLong { length, limit }) =
        write_frame(&mut output, &last, MAX_REPLY).await
    {
        let failure = Failure::new(
            ErrorCode::Failed,
            format!("the answer has {length} bytes, more than {limit}"),
        );
        write_frame(&mut output, &Reply::Error(failure), MAX_REPLY).await?;
    }
    Ok(output.flush().await?)
}

/// A spelling of a socket's path that the kernel takes: a long one goes by way of its open directory.
pub(crate) struct ShortPath {
    path: PathBuf,
    _directory: Option<File>,
}

impl ShortPath {
    /// For the socket at `path`, whose directory exists.
    pub(crate) fn of(path: &Path) -> io::Result<ShortPath> {
        if path.as_os_str().len() <= MAX_SOCKET_PATH {
            return Ok(ShortPath { path: path.to_owned(), _directory: None });
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let directory = File::open(parent)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd())).join(name);
        Ok(ShortPath { path, _directory: Some(directory) })
    }

    /// What to give to the kernel, while this lives.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}
