//! One connection, from its handshake to its end.
//!
//! Every connection ends: when it idles, stalls, loses its slot, or the server stops.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::uri::Scheme;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use perennial_protocol::Prefix;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tower::Service;

use super::Limits;
use super::activity::{Activity, Answer, InFlight, TrackedStream};
use super::tls::Tls;
use crate::client::Client;
use crate::http_error::HttpError;

/// The smallest limit on request heads that hyper accepts.
const LEAST_HEAD: usize = 8 << 10;
/// Concurrent requests per HTTP/2 connection, at most.
const STREAMS: u32 = 32;

/// An accepted connection.
pub(super) struct Connection {
    pub(super) activity: Arc<Activity>,
    pub(super) limits: Limits,
    pub(super) tls: Option<Tls>,
    pub(super) router: Router,
    pub(super) stopping: CancellationToken,
    /// Where the client is.
    pub(super) prefix: Prefix,
}

impl Connection {
    /// Serves the connection until it ends.
    pub(super) async fn run(self, stream: TcpStream) {
        let stream = TrackedStream { stream, activity: Arc::clone(&self.activity) };
        match &self.tls {
            None => self.serve(stream, Scheme::HTTP).await,
            Some(tls) => {
                let handshake = tokio::time::timeout(self.limits.head_time, tls.accept(stream));
                tokio::select! {
                    outcome = handshake => match outcome {
                        Ok(Ok(stream)) => self.serve(stream, Scheme::HTTPS).await,
                        Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
                        Err(_) => tracing::debug!("TLS handshake timed out"),
                    },
                    () = self.activity.ended() => {}
                    () = self.stopping.cancelled() => {}
                }
            }
        }
    }

    async fn serve(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        scheme: Scheme,
    ) {
        let limits = self.limits;
        let head_bytes = limits.head_bytes.max(LEAST_HEAD);
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head_time)
            .max_buf_size(head_bytes);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(u32::try_from(head_bytes).unwrap_or(u32::MAX))
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(4 << 20);
        let (router, activity) = (self.router.clone(), Arc::clone(&self.activity));
        let (client, patience) = (Client(self.prefix), limits.answer_time);
        let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            // Taken from the connection, because a scheme sent by the client is only a claim.
            request.extensions_mut().insert(scheme.clone());
            request.extensions_mut().insert(client);
            answer(router.clone(), activity.request(), request, patience)
        });
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let interval = limits.head_time.min(limits.stalled) / 4;
        let mut finishing = false;
        loop {
            tokio::select! {
                outcome = connection.as_mut() => {
                    if let Err(error) = outcome {
                        tracing::debug!(%error, "connection ended with an error");
                    }
                    return;
                }
                // Its place is another's already.
                () = self.activity.ended() => return,
                () = self.activity.finished(), if !finishing => {
                    finishing = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = self.stopping.cancelled(), if !finishing => {
                    finishing = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = tokio::time::sleep(interval.max(Duration::from_millis(10))) => {
                    if self.activity.still() >= limits.stalled {
                        tracing::debug!("connection stood still for too long");
                        return;
                    }
                    let slow = self.activity.not_taking();
                    if slow.is_some_and(|slow| slow.elapsed() >= limits.slowest) {
                        tracing::debug!("a client reads its response too slowly");
                        return;
                    }
                    let idle = self.activity.idle();
                    if !finishing && idle.is_some_and(|idle| idle.elapsed() >= limits.head_time) {
                        finishing = true;
                        connection.as_mut().graceful_shutdown();
                    }
                }
            }
        }
    }
}

async fn answer(
    mut router: Router,
    in_flight: InFlight,
    request: Request<Incoming>,
    patience: Duration,
) -> Result<Response, Infallible> {
    // What brings a body lasts as long as the body, and only the owner's is read.
    let has_deadline = matches!(*request.method(), Method::GET | Method::HEAD);
    // A router is always ready.
    let answer = router.call(request.map(Body::new));
    let answer = match has_deadline {
        false => answer.await?,
        true => match tokio::time::timeout(patience, answer).await {
            Ok(answer) => answer?,
            Err(_) => {
                let message = "this node found no answer in time: try again in a minute";
                HttpError::new(StatusCode::SERVICE_UNAVAILABLE, message).into_response()
            }
        },
    };
    Ok(answer.map(|body| Body::new(Answer { body, in_flight })))
}
