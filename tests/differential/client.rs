//! A client that reports responses unchanged: HTTP/1.1, one connection per request, redirects not
//! followed.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

/// How long a request may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A response.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// `None` if the body ended before its `Content-Length`.
    pub(crate) body: Option<Vec<u8>>,
}

impl Answer {
    /// A header's values joined in order of arrival; empty if there are none.
    pub(crate) fn header(&self, name: &str) -> String {
        let values = self
            .headers
            .get_all(name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()));
        values.collect::<Vec<_>>().join(", ")
    }
}

/// An HTTP client.
pub(crate) struct Client(Runtime);

impl Client {
    pub(crate) fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Self(runtime.expect("a runtime"))
    }

    /// Sends a request to `host` (`address:port`) and waits for the complete response. The error
    /// says why there is none.
    pub(crate) fn send(
        &self,
        host: &str,
        method: &Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<Answer, String> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, host)
            .header("connection", "close");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body)).map_err(|e| e.to_string())?;
        self.0.block_on(async {
            let answer = tokio::time::timeout(PATIENCE, exchange(host, request)).await;
            answer.map_err(|_| format!("no answer within {PATIENCE:?}"))?
        })
    }
}

async fn exchange(host: &str, request: Request<Body>) -> Result<Answer, String> {
    let stream = TcpStream::connect(host).await.map_err(|e| e.to_string())?;
    let shaken = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = shaken.map_err(|e| e.to_string())?;
    let connection = tokio::spawn(connection);
    let answer = sender.send_request(request).await.map_err(|e| e.to_string())?;
    let (parts, body) = answer.into_parts();
    let body = to_bytes(Body::new(body), usize::MAX).await.ok().map(Vec::from);
    connection.abort();
    Ok(Answer { status: parts.status, headers: parts.headers, body })
}
