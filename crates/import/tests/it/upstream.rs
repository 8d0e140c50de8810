//! A registry on the loopback interface that fails on demand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::Response;
use futures::{StreamExt, stream};
use serde_json::json;

use crate::made::{INDEX, Made};

/// An odd answer: status, one header, body.
pub(crate) type Answer = (u16, (&'static str, String), String);
pub(crate) type Access = Box<dyn FnMut(&Asked) -> Option<Answer> + Send>;
pub(crate) type Odd = Box<dyn FnMut(&str) -> Option<Answer> + Send>;

#[derive(Default)]
pub(crate) struct World {
    pub(crate) made: Made,
    /// `repository:tag` to digest.
    pub(crate) tags: BTreeMap<String, String>,
    /// Digest to the descriptors of its referrers; `None` means no referrers API.
    pub(crate) referrers: Option<BTreeMap<String, Vec<serde_json::Value>>>,
    /// The number of requests still to be answered with 429.
    pub(crate) busy: usize,
    /// Blobs whose transfer breaks once, after the given number of bytes.
    pub(crate) cut: BTreeMap<String, usize>,
    /// Blobs whose transfer breaks every time, one byte after the requested offset.
    pub(crate) always_cut: BTreeSet<String>,
    /// Digests whose content is sent with wrong bytes.
    pub(crate) wrong: BTreeSet<String>,
    /// Whether ranges are ignored.
    pub(crate) no_ranges: bool,
    /// User and password for the token server at `/token`.
    pub(crate) token: Option<(String, String)>,
    /// User and password for the registry.
    pub(crate) password: Option<(String, String)>,
    /// Refresh token for the token server.
    pub(crate) identity: Option<String>,
    /// The base URL that the token server redirects to.
    pub(crate) token_moved: Option<String>,
    /// The token server's URL as the registry states it.
    pub(crate) realm: Option<String>,
    /// The base URL that requests for blobs are redirected to.
    pub(crate) redirect: Option<String>,
    /// Tags per page.
    pub(crate) page: usize,
    /// Answers a request by its authorization instead of the rest of this registry.
    pub(crate) access: Option<Access>,
    /// Answers a request by path and query instead of the rest of this registry.
    pub(crate) odd: Option<Odd>,
    /// The requests so far: method, path, range, authorization and body.
    pub(crate) log: Vec<Asked>,
}

#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) range: Option<String>,
    pub(crate) authorization: Option<String>,
    pub(crate) body: String,
}

#[derive(Clone)]
pub(crate) struct Upstream {
    world: Arc<Mutex<World>>,
    /// `127.0.0.1:port`
    pub(crate) host: String,
}

impl Upstream {
    pub(crate) async fn start(world: World) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let upstream = Self { world: Arc::new(Mutex::new(world)), host };
        let app = axum::Router::new().fallback(answer).with_state(upstream.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        upstream
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// Takes the requests since the last call.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.world().log)
    }
}

fn plain(status: StatusCode, text: &str) -> Response {
    let body = json!({ "errors": [{ "code": "TEST", "message": text }] }).to_string();
    Response::builder().status(status).body(Body::from(body)).unwrap()
}

fn basic(user: &str, password: &str) -> String {
    // Encoded by hand for the only pair that the tests use.
    assert_eq!((user, password), ("user", "secret"));
    "Basic dXNlcjpzZWNyZXQ=".to_owned()
}

async fn answer(State(upstream): State<Upstream>, request: Request) -> Response {
    let (request, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 16).await.unwrap();
    let body = String::from_utf8(body.to_vec()).unwrap();
    let mut world = upstream.world();
    let text =
        |name| request.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (range, authorization) = (text(header::RANGE), text(header::AUTHORIZATION));
    let path = request.uri.path().to_owned();
    let query = request.uri.query().unwrap_or_default().to_owned();
    let asked = Asked {
        method: request.method.clone(),
        path: if query.is_empty() { path.clone() } else { format!("{path}?{query}") },
        range: range.clone(),
        authorization: authorization.clone(),
        body: body.clone(),
    };
    world.log.push(asked.clone());
    if let Some((status, (name, value), body)) = world.access.as_mut().and_then(|of| of(&asked)) {
        return Response::builder()
            .status(status)
            .header(name, value)
            .body(Body::from(body))
            .unwrap();
    }
    let whole = if query.is_empty() { path.clone() } else { format!("{path}?{query}") };
    if let Some((status, (name, value), body)) = world.odd.as_mut().and_then(|odd| odd(&whole)) {
        return Response::builder()
            .status(status)
            .header(name, value)
            .body(Body::from(body))
            .unwrap();
    }
    if world.busy > 0 {
        world.busy -= 1;
        let mut busy = plain(StatusCode::TOO_MANY_REQUESTS, "busy");
        busy.headers_mut().insert(header::RETRY_AFTER, "0".parse().unwrap());
        return busy;
    }
    if path == "/token" {
        if let Some(to) = &world.token_moved {
            let moved = Response::builder().status(StatusCode::TEMPORARY_REDIRECT);
            return moved
                .header(header::LOCATION, format!("{to}/token"))
                .body(Body::empty())
                .unwrap();
        }
        if let Some(identity) = &world.identity {
            let fits = body.contains("grant_type=refresh_token")
                && body.contains(&format!("refresh_token={identity}"))
                && body.contains("scope=repository%3Ateam%2Fapp%3Apull");
            return if fits {
                Response::new(Body::from(r#"{"access_token":"letmein"}"#))
            } else {
                plain(StatusCode::UNAUTHORIZED, "wrong refresh token")
            };
        }
        let (user, password) = world.token.clone().unwrap();
        if authorization != Some(basic(&user, &password)) {
            return plain(StatusCode::UNAUTHORIZED, "wrong password");
        }
        return Response::new(Body::from(r#"{"token":"letmein"}"#));
    }
    let mut refused = plain(StatusCode::UNAUTHORIZED, "who are you?");
    let by_token = world.token.is_some() || world.identity.is_some();
    if by_token && authorization.as_deref() != Some("Bearer letmein") {
        let realm =
            world.realm.clone().unwrap_or_else(|| format!("http://{}/token", upstream.host));
        let asks = format!(r#"Bearer realm="{realm}",service="test""#);
        refused.headers_mut().insert(header::WWW_AUTHENTICATE, asks.parse().unwrap());
        return refused;
    }
    if let Some((user, password)) = &world.password
        && authorization != Some(basic(user, password))
    {
        refused
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, r#"Basic realm="test""#.parse().unwrap());
        return refused;
    }
    let Some(path) = path.strip_prefix("/v2/") else {
        return plain(StatusCode::NOT_FOUND, "no such path");
    };
    if let Some(repository) = path.strip_suffix("/tags/list") {
        return tags(&world, repository, &query);
    }
    let mut parts = path.rsplitn(3, '/');
    let (name, kind, repository) =
        (parts.next().unwrap(), parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    match kind {
        "manifests" => {
            let tagged = world.tags.get(&format!("{repository}:{name}")).cloned();
            content(&mut world, &tagged.unwrap_or_else(|| name.to_owned()), None)
        }
        "blobs" => match &world.redirect {
            Some(to) => Response::builder()
                .status(StatusCode::TEMPORARY_REDIRECT)
                .header(header::LOCATION, format!("{to}/v2/{path}"))
                .body(Body::empty())
                .unwrap(),
            None => content(&mut world, name, range),
        },
        "referrers" => match &world.referrers {
            Some(referrers) => {
                let of = referrers.get(name).cloned().unwrap_or_default();
                let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": of });
                Response::new(Body::from(index.to_string()))
            }
            None => plain(StatusCode::NOT_FOUND, "no such path"),
        },
        _ => plain(StatusCode::NOT_FOUND, "no such path"),
    }
}

fn tags(world: &World, repository: &str, query: &str) -> Response {
    let prefix = format!("{repository}:");
    let all = world.tags.keys().filter_map(|name| name.strip_prefix(&prefix));
    let last = query.split('&').find_map(|part| part.strip_prefix("last=")).unwrap_or_default();
    let page: Vec<_> = all.filter(|tag| *tag > last).take(world.page.max(1)).collect();
    let mut answer = Response::builder();
    if let Some(last) = page.last() {
        let next = format!("</v2/{repository}/tags/list?n=2&last={last}>; rel=\"next\"");
        answer = answer.header(header::LINK, next);
    }
    answer.body(Body::from(json!({ "name": repository, "tags": page }).to_string())).unwrap()
}

fn content(world: &mut World, digest: &str, range: Option<String>) -> Response {
    let Some((media_type, mut bytes)) = world.made.0.get(digest).cloned() else {
        return plain(StatusCode::NOT_FOUND, "no such content");
    };
    if world.wrong.contains(digest) {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    }
    let size = bytes.len();
    let from = range
        .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    let from = from.filter(|_| !world.no_ranges);
    let mut answer = Response::builder().header(header::CONTENT_TYPE, media_type);
    if let Some(from) = from {
        if from >= size {
            return plain(StatusCode::RANGE_NOT_SATISFIABLE, "beyond the end");
        }
        let range = format!("bytes {from}-{}/{size}", size - 1);
        answer = answer.status(StatusCode::PARTIAL_CONTENT).header(header::CONTENT_RANGE, range);
        bytes.drain(..from);
    }
    answer =
        answer.header("docker-content-digest", digest).header(header::CONTENT_LENGTH, bytes.len());
    let cut = if world.always_cut.contains(digest) { Some(1) } else { world.cut.remove(digest) };
    let body = match cut {
        Some(after) => {
            bytes.truncate(after);
            let broken = async {
                // The server flushes the bytes so far when the body has nothing ready.
                tokio::task::yield_now().await;
                Err(std::io::Error::other("the line broke"))
            };
            Body::from_stream(stream::iter([Ok(bytes)]).chain(stream::once(broken)))
        }
        None => Body::from(bytes),
    };
    answer.body(body).unwrap()
}
