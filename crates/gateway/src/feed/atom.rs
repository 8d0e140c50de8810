//! The newest releases of trusted publishers, as Atom (RFC 4287).

use atom_syndication as atom;
use perennial_manifest::PublisherId;
use perennial_store::{Follows, ReleaseFilter, ReleaseRow, Store, StoreError};

use super::date;
use crate::document::Document;

/// Releases in the feed, at most.
const NEWEST: usize = 100;

/// Builds the feed. It depends only on its arguments, so that equal feeds are equal bytes.
pub(super) fn feed(
    store: &Store,
    own: &PublisherId,
    follows: &Follows,
) -> Result<Document, StoreError> {
    let mut rows: Vec<ReleaseRow> = Vec::new();
    let trusted = follows.publishers.keys().filter(|publisher| *publisher != own);
    for publisher in trusted.chain([own]) {
        let publisher = Some(*publisher);
        rows.extend(store.releases(&ReleaseFilter {
            publisher,
            limit: NEWEST,
            ..ReleaseFilter::default()
        })?);
        // The time is never later than the arrival here: otherwise a clock that is years ahead
        // would lead the feed for years.
        rows.sort_by_key(|row| {
            std::cmp::Reverse((row.listed_at, row.listed_at == row.issued_at, row.release))
        });
        rows.truncate(NEWEST);
    }
    let feed = atom::Feed {
        title: "New releases".into(),
        subtitle: Some("Signed by the publishers that this node follows, and by itself".into()),
        id: format!("urn:perennial:feed:{own}"),
        updated: rows.first().map_or_else(|| date(0), |row| date(row.listed_at)),
        links: vec![link("self", "feed.atom", "application/atom+xml")],
        entries: rows.iter().map(entry).collect(),
        ..atom::Feed::default()
    };
    Ok(Document::new("application/atom+xml; charset=utf-8", feed.to_string()))
}

fn entry(row: &ReleaseRow) -> atom::Entry {
    let files = format!("r/{}/", row.release);
    atom::Entry {
        title: row.purl.to_string().into(),
        id: format!("urn:perennial:release:{}", row.release),
        updated: date(row.listed_at),
        authors: vec![atom::Person { name: row.publisher.to_string(), ..atom::Person::default() }],
        // Relative to the feed, which may be behind a proxy of any host name.
        links: vec![
            link("alternate", &files, "application/json"),
            link("related", &format!("{files}SHA256SUMS"), "text/plain"),
        ],
        summary: Some(
            format!("{} files, {} bytes", row.artifacts.count, row.artifacts.bytes).into(),
        ),
        ..atom::Entry::default()
    }
}

fn link(rel: &str, href: &str, media_type: &str) -> atom::Link {
    atom::Link {
        rel: rel.into(),
        href: href.into(),
        mime_type: Some(media_type.into()),
        ..atom::Link::default()
    }
}
