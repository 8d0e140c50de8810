//! The index of a chart repository, and the selection of a chart from it.

use std::collections::BTreeMap;

use perennial_manifest::{ArtifactPath, Origin};
use perennial_oci::Reference;
use reqwest::Url;
use semver::Version;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_saphyr::options::DuplicateKeyPolicy;

use crate::ImportError;
use crate::error::shown;
use crate::http::Sum;

/// Most YAML nodes of an index: large repositories list some hundred thousand versions of twenty
/// fields.
const MAX_NODES: usize = 10_000_000;

#[derive(Deserialize)]
struct Index {
    /// The versions of each chart; Helm passes over those that are null.
    entries: Option<BTreeMap<String, Option<Vec<Option<Listed>>>>>,
}

/// A listed chart version. Every field may be missing: one odd entry does not invalidate the index.
#[derive(Debug, Clone, Deserialize)]
struct Listed {
    version: Option<String>,
    urls: Option<Vec<String>>,
    digest: Option<String>,
}

/// The selected chart version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Picked {
    pub(super) version: String,
    /// The file name that `helm package` gives the chart.
    pub(super) path: ArtifactPath,
    pub(super) place: Place,
    pub(super) digest: Option<Sum>,
}

/// The location of a chart archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Web(Url),
    /// An image reference, as `docker://…`.
    Registry(String),
}

/// Finds a chart by name and version, or else the newest version that is not a pre-release.
///
/// The query of a repository's URL (a signature, on object stores) goes to charts that the index
/// names relative to it, as in Helm.
pub(super) fn pick(
    index: &[u8],
    repo: &Url,
    query: Option<&str>,
    name: &str,
    version: Option<&str>,
) -> Result<Picked, ImportError> {
    let wrong =
        |reason: String| ImportError::Unfit { what: format!("{}index.yaml", shown(repo)), reason };
    let index: Index = yaml(index, MAX_NODES).map_err(wrong)?;
    let all = index.entries.unwrap_or_default().remove(name).flatten().unwrap_or_default();
    let all: Vec<Listed> = all.into_iter().flatten().collect();
    let gone =
        |reason: String| ImportError::Gone { what: format!("{name} in {}", shown(repo)), reason };
    if all.is_empty() {
        return Err(gone("the index lists no such chart".into()));
    }
    let listed = match version {
        Some(wanted) => {
            exactly(&all, wanted).ok_or_else(|| gone(format!("no version {wanted} is listed")))?
        }
        None => newest(&all)
            .ok_or_else(|| gone("only pre-releases are listed; give NAME@VERSION".into()))?,
    };
    let version = listed.version.clone().unwrap_or_default();
    let file = format!("{name}-{version}.tgz");
    let path = ArtifactPath::parse(&file).ok().filter(|_| !file.contains('/'));
    let path = path.ok_or_else(|| wrong(format!("{file:?} is not a file name")))?;
    let url = listed.urls.iter().flatten().next();
    let url = url.ok_or_else(|| wrong(format!("{name} {version} has no URL")))?;
    let place = match url.strip_prefix("oci://") {
        Some(named) if Reference::has_version(named) => {
            Place::Registry(format!("docker://{named}"))
        }
        // A tag has no plus; Helm writes an underscore.
        Some(named) => Place::Registry(format!("docker://{named}:{}", version.replace('+', "_"))),
        None => {
            let joined =
                repo.join(url).map_err(|e| wrong(format!("{:?}: {e}", Origin::shown(url).text)))?;
            Place::Web(as_of(repo, joined, query.filter(|_| Url::parse(url).is_err())))
        }
    };
    let digest =
        match listed.digest.as_deref().map(|digest| digest.trim_start_matches("sha256:")) {
            None | Some("") => None,
            Some(digest) => Some(Sum::parse(digest).ok_or_else(|| {
                wrong(format!("{digest:?}, for {name} {version}, is not a digest"))
            })?),
        };
    let is_open =
        matches!(&place, Place::Web(url) if (repo.scheme(), url.scheme()) == ("https", "http"));
    if digest.is_none() && is_open {
        return Err(wrong(format!(
            "{name} {version} has no digest and comes by http, so anyone may have changed it"
        )));
    }
    Ok(Picked { version, path, place, digest })
}

/// A chart's URL with what the user gave for the whole repository, if it is on the same host: the
/// user's name and password, and the query.
fn as_of(repo: &Url, mut url: Url, query: Option<&str>) -> Url {
    if url.origin() != repo.origin() {
        return url;
    }
    if url.username().is_empty() && url.password().is_none() {
        // Both fail only for URLs that cannot have credentials.
        let _ = (url.set_username(repo.username()), url.set_password(repo.password()));
    }
    if let Some(query) = query {
        let whole = url.query().map(|own| format!("{own}&{query}"));
        url.set_query(Some(whole.as_deref().unwrap_or(query)));
    }
    url
}

/// The version as written, or else the same version with or without a `v`.
fn exactly<'a>(all: &'a [Listed], wanted: &str) -> Option<&'a Listed> {
    let plain = |text: &str| text.strip_prefix('v').unwrap_or(text).to_owned();
    let is = |listed: &&Listed| listed.version.as_deref() == Some(wanted);
    let is_nearly = |listed: &&Listed| listed.version.as_deref().map(plain) == Some(plain(wanted));
    all.iter().find(is).or_else(|| all.iter().find(is_nearly))
}

fn newest(all: &[Listed]) -> Option<&Listed> {
    let version = |listed: &Listed| {
        let text = listed.version.as_deref()?;
        Version::parse(text.strip_prefix('v').unwrap_or(text))
            .ok()
            .filter(|version| version.pre.is_empty())
    };
    let known = all.iter().filter_map(|listed| Some((version(listed)?, listed)));
    known.max_by(|(a, _), (b, _)| a.cmp(b)).map(|(_, listed)| listed)
}

/// Parses YAML of at most `max_nodes` nodes from an untrusted source. Depth and aliases are bounded
/// too. As in Helm, the last value of a repeated key counts, and the first document.
pub(super) fn yaml<T: DeserializeOwned>(text: &[u8], max_nodes: usize) -> Result<T, String> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_nodes: max_nodes,
            max_events: max_nodes.saturating_mul(2)
        },
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        with_snippet: false,
    };
    let mut text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let first = serde_saphyr::read_with_options(&mut text, options).next();
    first.ok_or("it is empty")?.map_err(|e| {
        let said = e.to_string();
        said.chars().filter(|c| !c.is_control()).take(200).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picked(versions: &[&str], wanted: Option<&str>) -> Result<String, ImportError> {
        let entries: String = versions
            .iter()
            .map(|version| format!("  - version: {version}\n    urls: [a.tgz]\n"))
            .collect();
        let index = format!("entries:\n  a:\n{entries}  b: ~\n");
        let repo = Url::parse("https://a.test/charts/").unwrap();
        pick(index.as_bytes(), &repo, None, "a", wanted).map(|picked| picked.version)
    }

    #[test]
    fn the_newest_is_found_by_the_rules_of_versions() {
        assert_eq!(picked(&["1.9.0", "v1.10.0", "1.2", "2.0.0-rc.1"], None).unwrap(), "v1.10.0");
        assert_eq!(picked(&["1.9.0", "2.0.0-rc.1"], Some("2.0.0-rc.1")).unwrap(), "2.0.0-rc.1");
        assert_eq!(picked(&["v1.9.0", "1.9"], Some("1.9.0")).unwrap(), "v1.9.0");
        assert_eq!(picked(&["1.10"], Some("1.10")).unwrap(), "1.10");
        for (versions, wanted) in
            [(&["1.0.0-a"][..], None), (&["1.0.0"], Some("2")), (&["../x"], Some("../x"))]
        {
            picked(versions, wanted).unwrap_err();
        }
    }

    #[test]
    fn a_charts_location_and_provenance_are_read() {
        let repo = Url::parse("https://a.test/charts/").unwrap();
        let find = |fields: &str| {
            let index = format!("entries: {{a: [{{version: 1.0.0, {fields}}}]}}");
            pick(index.as_bytes(), &repo, None, "a", None)
        };
        let web = |url: &str| Place::Web(Url::parse(url).unwrap());
        assert_eq!(find("urls: [x/a.tgz]").unwrap().place, web("https://a.test/charts/x/a.tgz"));
        let digest = "ab".repeat(32);
        let there =
            find(&format!("urls: ['http://b.test/a.tgz'], digest: 'sha256:{digest}'")).unwrap();
        assert_eq!((there.place, there.digest), (web("http://b.test/a.tgz"), Sum::parse(&digest)));
        for wrong in
            ["urls: ['http://b.test/a.tgz']", "urls: []", "x: 1", "urls: [a.tgz], digest: abc"]
        {
            assert!(matches!(find(wrong), Err(ImportError::Unfit { .. })), "{wrong}");
        }
        let registry = |reference: &str| Place::Registry(reference.to_owned());
        for url in ["oci://b.test:5000/charts/a:1.0.0", "oci://b.test:5000/charts/a"] {
            let there = find(&format!("urls: ['{url}']")).unwrap().place;
            assert_eq!(there, registry("docker://b.test:5000/charts/a:1.0.0"));
        }
        for odd in [
            "entries: {a: [null, {version: 1.0.0, urls: [x/a.tgz]}]}\n---\nentries: {}\n",
            "\u{feff}---\nentries: {a: [{version: 0.1.0, version: 1.0.0, urls: [x/a.tgz]}]}\n",
        ] {
            let there = pick(odd.as_bytes(), &repo, None, "a", None).unwrap();
            assert_eq!(
                (there.version.as_str(), there.place),
                ("1.0.0", web("https://a.test/charts/x/a.tgz"))
            );
        }
        let index = "entries: {a: [{version: 1.0.0+b.1, urls: ['oci://b.test/a']}]}";
        let there = pick(index.as_bytes(), &repo, None, "a", None).unwrap().place;
        assert_eq!(there, registry("docker://b.test/a:1.0.0_b.1"));
    }
}
