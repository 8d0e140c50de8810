//! How people call releases and publishers, in place of package URLs and DIDs.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use indicatif::HumanDuration;
use perennial_control::ReleaseRow;
use perennial_manifest::{Holding, PublisherId, PublisherKind, Purl};

use crate::quantity::{bytes, day};
use crate::screen::safe;
use crate::table::{Cell, Column, Fit};

/// The columns of releases.
pub(crate) const RELEASES: [Column; 9] = [
    ("NAME", Fit::Cut),
    ("REGISTRY", Fit::Cut),
    ("SIZE", Fit::Number),
    ("STATE", Fit::Whole),
    ("PUBLISHER", Fit::Cut),
    ("KIND", Fit::Piped),
    ("SIGNED", Fit::Whole),
    ("RELEASE", Fit::Optional),
    ("FILES", Fit::Piped),
];

/// A release as a row of a table.
pub(crate) fn release_cells(row: &ReleaseRow) -> [Cell; 9] {
    let release = row.release.to_string();
    [
        Cell::brief(title(&row.purl), row.purl.as_str()),
        Cell::same(registry(&row.purl)),
        Cell::same(bytes(row.bytes)),
        // Peers know it, and this node does not.
        match row.elsewhere {
            true => Cell::same("peers"),
            false => state(row.state, row.held_bytes, row.bytes),
        },
        publisher(&row.publisher, row.publisher_name.as_deref(), row.kind),
        Cell::same(row.kind.as_str()),
        Cell::brief(ago(row.issued_at), day(row.issued_at)),
        Cell::brief(&release[..8], release.as_str()),
        Cell::same(row.artifacts.to_string()),
    ]
}

/// `minio/minio:v1` for an image, `kubekey@v3.1.0` for anything else.
pub(crate) fn title(purl: &Purl) -> String {
    let space = purl.namespace().map(|space| format!("{space}/")).unwrap_or_default();
    let version = match (purl.ty(), purl.version()) {
        (_, None) => String::new(),
        ("docker", Some(tag)) if !tag.starts_with("sha256:") => format!(":{tag}"),
        (_, Some(version)) => format!("@{version}"),
    };
    safe(&format!("{space}{}{version}", purl.name())).into_owned()
}

/// Where upstream publishes it: a host, or the kind of the package.
pub(crate) fn registry(purl: &Purl) -> String {
    let place = match (purl.repository(), purl.ty()) {
        (Some(place), _) => place,
        (None, "generic") => "",
        (None, other) => other,
    };
    safe(place).into_owned()
}

/// `held`, `known`, `invalid`, or `partial` with the share that is here.
pub(crate) fn state(state: Holding, held: u64, all: u64) -> Cell {
    let share = u128::from(held) * 100 / u128::from(all.max(1));
    match state {
        Holding::Partial => Cell::brief(format!("{state} {share}%"), state.as_str()),
        Holding::Held | Holding::Known | Holding::Invalid => Cell::same(state.as_str()),
    }
}

/// The user's name for a publisher, or a short form of its DID. Only what says that it is upstream
/// is called so.
pub(crate) fn publisher(id: &PublisherId, name: Option<&str>, kind: PublisherKind) -> Cell {
    let did = id.to_string();
    let mut brief = name.map_or_else(|| short_did(&did), |name| safe(name).into_owned());
    if kind == PublisherKind::Upstream {
        brief += ", upstream";
    }
    Cell::brief(brief, did)
}

/// `z6Mkkx…ttPv`
pub(crate) fn short_did(did: &str) -> String {
    middle(did.strip_prefix("did:key:").unwrap_or(did))
}

/// The first six and the last four characters of an id.
pub(crate) fn middle(id: &str) -> String {
    let count = id.chars().count();
    if count <= 11 {
        return safe(id).into_owned();
    }
    let head: String = id.chars().take(6).collect();
    let tail: String = id.chars().skip(count - 4).collect();
    safe(&format!("{head}…{tail}")).into_owned()
}

/// `2 days ago`; the date of what claims to come from the future.
pub(crate) fn ago(unix_seconds: u64) -> String {
    let then = UNIX_EPOCH.checked_add(Duration::from_secs(unix_seconds));
    match then.and_then(|then| SystemTime::now().duration_since(then).ok()) {
        None => day(unix_seconds),
        Some(age) if age < Duration::from_secs(1) => "just now".to_owned(),
        Some(age) => format!("{} ago", HumanDuration(age)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_people_write() {
        for (purl, name, place) in [
            ("pkg:docker/minio/minio@v1?repository_url=quay.io", "minio/minio:v1", "quay.io"),
            (
                "pkg:docker/a/b@sha256:412e?repository_url=localhost:5000",
                "a/b@sha256:412e",
                "localhost:5000",
            ),
            ("pkg:generic/kubekey@v3.1.0", "kubekey@v3.1.0", ""),
            (
                "pkg:helm/minio@5.4.0?repository_url=http:%2F%2Fcharts.example:8080%2F",
                "minio@5.4.0",
                "charts.example:8080",
            ),
            ("pkg:github/kubesphere/kubekey@v3", "kubesphere/kubekey@v3", "github"),
            ("pkg:generic/a@%E2%80%AEgpj", "a@\\u{202e}gpj", ""),
        ] {
            let purl = Purl::parse(purl).unwrap();
            assert_eq!((title(&purl).as_str(), registry(&purl).as_str()), (name, place));
        }
    }

    #[test]
    fn publishers_are_short_and_upstream_is_said() {
        let id = perennial_manifest::Keypair::from_seed([7; 32]).id();
        let of = |name, kind| publisher(&id, name, kind).brief_text().to_owned();
        let short = of(None, PublisherKind::Archivist);
        assert!(short.starts_with("z6Mk") && short.chars().count() == 11, "{short}");
        assert_eq!(of(Some("savers"), PublisherKind::Archivist), "savers");
        assert_eq!(of(Some("minio"), PublisherKind::Upstream), "minio, upstream");
    }

    #[test]
    fn ages_are_rough_and_the_future_is_a_date() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        assert_eq!(ago(now - 2 * 86_400 - 60), "2 days ago");
        assert_eq!(ago(4_107_542_400), "2100-03-01");
        assert!(ago(u64::MAX).len() > 8);
    }

    #[test]
    fn a_part_says_how_much() {
        assert_eq!(state(Holding::Partial, 1, 3).brief_text(), "partial 33%");
        assert_eq!(state(Holding::Partial, 0, 0).brief_text(), "partial 0%");
        assert_eq!(state(Holding::Held, 3, 3).brief_text(), "held");
    }
}
