//! One connection, from its handshake to its end.
//!
//! Promises that it ends: when it idles, when it stands still, when its place is wanted, when the server stops.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::uri::Scheme;
use axum::response::Response;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tower::Service;

use super::Limits;
use super::activity::{Activity, Answer, InFlight, TrackedStream};
use super::tls::Tls;

/// The least that hyper takes for a head.
const LEAST_HEAD: usize = 8 << 10;
/// Most requests at once on one connection of HTTP/2.
const STREAMS: u32 = 32;

/// A connection that was taken.
pub(super) struct Connection {
    pub(super) life: Arc<Activity>,
    pub(super) limits: Limits,
    pub(super) tls: Option<Tls>,
    pub(super) router: Router,
    pub(super) stopping: CancellationToken,
}

impl Connection {
    /// Serves it to its end.
    pub(super) async fn run(self, stream: TcpStream) {
        let stream = TrackedStream { stream, life: Arc::clone(&self.life) };
        match &self.tls {
            None => self.serve(stream, Scheme::HTTP).await,
            Some(tls) => {
                let handshake = tokio::time::timeout(self.limits.head_time, tls.accept(stream));
                tokio::select! {
                    outcome = handshake => match outcome {
                        Ok(Ok(stream)) => self.serve(stream, Scheme::HTTPS).await,
                        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                        Err(_) => tracing::debug!("a TLS handshake took too long"),
                    },
                    () = self.life.ended() => {}
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
        let (router, life) = (self.router.clone(), Arc::clone(&self.life));
        let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            // what the client says of it is only a claim
            request.extensions_mut().insert(scheme.clone());
            answer(router.clone(), life.request(), request)
        });
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let look = limits.head_time.min(limits.stalled) / 4;
        let mut finishing = false;
        loop {
            tokio::select! {
                outcome = connection.as_mut() => {
                    if let Err(error) = outcome {
                        tracing::debug!(%error, "a connection ended with an error");
                    }
                    return;
                }
                // asked for before it got something to do: it goes on
                () = self.life.ended() => if super::may_end(&self.life).is_some() { return },
                () = self.stopping.cancelled(), if !finishing => {
                    finishing = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = tokio::time::sleep(look.max(Duration::from_millis(10))) => {
                    if self.life.still() >= limits.stalled {
                        tracing::debug!("a connection stood still for too long");
                        return;
                    }
                    if !finishing && self.life.idle().is_some_and(|idle| idle >= limits.head_time) {
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
) -> Result<Response, Infallible> {
    // a router is always ready
    let answer = router.call(request.map(Body::new)).await?;
    Ok(answer.map(|body| Body::new(Answer { body, in_flight })))
}
