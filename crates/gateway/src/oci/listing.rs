//! Lists of tags and of repositories, in pages.

use std::collections::{BTreeSet, HashMap};

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::Registry;
use super::error::{self, OciError};
use super::name::Named;
use super::policy::{Meaning, meaning, strangers};
use super::pull::only;
use super::snapshot::{Selection, is_ours};

/// Most names in one page.
const PAGE: usize = 10_000;

/// What is escaped in a query, as the reference registry does.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Selection page is wanted.
struct Page {
    most: usize,
    after: Option<String>,
}

impl Page {
    /// What is no number, or too large to read as one, is as if it was not given.
    fn of(query: &HashMap<String, String>) -> Self {
        let most = query.get("n").and_then(|text| text.parse().ok()).unwrap_or(PAGE).min(PAGE);
        Self { most, after: query.get("last").filter(|last| !last.is_empty()).cloned() }
    }

    /// The page of sorted names, and the last of them if there are more.
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
    /// `GET /v2/<name>/tags/list`: tags that trusted publishers signed, held or not.
    pub(crate) async fn tags(
        &self,
        name: &Named,
        path: &str,
        query: &HashMap<String, String>,
    ) -> Result<Response, OciError> {
        let page = Page::of(query);
        let asked = name.clone();
        let question = self.ask(move |snapshot, view| {
            let which = snapshot.which(&asked, view);
            let Selection::One(repository) = &which else { return Ok((which, Ok(Vec::new()))) };
            let Some(image) = snapshot.catalog.get(repository) else {
                return Ok((which, Ok(Vec::new())));
            };
            if !is_ours(image, view.trusted) {
                let who: BTreeSet<_> =
                    image.releases.iter().map(|release| release.publisher).collect();
                let tagged = image.tags.values().flatten().map(|statement| statement.publisher);
                return Ok((which, Err(who.into_iter().chain(tagged).collect::<BTreeSet<_>>())));
            }
            let counts = |tag: &&String| {
                let meaning = meaning(&snapshot.catalog, image, tag, view.trusted);
                // what is in conflict is listed: asking for it says why it is
                matches!(meaning, Meaning::Found(..) | Meaning::Conflict(_))
            };
            let tags: Vec<String> = image.tags.keys().filter(counts).cloned().collect();
            Ok((which, Ok(tags)))
        });
        let (which, tags) = question.await?;
        let repository = only(which, name)?;
        let tags = tags.map_err(|who| {
            let message = strangers(&repository.to_string(), &who);
            OciError::new(StatusCode::NOT_FOUND, "NAME_UNKNOWN", message)
        })?;
        let (tags, last) = page.cut(tags);
        let asked = path.trim_start_matches("/v2/").trim_end_matches("/tags/list");
        let body = json!({"name": asked, "tags": tags});
        Ok(page.answer(path, query.get("ns").map(String::as_str), last.as_deref(), &body))
    }

    /// `GET /v2/_catalog`: repositories that trusted publishers speak of, by the names to pull them by.
    pub(crate) async fn catalog(
        &self,
        query: &HashMap<String, String>,
    ) -> Result<Response, OciError> {
        let page = Page::of(query);
        let names = self.ask(|snapshot, view| {
            let ours = snapshot.catalog.iter().filter(|(_, image)| is_ours(image, view.trusted));
            let mut names: Vec<String> =
                ours.map(|(repository, _)| repository.prefixed()).collect();
            names.sort();
            Ok(names)
        });
        let (names, last) = page.cut(names.await?);
        Ok(page.answer("/v2/_catalog", None, last.as_deref(), &json!({"repositories": names})))
    }
}
