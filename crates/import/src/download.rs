//! Downloads a URL to a file: streamed, resumed by range, and retried.
//!
//! Owns the exchange with the web server. Promises that memory does not grow with the file, that
//! bytes of two versions of the upstream's file are never joined, that nothing beyond the size
//! limit is written, and that every wait is bounded. Does not vouch for the bytes: checksums and
//! signatures decide whether they are the right ones.

mod answer;
mod coding;
mod netrc;
mod packed;
mod part;
mod taking;

use std::time::Duration;

use perennial_store::Room;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, IF_RANGE, RANGE};
use reqwest::{Method, Response, StatusCode, Url};

pub(crate) use answer::{Answer, range_of};
pub(crate) use coding::{Coding, GZIP};
pub(crate) use part::Part;
pub(crate) use taking::{Taken, take};

use self::netrc::Netrc;
use crate::client::{Client, Failure, Tried, why};
use crate::error::shown;
use crate::locked::when_free;
use crate::meter::{FileMeter, Meter, blocking};
use crate::retry::{RetryPolicy, asked_to_wait, is_later, wish};
use crate::{ImportError, Options, html};

/// Bytes buffered before they are written.
const PIECE: usize = 1 << 20;
/// Bytes of progress that reset the number of tries.
const PROGRESS: u64 = 1 << 20;
/// A requested file, and the terms for accepting it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Want<'a> {
    pub(crate) url: &'a Url,
    /// The size limit, in bytes.
    pub(crate) most: u64,
    /// Whether an HTML page is acceptable.
    pub(crate) html: bool,
    /// Whether the file may well be missing: any client error then means that it is, and fewer
    /// tries are made.
    pub(crate) optional: bool,
    /// Whether there is another place to get it from, so that fewer tries are made.
    pub(crate) spare: bool,
}

impl<'a> Want<'a> {
    /// A file that must be there, at this place.
    pub(crate) fn of(url: &'a Url, most: u64, html: bool) -> Self {
        Self { url, most, html, optional: false, spare: false }
    }
}

/// A complete download, with the response's headers.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) part: Part,
    pub(crate) answer: Answer,
}

/// Downloads files into one directory.
pub(crate) struct Downloader<'a> {
    client: Client,
    netrc: Netrc,
    room: Room,
    meter: &'a Meter<'a>,
}

/// An attempt that did not complete the file.
enum Trouble {
    /// A retry is useless.
    Final(ImportError),
    /// Retry from these bytes, after the wait that the server asks for.
    Again(Part, ImportError, Option<Duration>),
    /// Retry from these bytes, if a refused connection may be tried again.
    Refused(Part, ImportError),
}

impl From<ImportError> for Trouble {
    fn from(error: ImportError) -> Self {
        Self::Final(error)
    }
}

impl<'a> Downloader<'a> {
    pub(crate) fn new(
        options: &Options,
        room: Room,
        meter: &'a Meter<'a>,
    ) -> Result<Self, ImportError> {
        let netrc = Netrc::of(&options.environment)?;
        Ok(Self { client: Client::new(options)?, netrc, room, meter })
    }

    /// Fetches a URL, resuming a download that an earlier import left.
    pub(crate) async fn fetch(&self, want: Want<'_>) -> Result<Fetched, ImportError> {
        self.meter.unless_cancelled(self.keep_trying(want)).await
    }

    async fn keep_trying(&self, want: Want<'_>) -> Result<Fetched, ImportError> {
        let is_short = want.optional || want.spare;
        let patience = if is_short { RetryPolicy::SHORT } else { RetryPolicy::LONG };
        let mut part = self.open(want).await?;
        let mut meter = self.meter.file();
        let mut tried = 0;
        let mut farthest = part.len();
        loop {
            let (left, error, wish, refused) = match self.attempt(part, want, &mut meter).await {
                Ok(Fetched { part, answer }) => {
                    meter.done();
                    if answer.codings.is_empty() {
                        return Ok(Fetched { part, answer });
                    }
                    return unpacked(part, answer, want).await;
                }
                Err(Trouble::Final(error)) => return Err(error),
                Err(Trouble::Again(left, error, wish)) => (left, error, wish, false),
                Err(Trouble::Refused(left, error)) => (left, error, None, true),
            };
            tried += 1;
            if left.len() >= farthest.saturating_add(PROGRESS) {
                (tried, farthest) = (1, left.len());
            }
            part = left;
            let failed = Tried { times: tried, error: &error, wish, refused };
            if !self.client.again(patience, failed).await {
                return Err(error);
            }
        }
    }

    /// Opens the partial file of a URL, once no other import writes to it. What may be missing is
    /// small, and kept while other files are waited for: it has a file of its own.
    async fn open(&self, want: Want<'_>) -> Result<Part, ImportError> {
        let url = want.url;
        if want.optional {
            let (room, url) = (self.room.clone(), url.clone());
            return blocking(move || Part::alone(&room, &url)).await;
        }
        when_free(|| {
            let (room, url) = (self.room.clone(), url.clone());
            blocking(move || Part::open(&room, &url))
        })
        .await
    }

    async fn attempt(
        &self,
        mut part: Part,
        want: Want<'_>,
        meter: &mut FileMeter<'_>,
    ) -> Result<Fetched, Trouble> {
        let what = shown(want.url);
        let upstream = |reason: String| ImportError::Upstream { what: what.clone(), reason };
        // Asks for the bytes unencoded: a compressed body would not be the file.
        let mut request = self.client.request(Method::GET, want.url);
        if let Some(login) = self.netrc.login(want.url) {
            request = request.basic_auth(&login.user, Some(&login.password));
        }
        request = request.header(ACCEPT, "*/*").header(ACCEPT_ENCODING, "identity");
        let from = part.resume()?;
        if let Some((from, validator)) = &from {
            request = request.header(RANGE, format!("bytes={from}-")).header(IF_RANGE, validator);
        }
        let response = match self.client.send(request).await {
            Ok(response) => response,
            Err(Failure::Permanent(error)) => return Err(error.into()),
            Err(Failure::Transient(error)) => return Err(Trouble::Again(part, error, None)),
            Err(Failure::Refused(error)) => return Err(Trouble::Refused(part, error)),
        };
        let status = response.status();
        let wait = asked_to_wait(response.headers());
        let said = upstream(format!("the server answers {status}{wait}"));
        match (status, &from) {
            (StatusCode::PARTIAL_CONTENT, Some((from, validator))) => {
                let answer = Answer::of(&response);
                let is_same = answer.validator().is_none_or(|now| now == *validator);
                let goes_on = range_of(&response).is_some_and(|(first, total)| {
                    first == *from && total.is_none_or(|total| part.may_have(total))
                });
                if !is_same || !goes_on {
                    part.begin(None, None, &[])?;
                    let error = upstream("another part of the file came than was asked for".into());
                    return Err(Trouble::Again(part, error, Some(Duration::ZERO)));
                }
            }
            (StatusCode::OK | StatusCode::NON_AUTHORITATIVE_INFORMATION, _) => {
                let answer = Answer::of(&response);
                part.begin(answer.validator(), response.content_length(), &answer.codings)?;
            }
            (StatusCode::RANGE_NOT_SATISFIABLE, Some(_)) => {
                part.begin(None, None, &[])?;
                return Err(Trouble::Again(part, said, Some(Duration::ZERO)));
            }
            (StatusCode::NOT_FOUND | StatusCode::GONE, _) => {
                return Err(ImportError::Gone {
                    what,
                    reason: format!("the server answers {status}"),
                }
                .into());
            }
            (status, _) if is_later(status, response.headers()) => {
                let wish = wish(response.headers());
                return Err(Trouble::Again(part, said, wish));
            }
            (status, _) if want.optional && status.is_client_error() => {
                return Err(ImportError::Gone {
                    what,
                    reason: format!("the server answers {status}"),
                }
                .into());
            }
            _ => return Err(said.into()),
        }
        receive(part, want, response, meter).await
    }
}

/// The file in a body that the server may have packed.
async fn unpacked(part: Part, answer: Answer, want: Want<'_>) -> Result<Fetched, ImportError> {
    let (url, Want { most, html, .. }) = (want.url.clone(), want);
    blocking(move || {
        let want = Want::of(&url, most, html);
        let part = packed::unpacked(part, &answer, want)?;
        Ok(Fetched { part, answer })
    })
    .await
}

/// Appends the body to the file.
async fn receive(
    mut part: Part,
    want: Want<'_>,
    mut response: Response,
    meter: &mut FileMeter<'_>,
) -> Result<Fetched, Trouble> {
    let what = shown(want.url);
    let mut answer = Answer::of(&response);
    if answer.status == 206 && answer.codings.is_empty() {
        answer.codings = part.codings();
    }
    // A server may send less of a range than was asked for: the file's length counts.
    let rest = response.content_length().map(|rest| part.len().saturating_add(rest));
    let whole = range_of(&response).and_then(|(_, total)| total).or_else(|| part.total());
    let total = whole.filter(|_| answer.status == 206).or(rest);
    if total.is_some_and(|total| total > want.most) {
        return Err(discard(part, too_long(&what, want.most)).await);
    }
    if answer.is_html() && !want.html {
        return Err(discard(part, html::refusal(&what)).await);
    }
    meter.begin(part.len(), response.content_length());
    let mut piece = Vec::with_capacity(PIECE);
    loop {
        let chunk = match response.chunk().await {
            Ok(chunk) => chunk,
            Err(error) => {
                let part = blocking(move || {
                    part.write(&piece)?;
                    part.settle()?;
                    Ok(part)
                });
                let reason = format!("the transfer broke off: {}", why(error));
                return Err(Trouble::Again(
                    part.await?,
                    ImportError::Upstream { what, reason },
                    None,
                ));
            }
        };
        let is_end = chunk.is_none();
        if let Some(chunk) = chunk {
            meter.bytes(chunk.len() as u64);
            piece.extend_from_slice(&chunk);
        }
        if part.len() + piece.len() as u64 > want.most {
            return Err(discard(part, too_long(&what, want.most)).await);
        }
        // Pages are also served under other media types.
        if part.len() == 0
            && !want.html
            && (is_end || piece.len() >= html::ENOUGH)
            && html::is_html(&piece)
        {
            return Err(discard(part, html::refusal(&what)).await);
        }
        if is_end || piece.len() >= PIECE {
            (part, piece) = blocking(move || {
                part.write(&piece)?;
                piece.clear();
                Ok((part, piece))
            })
            .await?;
        }
        if is_end {
            break;
        }
    }
    if total.is_some_and(|total| total != part.len()) {
        let reason = "the transfer ended early".into();
        return Err(Trouble::Again(part, ImportError::Upstream { what, reason }, None));
    }
    Ok(Fetched { part, answer })
}

fn too_long(what: &str, most: u64) -> ImportError {
    ImportError::Unfit {
        what: what.to_owned(),
        reason: format!("it is longer than {most} bytes, the most that is taken"),
    }
}

/// Removes the partial file, which no later attempt can use.
async fn discard(part: Part, error: ImportError) -> Trouble {
    Trouble::Final(blocking(|| part.remove()).await.err().unwrap_or(error))
}
