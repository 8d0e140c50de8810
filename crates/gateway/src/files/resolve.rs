//! Resolves a name to a release, by the publishers that this node's user follows.
//!
//! Owns the responses to names that match no release, or several.

use std::fmt::Write as _;

use axum::http::StatusCode;
use futures::future::join_all;
use perennial_manifest::{Candidate, Name, PublisherId, Purl, Resolution, Selector};
use perennial_store::{ReleaseRow, StoreError};

use crate::blocking::blocking;
use crate::gateway::Gateway;
use crate::http_error::HttpError;

/// Releases listed in one error response, at most.
const NAMED: usize = 50;
/// Near misses named in one error response, at most.
const NEAR: usize = 5;
/// Lists fetched to decide on one name, at most.
const LISTS: usize = 32;

/// The release that a selector resolves to. Peers are asked for a name that no trusted publisher,
/// or not the given one, signed as far as this node knows.
pub(crate) async fn row_of(
    gateway: &Gateway,
    selector: Selector,
    only: Option<PublisherId>,
) -> Result<ReleaseRow, HttpError> {
    let mut resolved = resolve(gateway, &selector, only).await?;
    if matches!(resolved.0, Resolution::NotFound | Resolution::Strangers(_))
        && !gateway.ask(selector.clone(), only).await.releases.is_empty()
    {
        resolved = resolve(gateway, &selector, only).await?;
    }
    if decide(gateway, &resolved.0).await? {
        resolved = resolve(gateway, &selector, only).await?;
    }
    let (status, message, candidates) = match resolved {
        (Resolution::Found(_), Some(row), _) => return Ok(row),
        (Resolution::Found(_) | Resolution::NotFound, _, near) => {
            let mut unknown = HttpError::unknown(&format!("release {selector}"));
            for name in near.iter().map(Name::shortest) {
                // Writing to a String cannot fail.
                let _ = write!(unknown.message, "\nknown is {name}");
            }
            return Err(unknown);
        }
        (Resolution::Conflict(found), ..) => {
            let message = format!(
                "publishers that this node follows, or branches of a forked feed, disagree on the \
                 bytes of {selector}: ask with ?publisher=DID, or by the release's id below /r/"
            );
            (StatusCode::CONFLICT, message, found)
        }
        (Resolution::Ambiguous(found), ..) => {
            let message =
                format!("{selector} may mean several releases: ask for one of them below /r/");
            (StatusCode::MULTIPLE_CHOICES, message, found)
        }
        (Resolution::Strangers(found), ..) => {
            let message = match only {
                Some(only) => format!("{only} signed no {selector}; other publishers did"),
                None => format!(
                    "{selector} was signed only by publishers that this node does not follow: \
                     `perennial follow DID` on this node trusts one of them; ?publisher=DID or the \
                     release's id below /r/ asks for it without following"
                ),
            };
            (StatusCode::NOT_FOUND, message, found)
        }
    };
    Err(HttpError::new(status, listing(message, &candidates)))
}

/// Fetches the lists that a resolution hangs on, as far as they can be had. Returns whether there
/// were any.
async fn decide(gateway: &Gateway, resolution: &Resolution) -> Result<bool, HttpError> {
    let undecided: Vec<_> =
        resolution.undecided().iter().map(|one| (one.release, one.artifacts)).collect();
    if undecided.is_empty() || undecided.len() > LISTS {
        return Ok(false);
    }
    let bring = undecided.iter().map(|(release, list)| gateway.bring_list(*release, list, false));
    let brought = join_all(bring).await.into_iter().zip(undecided);
    let brought: Vec<_> =
        brought.filter_map(|(came, (release, _))| came.ok().map(|()| release)).collect();
    let store = gateway.backend.store().clone();
    blocking(move || {
        for release in brought {
            match store.note_content(&release) {
                Err(StoreError::InvalidList { .. }) => {}
                noted => noted?,
            }
        }
        Ok(true)
    })
    .await
}

/// What a selector means to this node, the row of the release that it names, and names near it.
async fn resolve(
    gateway: &Gateway,
    selector: &Selector,
    only: Option<PublisherId>,
) -> Result<(Resolution, Option<ReleaseRow>, Vec<Purl>), HttpError> {
    let (store, own, asked) =
        (gateway.backend.store().clone(), gateway.backend.publisher(), selector.clone());
    blocking(move || {
        let resolution = store.resolve(&asked, &own, only.as_ref())?;
        let near = match &resolution {
            Resolution::NotFound => store.near_briefly(&asked, NEAR)?,
            _ => Vec::new(),
        };
        let row = match &resolution {
            Resolution::Found(found) => {
                found.first().map(|found| store.release(&found.release)).transpose()?.flatten()
            }
            _ => None,
        };
        Ok((resolution, row, near))
    })
    .await
}

fn listing(mut message: String, candidates: &[Candidate]) -> String {
    for candidate in candidates.iter().take(NAMED) {
        // Writing to a String cannot fail.
        let _ =
            write!(message, "\n{} {} {}", candidate.publisher, candidate.release, candidate.purl);
    }
    if candidates.len() > NAMED {
        let _ = write!(message, "\nand {} more", candidates.len() - NAMED);
    }
    message
}
