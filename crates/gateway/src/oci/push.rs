//! Pushing blobs: whole, in chunks, or by mounting a held blob.

use std::time::Instant;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use perennial_oci::Digest;

use super::error::OciError;
use super::name::Named;
use super::pull::{CONTENT_DIGEST, RegistryRequest};
use super::upload::{self, Open, append, finish};
use super::{Parameters, Registry};
use crate::client;

const UPLOAD_ID: HeaderName = HeaderName::from_static("docker-upload-uuid");

impl Registry {
    /// `POST /v2/<name>/blobs/uploads/`: begins an upload, stores a whole blob, or mounts one.
    pub(crate) async fn begin_upload(
        &self,
        asked: &RegistryRequest<'_>,
        name: Named,
        query: &Parameters,
        body: Body,
    ) -> Result<Response, OciError> {
        // A blob that cannot be mounted, for any reason, can still be uploaded.
        if let Some(mounted) = query.get("mount").and_then(|text| text.parse::<Digest>().ok())
            && self.held(&mounted).await?.is_some()
        {
            return Ok(created(asked, &mounted));
        }
        let whole = query.get("digest").map(|text| text.parse().map_err(|_| OciError::digest()));
        let whole = whole.transpose()?;
        let id = self.uploads.begin(name.clone(), client::prefix(), Instant::now())?;
        let part = self.uploads.open(&name, &id, Instant::now())?;
        match whole {
            None => Ok(accepted(asked, &id, part.received(), StatusCode::ACCEPTED)),
            Some(digest) => {
                let _ending = self.uploads.ending(&id);
                self.take(asked, &id, part, digest, body).await
            }
        }
    }

    /// Requests on an upload in progress: its status, a chunk, its end, its cancellation.
    pub(crate) async fn go_on(
        &self,
        asked: &RegistryRequest<'_>,
        name: Named,
        id: &str,
        query: &Parameters,
        body: Body,
    ) -> Result<Response, OciError> {
        let part = self.uploads.open(&name, id, Instant::now())?;
        match *asked.method {
            Method::GET | Method::HEAD => {
                Ok(accepted(asked, id, part.received(), StatusCode::NO_CONTENT))
            }
            Method::PATCH => {
                in_order(asked, id, &part)?;
                let part = append(part, body).await?;
                Ok(accepted(asked, id, part.received(), StatusCode::ACCEPTED))
            }
            Method::PUT => {
                let digest = query.get("digest").and_then(|text| text.parse::<Digest>().ok());
                let digest = digest.ok_or_else(OciError::digest)?;
                in_order(asked, id, &part)?;
                self.take(asked, id, part, digest, body).await
            }
            // DELETE, the only method left.
            _ => {
                self.uploads.end(id);
                Ok(with(StatusCode::NO_CONTENT, vec![(UPLOAD_ID, id.to_owned())]))
            }
        }
    }

    /// Appends the last bytes, and stores the upload as a blob if its digest matches.
    async fn take(
        &self,
        asked: &RegistryRequest<'_>,
        id: &str,
        part: Open,
        digest: Digest,
        body: Body,
    ) -> Result<Response, OciError> {
        let part = append(part, body).await?;
        let taken = finish(part, self.gateway.backend.store().clone(), digest).await;
        self.uploads.end(id);
        let (added, lease) = taken?;
        let media_type = "application/octet-stream".to_owned();
        self.pending.keep(digest, added, media_type, lease, Instant::now());
        Ok(created(asked, &digest))
    }
}

/// Rejects a chunk that does not begin where the last one ended, or whose length differs from its
/// range.
fn in_order(asked: &RegistryRequest<'_>, id: &str, part: &Open) -> Result<(), OciError> {
    let length = asked
        .headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: u64| length > perennial_store::MAX_BLOB) {
        return Err(upload::too_large());
    }
    let Some(range) = asked.headers.get(header::CONTENT_RANGE) else { return Ok(()) };
    let bounds = range.to_str().ok().and_then(|text| text.split_once('-'));
    let number =
        |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u64>().ok())?;
    let bounds = bounds.and_then(|(first, last)| Some((number(first)?, number(last)?)));
    let have = part.received();
    let fits = |(first, last): (u64, u64)| {
        let said = last.checked_sub(first).and_then(|span| span.checked_add(1));
        first == have && said.is_some_and(|said| length.is_none_or(|length| length == said))
    };
    if bounds.is_some_and(fits) {
        return Ok(());
    }
    let message = format!(
        "{have} bytes were received: the next chunk begins there and is as long as its range"
    );
    let error = OciError::new(StatusCode::RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID", message);
    Err(error.and(placed(asked, id, have)))
}

/// The headers that give an upload's location and the bytes received so far.
fn placed(asked: &RegistryRequest<'_>, id: &str, received: u64) -> Vec<(HeaderName, String)> {
    vec![
        (header::LOCATION, asked.location(&format!("/blobs/uploads/{id}"))),
        (header::RANGE, format!("0-{}", received.saturating_sub(1))),
        (UPLOAD_ID, id.to_owned()),
    ]
}

fn accepted(asked: &RegistryRequest<'_>, id: &str, received: u64, status: StatusCode) -> Response {
    with(status, placed(asked, id, received))
}

fn created(asked: &RegistryRequest<'_>, digest: &Digest) -> Response {
    let location = asked.location(&format!("/blobs/{digest}"));
    with(
        StatusCode::CREATED,
        vec![(header::LOCATION, location), (CONTENT_DIGEST, digest.to_string())],
    )
}

/// A response without a body.
pub(crate) fn with(status: StatusCode, headers: Vec<(HeaderName, String)>) -> Response {
    let mut response = status.into_response();
    for (name, value) in headers {
        let _ =
            HeaderValue::try_from(value).map(|value| response.headers_mut().insert(name, value));
    }
    response
}
