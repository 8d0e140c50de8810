//! The index of a chart repository, and the selection of a chart from it.

use std::collections::BTreeMap;

use perennial_manifest::{ArtifactPath, Origin};
use perennial_oci::Reference;
use reqwest::Url;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_saphyr::options::DuplicateKeyPolicy;

use super::version::{exactly, nearest, newest};
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
pub(super) struct Listed {
    pub(super) version: Option<String>,
    urls: Option<Vec<Option<String>>>,
    digest: Option<String>,
}

/// The selected chart version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Picked {
    pub(super) version: String,
    /// The file name that `helm package` gives the chart.
    pub(super) path: ArtifactPath,
    /// Where it can be had, in the order of the index; at least one.
    pub(super) places: Vec<Place>,
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
        Some(wanted) => exactly(&all, wanted)
            .ok_or_else(|| gone(format!("no version {wanted} is listed{}", nearest(&all))))?,
        None => newest(&all).ok_or_else(|| {
            gone(format!(
                "no version but pre-releases is listed; give NAME@VERSION{}",
                nearest(&all)
            ))
        })?,
    };
    let version = listed.version.clone().unwrap_or_default();
    let file = format!("{name}-{version}.tgz");
    let path = ArtifactPath::parse(&file).ok().filter(|_| !file.contains('/'));
    let path = path.ok_or_else(|| wrong(format!("{file:?} is not a file name")))?;
    let urls = listed.urls.iter().flatten().flatten().filter(|url| !url.trim().is_empty());
    let places: Vec<_> = urls.map(|url| place(url.trim(), repo, query, &version)).collect();
    let digest =
        match listed.digest.as_deref().map(|digest| digest.trim().trim_start_matches("sha256:")) {
            None | Some("") => None,
            Some(digest) => Some(Sum::parse(digest).ok_or_else(|| {
                wrong(format!("{digest:?}, for {name} {version}, is not a digest"))
            })?),
        };
    let is_open = |place: &Place| match place {
        Place::Web(url) => (repo.scheme(), url.scheme()) == ("https", "http"),
        Place::Registry(_) => false,
    };
    let (mut good, mut faults) = (Vec::new(), Vec::new());
    for place in places {
        match place {
            Ok(place) if digest.is_none() && is_open(&place) => faults
                .push("has no digest and comes by http, so anyone may have changed it".to_owned()),
            Ok(place) => good.push(place),
            Err(fault) => faults.push(fault),
        }
    }
    if good.is_empty() {
        let fault = faults.into_iter().next().unwrap_or_else(|| "has no URL".into());
        return Err(wrong(format!("{name} {version} {fault}")));
    }
    Ok(Picked { version, path, places: good, digest })
}

/// The place that a URL of the index names, or what is wrong with it.
fn place(url: &str, repo: &Url, query: Option<&str>, version: &str) -> Result<Place, String> {
    // A tag has no plus; Helm writes an underscore.
    let tagged = |text: &str| text.replace('+', "_");
    match url.strip_prefix("oci://") {
        Some(named) if Reference::has_version(named) => {
            Ok(Place::Registry(format!("docker://{}", tagged(named))))
        }
        Some(named) => Ok(Place::Registry(format!("docker://{named}:{}", tagged(version)))),
        None => {
            let joined =
                repo.join(url).map_err(|e| format!("is at {:?}: {e}", Origin::shown(url).text))?;
            if !matches!(joined.scheme(), "http" | "https") {
                return Err(format!("is at an address of the kind {:?}", joined.scheme()));
            }
            Ok(Place::Web(as_of(repo, joined, query.filter(|_| Url::parse(url).is_err()))))
        }
    }
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
        // What was counted says nothing to a reader of the message.
        if said.starts_with("budget breached") {
            return "it has more nodes, levels or aliases than are read".to_owned();
        }
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
        assert_eq!(picked(&["1.10", "v1.9", "1"], None).unwrap(), "1.10");
        assert_eq!(picked(&["2024.01.05", "2023.12.31"], None).unwrap(), "2024.01.05");
        assert_eq!(picked(&["1.0.0+a", "1.0.0+b"], Some("v1.0.0_b")).unwrap(), "1.0.0+b");
        assert_eq!(picked(&["1.0.0+a", "1.1.0"], Some("1.0.0")).unwrap(), "1.0.0+a");
        picked(&["1.0.0+a", "1.0.0+b"], Some("1.0.0")).unwrap_err();
        let said = picked(&["1.9.0", "1.10.0", "2.0.0-rc.1"], Some("3")).unwrap_err().to_string();
        assert!(said.ends_with("there are 2.0.0-rc.1, 1.10.0, 1.9.0"), "{said}");
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
        let web = |url: &str| vec![Place::Web(Url::parse(url).unwrap())];
        assert_eq!(find("urls: [x/a.tgz]").unwrap().places, web("https://a.test/charts/x/a.tgz"));
        let digest = "ab".repeat(32);
        let there =
            find(&format!("urls: ['http://b.test/a.tgz'], digest: 'sha256:{digest}'")).unwrap();
        assert_eq!((there.places, there.digest), (web("http://b.test/a.tgz"), Sum::parse(&digest)));
        for wrong in
            ["urls: ['http://b.test/a.tgz']", "urls: []", "x: 1", "urls: [a.tgz], digest: abc"]
        {
            assert!(matches!(find(wrong), Err(ImportError::Unfit { .. })), "{wrong}");
        }
        let registry = |reference: &str| vec![Place::Registry(reference.to_owned())];
        for url in ["oci://b.test:5000/charts/a:1.0.0", "oci://b.test:5000/charts/a"] {
            let there = find(&format!("urls: ['{url}']")).unwrap().places;
            assert_eq!(there, registry("docker://b.test:5000/charts/a:1.0.0"));
        }
        for odd in [
            "entries: {a: [null, {version: 1.0.0, urls: [x/a.tgz]}]}\n---\nentries: {}\n",
            "\u{feff}---\nentries: {a: [{version: 0.1.0, version: 1.0.0, urls: [x/a.tgz]}]}\n",
        ] {
            let there = pick(odd.as_bytes(), &repo, None, "a", None).unwrap();
            assert_eq!(
                (there.version.as_str(), there.places),
                ("1.0.0", web("https://a.test/charts/x/a.tgz"))
            );
        }
        for url in ["oci://b.test/a", "oci://b.test/a:1.0.0+b.1", "oci://b.test/a:1.0.0_b.1"] {
            let index = format!("entries: {{a: [{{version: 1.0.0+b.1, urls: ['{url}']}}]}}");
            let there = pick(index.as_bytes(), &repo, None, "a", None).unwrap().places;
            assert_eq!(there, registry("docker://b.test/a:1.0.0_b.1"));
        }
        let many =
            "urls: [null, '', 'ftp://b.test/a.tgz', 'http://b.test/a.tgz', /b/a.tgz?x=1, a.tgz]";
        let there = find(many).unwrap().places;
        let expected = ["https://a.test/b/a.tgz?x=1", "https://a.test/charts/a.tgz"];
        assert_eq!(there, expected.into_iter().flat_map(web).collect::<Vec<_>>());
        assert!(find("urls: ['ftp://b.test/a.tgz']").unwrap_err().to_string().contains("ftp"));
    }

    #[test]
    fn an_index_that_grows_by_aliases_is_refused_and_a_small_one_is_read() {
        let repo = Url::parse("https://a.test/charts/").unwrap();
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let inner = format!("*a{}, ", level - 1).repeat(10);
            bomb += &format!("a{level}: &a{level} [{}]\n", inner.trim_end_matches(", "));
        }
        bomb += "entries: {a: *a11}\n";
        let refused = pick(bomb.as_bytes(), &repo, None, "a", None).unwrap_err();
        assert!(matches!(refused, ImportError::Unfit { .. }), "{refused}");
        assert!(refused.to_string().contains("aliases than are read"), "{refused}");
        let small = "x: &x {urls: [a.tgz]}\nentries: {a: [{version: 1.0.0, <<: *x}]}\n";
        assert_eq!(pick(small.as_bytes(), &repo, None, "a", None).unwrap().version, "1.0.0");
    }
}
