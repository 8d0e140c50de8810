//! Imports a chart from a chart repository: the chart, its provenance file, and the index that
//! listed it, as of that day. A chart that the repository only lists comes from its registry, like
//! an image.

mod archive;
mod images;
mod index;
mod listed;
mod places;
mod version;

use packageurl::PackageUrl;
use perennial_manifest::{Artifact, ArtifactPath, Purl, Role};
use perennial_oci::{HELM_CHART, HELM_PROVENANCE};
use perennial_store::Store;
use reqwest::Url;

pub use self::archive::is_chart;
pub use self::images::images_of;
use self::index::{Picked, pick};
use self::places::{Had, Places};
use crate::collected::Collected;
use crate::download::{Downloader, Fetched, Want, take};
use crate::error::{at, shown};
use crate::http::{self, Sum};
use crate::meter::{Meter, blocking};
use crate::{ImportError, Imported, Options, Watch};

const MAX_INDEX: u64 = 64 << 20;
const MAX_CHART: u64 = 256 << 20;
const MAX_PROVENANCE: u64 = 1 << 20;

/// A request for a chart of a repository.
#[derive(Debug, Clone)]
pub struct Chart {
    /// URL of the repository, with or without the prefix `helm+`.
    pub repo: String,
    /// Name of the chart in the repository's index.
    pub name: String,
    /// Version as the index states it; `None` means the newest that is not a pre-release.
    pub version: Option<String>,
    /// Also list the images that the chart names.
    pub with_images: bool,
}

/// An imported chart.
#[derive(Debug)]
pub struct ChartImported {
    /// The chart's release.
    pub imported: Imported,
    /// The images that the chart names ([`images_of`]); empty unless requested.
    pub images: Vec<String>,
}

/// Imports a chart from a repository.
///
/// # Errors
/// [`ImportError`] if the index or the chart cannot be fetched, if the chart contradicts the index
/// or its provenance file, if the store fails, or if the import is cancelled.
pub async fn chart(
    store: &Store,
    options: &Options,
    what: &Chart,
    watch: &dyn Watch,
) -> Result<ChartImported, ImportError> {
    let (repo, query) = repository(&what.repo)?;
    let meter = Meter::new(watch);
    let downloader = Downloader::new(options, store.incoming_room(), &meter)?;
    let want = |url, most| Want::of(url, most, false);

    let mut index_url = repo
        .join("index.yaml")
        .map_err(|e| ImportError::Usage(format!("{}: {e}", shown(&repo))))?;
    index_url.set_query(query.as_deref());
    let index = downloader.fetch(want(&index_url, MAX_INDEX)).await?;
    let (index, picked) = read(index, repo.clone(), query.clone(), what).await?;
    let Picked { version, path, places, digest } = picked;
    let purl = purl(&repo, &what.name, &version)?;
    let terms = Places {
        store,
        options,
        downloader: &downloader,
        index: &index_url,
        digest,
        with_images: what.with_images,
        watch,
    };
    let had = match terms.fetch(places).await {
        Ok(Had::Web(had)) => Ok(*had),
        Ok(Had::Registry(imported)) => Err(Ok(imported)),
        Err(error) => Err(Err(error)),
    };
    let (url, chart) = match had {
        Ok(had) => had,
        // The index is part of no release: it is fetched anew.
        Err(ended) => {
            blocking(|| index.part.remove()).await?;
            return ended;
        }
    };
    let (chart, names) =
        if what.with_images { named(chart).await? } else { (chart, Ok(Vec::new())) };

    let mut failed = Vec::new();
    let images = names.unwrap_or_else(|error| {
        failed.push(error.of(format!("images of {purl}")));
        Vec::new()
    });
    let prov_url = provenance_url(&url);
    let prov = Want { optional: true, ..want(&prov_url, MAX_PROVENANCE) };
    let (provenance, chart) = match downloader.fetch(prov).await {
        Ok(fetched) => signed(fetched, chart).await?,
        Err(ImportError::Gone { .. } | ImportError::Unfit { .. }) => (None, chart),
        Err(error) if error.is_final() => return Err(error),
        Err(error) => {
            failed.push(error.of(shown(&prov_url)));
            (None, chart)
        }
    };

    let index_path =
        ArtifactPath::parse("index.yaml").map_err(|e| ImportError::Usage(e.to_string()))?;
    let mut files = vec![
        Piece {
            url,
            path: path.clone(),
            role: Role::Chart,
            media_type: HELM_CHART,
            fetched: chart,
        },
        Piece {
            url: index_url,
            path: index_path,
            role: Role::Index,
            media_type: "application/yaml",
            fetched: index,
        },
    ];
    if let Some(fetched) = provenance {
        let path = ArtifactPath::parse(&format!("{path}.prov"));
        let path = path.map_err(|e| ImportError::Usage(e.to_string()))?;
        files.push(Piece {
            url: prov_url,
            path,
            role: Role::Signature,
            media_type: HELM_PROVENANCE,
            fetched,
        });
    }
    let mut out = Collected::new(options.keep_query);
    let from = format!("helm+{}", out.signed(&repo));
    let out = keep(store, files, out).await?;
    Ok(ChartImported { imported: out.into_imported(purl, None, from, None, failed), images })
}

/// Parses the URL of a repository as that of a folder, with a trailing slash, and its query.
fn repository(text: &str) -> Result<(Url, Option<String>), ImportError> {
    let mut repo = http::parse(text.strip_prefix("helm+").unwrap_or(text))?;
    let query = repo.query().filter(|query| !query.is_empty()).map(str::to_owned);
    repo.set_query(None);
    repo.set_fragment(None);
    // The address of the index is that of the repository, too.
    let path = repo.path().strip_suffix("/index.yaml").unwrap_or(repo.path());
    repo.set_path(&format!("{}/", path.trim_end_matches('/')));
    Ok((repo, query))
}

fn purl(repo: &Url, name: &str, version: &str) -> Result<Purl, ImportError> {
    let usage = |e: &dyn std::fmt::Display| ImportError::Usage(format!("{name}@{version}: {e}"));
    let mut purl = PackageUrl::new("helm", name).map_err(|e| usage(&e))?;
    purl.with_version(version).map_err(|e| usage(&e))?;
    purl.add_qualifier("repository_url", shown(repo)).map_err(|e| usage(&e))?;
    Purl::parse(&purl.to_string()).map_err(|e| usage(&e))
}

/// Parses the index and picks the requested chart.
async fn read(
    index: Fetched,
    repo: Url,
    query: Option<String>,
    what: &Chart,
) -> Result<(Fetched, Picked), ImportError> {
    let (name, version) = (what.name.clone(), what.version.clone());
    blocking(move || {
        let bytes = index.part.read()?;
        let picked = pick(&bytes, &repo, query.as_deref(), &name, version.as_deref())?;
        Ok((index, picked))
    })
    .await
}

/// Lists the images that a chart names. A failure to read them does not cost the chart.
async fn named(chart: Fetched) -> Result<(Fetched, Result<Vec<String>, ImportError>), ImportError> {
    blocking(move || {
        let path = chart.part.path();
        let file = std::fs::File::open(path).map_err(at(path))?;
        let names = images_of(std::io::BufReader::new(file));
        Ok((chart, names))
    })
    .await
}

fn provenance_url(chart: &Url) -> Url {
    let mut url = chart.clone();
    url.set_path(&format!("{}.prov", chart.path()));
    url
}

/// Verifies that a provenance file states the chart's digest; drops it if it is not a signed
/// message.
async fn signed(
    fetched: Fetched,
    chart: Fetched,
) -> Result<(Option<Fetched>, Fetched), ImportError> {
    blocking(move || {
        let said = fetched.part.read()?;
        let said = String::from_utf8_lossy(&said);
        if !said.contains("-----BEGIN PGP SIGNED MESSAGE-----") {
            fetched.part.remove()?;
            return Ok((None, chart));
        }
        let digest = Sum::sha256_of(chart.part.path())?;
        if said.contains(&digest.to_string()) {
            return Ok((Some(fetched), chart));
        }
        let reason =
            format!("what came is {digest}, which {} does not name", shown(&fetched.answer.url));
        let what = shown(&chart.answer.url);
        chart.part.remove()?;
        Err(ImportError::Mismatch { what, reason })
    })
    .await
}

/// A fetched file and its place in the release.
struct Piece {
    url: Url,
    path: ArtifactPath,
    role: Role,
    media_type: &'static str,
    fetched: Fetched,
}

/// Stores the files and records the responses as observations.
async fn keep(
    store: &Store,
    pieces: Vec<Piece>,
    mut out: Collected,
) -> Result<Collected, ImportError> {
    let mut parts = Vec::new();
    let mut about = Vec::new();
    for Piece { url, path, role, media_type, fetched } in pieces {
        parts.push(fetched.part);
        about.push((url, path, role, media_type, fetched.answer));
    }
    let added = out.keep(take(store, parts).await?);
    for ((url, path, role, media_type, answer), added) in about.into_iter().zip(added) {
        out.observe(&url, &answer, &added);
        let artifact = added.artifact(path, role, media_type);
        let origins = out.origins(&url, &answer);
        out.add(Artifact { origins, ..artifact })?;
    }
    Ok(out)
}

/// Reads a chart archive as an import does, for the fuzz targets.
pub(crate) fn look_into(tgz: &mut dyn std::io::Read) -> Result<(), ImportError> {
    archive::read(tgz).map(drop)
}
