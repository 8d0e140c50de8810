//! An upstream for tests: a web server on the loopback address with scripted answers, and a store
//! to import into.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response, StatusCode};
use futures::StreamExt;
use perennial_import::{ImportError, Imported, Options, Progress, Urls, Watch, urls};
use perennial_manifest::{Artifact, Draft, Purl, Role};
use perennial_store::{OpenOptions, Store};

/// A request: its path and headers.
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    /// The number of earlier requests for this path.
    pub(crate) before: usize,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The first offset of the requested range.
    pub(crate) fn from(&self) -> Option<usize> {
        self.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }
}

/// A scripted response.
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// The number of body bytes after which the connection breaks.
    cut: Option<usize>,
    endless: bool,
    chunked: bool,
}

impl Reply {
    pub(crate) fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self {
            status: 200,
            headers: Vec::new(),
            body: body.into(),
            cut: None,
            endless: false,
            chunked: false,
        }
    }

    pub(crate) fn status(status: u16) -> Self {
        Self { status, ..Self::ok("") }
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// Breaks the connection after `after` bytes of the body.
    pub(crate) fn cut(self, after: usize) -> Self {
        Self { cut: Some(after), ..self }
    }

    /// Makes the body endless.
    pub(crate) fn endless(self) -> Self {
        Self { endless: true, ..self }
    }

    /// Sends the body without its length.
    pub(crate) fn chunked(self) -> Self {
        Self { chunked: true, ..self }
    }

    /// A 206 with the bytes from an offset to the end.
    pub(crate) fn rest(body: &[u8], from: usize) -> Self {
        Self::part(body, from, body.len())
    }

    /// A 206 with the bytes between two offsets.
    pub(crate) fn part(body: &[u8], from: usize, to: usize) -> Self {
        let range = format!("bytes {from}-{}/{}", to - 1, body.len());
        Self { status: 206, ..Self::ok(&body[from..to]) }.header("content-range", &range)
    }

    fn into_response(self) -> Response<Body> {
        let mut response = Response::builder().status(StatusCode::from_u16(self.status).unwrap());
        for (name, value) in &self.headers {
            response = response.header(*name, value);
        }
        let body = if self.endless {
            let piece = Bytes::from(vec![7; 64 << 10]);
            Body::from_stream(futures::stream::repeat_with(move || {
                Ok::<_, std::io::Error>(piece.clone())
            }))
        } else if let Some(cut) = self.cut {
            response = response.header("content-length", self.body.len());
            let start = Bytes::copy_from_slice(&self.body[..cut]);
            let broken = futures::stream::once(async {
                // The bytes before the break must be on their way first.
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                Err(std::io::Error::other("cut"))
            });
            Body::from_stream(futures::stream::iter([Ok(start)]).chain(broken))
        } else if self.chunked {
            let body = Ok::<_, std::io::Error>(Bytes::from(self.body));
            Body::from_stream(futures::stream::iter([body]))
        } else {
            Body::from(self.body)
        };
        response.body(body).unwrap()
    }
}

type Script = dyn Fn(&Asked) -> Reply + Send + Sync;

#[derive(Clone)]
struct Shared {
    script: Arc<Script>,
    log: Arc<Mutex<Vec<Arc<Asked>>>>,
}

/// A web server that lives as long as the test.
pub(crate) struct Web {
    pub(crate) addr: SocketAddr,
    log: Arc<Mutex<Vec<Arc<Asked>>>>,
}

impl Web {
    pub(crate) async fn start(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let shared = Shared { script: Arc::new(script), log: Arc::default() };
        let log = Arc::clone(&shared.log);
        let app = axum::Router::new().fallback(answer).with_state(shared);
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { addr, log }
    }

    /// Serves files by path, and 404 for every other path.
    pub(crate) async fn files(files: impl IntoIterator<Item = (&'static str, Vec<u8>)>) -> Self {
        let files: HashMap<_, _> = files.into_iter().collect();
        Self::start(move |asked| match files.get(asked.path.as_str()) {
            Some(bytes) => Reply::ok(bytes.clone()),
            None => Reply::status(404),
        })
        .await
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// The requests for a path.
    pub(crate) fn asked(&self, path: &str) -> Vec<Arc<Asked>> {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.iter().filter(|asked| asked.path == path).cloned().collect()
    }
}

async fn answer(State(shared): State<Shared>, request: Request) -> Response<Body> {
    let path = request.uri().path_and_query().unwrap().to_string();
    let asked = {
        let mut log = shared.log.lock().unwrap_or_else(PoisonError::into_inner);
        let before = log.iter().filter(|asked| asked.path == path).count();
        let asked = Arc::new(Asked { path, headers: request.headers().clone(), before });
        log.push(Arc::clone(&asked));
        asked
    };
    (shared.script)(&asked).into_response()
}

/// A store in a temporary directory.
pub(crate) struct Here {
    pub(crate) store: Store,
    _dir: tempfile::TempDir,
}

impl Here {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), OpenOptions::default()).unwrap();
        Self { store, _dir: dir }
    }

    /// Names of the files that downloads left behind.
    pub(crate) fn incoming(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.store.incoming()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }

    /// Whether the store has exactly these bytes under both of an artifact's digests.
    pub(crate) fn holds(&self, artifact: &Artifact, bytes: &[u8]) -> bool {
        artifact.blake3.as_bytes() == blake3::hash(bytes).as_bytes()
            && artifact.size == bytes.len() as u64
            && self.store.blob_of_sha256(&artifact.sha256).unwrap() == Some(artifact.blake3)
    }
}

pub(crate) fn artifact<'a>(draft: &'a Draft, path: &str) -> &'a Artifact {
    draft.artifacts.iter().find(|artifact| artifact.path.as_str() == path).unwrap_or_else(|| {
        let paths: Vec<_> = draft.artifacts.iter().map(|artifact| &artifact.path).collect();
        panic!("{path} is not among {paths:?}")
    })
}

pub(crate) fn private() -> Options {
    Options { allow_private: true, ..Options::default() }
}

/// Bytes that look like neither an HTML page nor a checksum file.
pub(crate) fn bytes(len: usize) -> Vec<u8> {
    let mut out = vec![0; len];
    blake3::Hasher::new().update(&len.to_le_bytes()).finalize_xof().fill(&mut out);
    out
}

/// Records the last progress; cancels after `cancel_after` bytes.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) last: Mutex<Progress>,
    pub(crate) cancel_after: Option<u64>,
}

impl Watch for Seen {
    fn progress(&self, progress: &Progress) {
        *self.last.lock().unwrap() = progress.clone();
    }

    fn is_cancelled(&self) -> bool {
        self.cancel_after.is_some_and(|most| self.last.lock().unwrap().bytes >= most)
    }
}

/// A request for some URLs, as most tests want it.
pub(crate) fn what(urls: impl IntoIterator<Item = String>) -> Urls {
    Urls {
        urls: urls.into_iter().collect(),
        purl: Purl::generic("tool", "v1").unwrap(),
        license: None,
        file_name: None,
        html: false,
        notes: None,
        guess: |name| {
            if name.ends_with(".md") {
                (Role::Doc, "text/markdown")
            } else {
                (Role::Binary, "application/octet-stream")
            }
        },
    }
}

/// Imports URLs with the default request.
pub(crate) async fn import(
    here: &Here,
    urls_: impl IntoIterator<Item = String>,
) -> Result<Imported, ImportError> {
    urls(&here.store, &private(), &what(urls_), &Seen::default()).await
}

/// A digest as hex digits.
pub(crate) fn hex(digest: impl AsRef<[u8]>) -> String {
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
