//! Lists of tags and of repositories, in pages.

use std::collections::{BTreeSet, HashMap};

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::Registry;
use super::error::{self, OciError};
use super::image_catalog::Image;
use super::name::{Named, prefixed};
use super::policy::{Meaning, meaning, strangers};
use super::pull::only;
use crate::gateway::TRUSTS_NONE;

/// Names in one page, at most.
const PAGE: usize = 10_000;

/// Characters escaped in a query, as the reference registry escapes them.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The page that a query asks for.
struct Page {
    most: usize,
    after: Option<String>,
}

impl Page {
    /// A limit that does not parse as a number is ignored.
    fn of(query: &HashMap<String, String>) -> Self {
        let most = query.get("n").and_then(|text| text.parse().ok()).unwrap_or(PAGE).min(PAGE);
        Self { most, after: query.get("last").filter(|last| !last.is_empty()).cloned() }
    }

    /// One page of the sorted names, and the page's last name if more follow.
    fn cut(&self, mut names: Vec<String>) -> (Vec<String>, Option<String>) {
        if let Some(after) = &self.after {
            names.retain(|name| name > after);
        }
        let more = names.len() > self.most;
        names.truncate(self.most);
        let last = names.last().filter(|_| more).cloned();
        (names, last)
    }

    fn answer(&self, path: &str, ns: Option<&str>, last: Option<&str>, body: &Value) -> Response {
        let mut response = error::json(StatusCode::OK, body);
        if let Some(last) = last {
            let escaped = |text| utf8_percent_encode(text, ESCAPED);
            let ns = ns.map(|ns| format!("&ns={}", escaped(ns))).unwrap_or_default();
            let link = format!("<{path}?last={}&n={}{ns}>; rel=\"next\"", escaped(last), self.most);
            let _ = HeaderValue::try_from(link)
                .map(|link| response.headers_mut().insert(header::LINK, link));
        }
        response
    }
}

impl Registry {
    /// `GET /v2/<name>/tags/list`: tags signed by trusted publishers, held or not.
    pub(crate) async fn tags(
        &self,
        name: &Named,
        path: &str,
        query: &HashMap<String, String>,
    ) -> Result<Response, OciError> {
        let page = Page::of(query);
        let snapshot = self.snapshot().await?;
        let repository = only(snapshot.select(name), name)?;
        let image = snapshot.images.get(&repository);
        if let Some(why) = image.and_then(|image| snapshot.denial_of_image(image)) {
            return Err(OciError::new(StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS, "DENIED", why));
        }
        if let Some(image) = image.filter(|image| !snapshot.is_ours(image)) {
            let released = image.releases.iter().map(|release| release.publisher);
            let tagged = image.tags.values().flatten().map(|statement| statement.publisher);
            let publishers: BTreeSet<_> = released.chain(tagged).collect();
            let message = strangers(&repository.to_string(), &publishers);
            return Err(OciError::new(StatusCode::NOT_FOUND, "NAME_UNKNOWN", message));
        }
        // A tag in conflict is listed: requesting it reports the conflict.
        let is_listed = |image: &Image, tag: &String| {
            let meaning = meaning(&snapshot, image, tag);
            matches!(meaning, Meaning::Found(..) | Meaning::Conflict(_))
        };
        let tags = image.map_or_else(Vec::new, |image| {
            image.tags.keys().filter(|tag| is_listed(image, tag)).cloned().collect()
        });
        let (tags, last) = page.cut(tags);
        let asked = path.trim_start_matches("/v2/").trim_end_matches("/tags/list");
        let body = json!({"name": asked, "tags": tags});
        Ok(page.answer(path, query.get("ns").map(String::as_str), last.as_deref(), &body))
    }

    /// `GET /v2/_catalog`: the repositories of trusted publishers, under the names to pull them by.
    pub(crate) async fn catalog(
        &self,
        query: &HashMap<String, String>,
    ) -> Result<Response, OciError> {
        let page = Page::of(query);
        let snapshot = self.snapshot().await?;
        let ours = snapshot.images.iter().filter(|image| snapshot.is_ours(image));
        let mut names: Vec<String> = ours.map(|image| prefixed(&image.repository)).collect();
        names.sort();
        let (names, last) = page.cut(names);
        let mut body = json!({"repositories": names});
        if self.gateway.backend.store().follows().trusts_none() {
            // Clients ignore fields that they do not know; people who look find the reason.
            body["note"] = TRUSTS_NONE.into();
        }
        Ok(page.answer("/v2/_catalog", None, last.as_deref(), &body))
    }
}
