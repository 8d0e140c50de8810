//! From URLs to a release: files as they are on the web, with the checksums and signatures beside them.
//!
//! Promises that a file which a checksum beside it contradicts ends the import, that a page is not taken for a file, and that
//! one URL that fails does not cost the others.

mod beside;
mod kind;
mod name;
mod notes;
mod sums;

use std::collections::{HashMap, HashSet};

use perennial_manifest::{Artifact, ArtifactPath, Purl, Role};
use perennial_oci::is_media_type;
use perennial_store::{Added, MAX_BLOB, Store};
use reqwest::Url;

use self::beside::{Beside, Found};
use self::name::{last_part, name_of};
use self::notes::Notes;
pub(crate) use self::sums::Sum;
use crate::collected::Collected;
use crate::download::{Answer, Downloader, Fetched, Part, Want, take};
use crate::error::shown;
use crate::meter::{Meter, blocking};
use crate::{Failed, ImportError, Imported, Options, Watch};

/// Longest URL, which is signed as it is.
const MAX_URL: usize = 2048;
const ANY: &str = "application/octet-stream";

/// What is to become of some URLs.
#[derive(Debug, Clone)]
pub struct Urls {
    /// One at least.
    pub urls: Vec<String>,
    /// What they are a release of; with a version.
    pub purl: Purl,
    /// SPDX licence expression, where it is known.
    pub license: Option<String>,
    /// Take an HTML page although the URL is not named like one.
    pub html: bool,
    /// Remarks.
    pub notes: Option<String>,
    /// Role and media type of a file by its name.
    pub guess: fn(&str) -> (Role, &'static str),
}

/// Imports files from the web into one release.
///
/// # Errors
/// [`ImportError`] if no file could be had, if a checksum contradicts one, if the store fails, or if
/// the import is cancelled.
pub async fn urls(
    store: &Store,
    options: &Options,
    what: &Urls,
    watch: &dyn Watch,
) -> Result<Imported, ImportError> {
    let wanted = distinct(&what.urls)?;
    if what.purl.version().is_none() {
        return Err(ImportError::Usage(format!(
            "{} has no version; give pkg:…@VERSION",
            what.purl
        )));
    }
    let from = shown(&wanted[0]);
    let meter = Meter::new(watch);
    let downloader = Downloader::new(options, store.incoming(), &meter)?;
    let mut job = Job {
        store,
        downloader,
        what,
        out: Collected::default(),
        folders: HashMap::new(),
        failed: Vec::new(),
        notes: Notes::new(what.notes.as_deref()),
    };
    let mut first = None;
    for url in &wanted {
        let file = match job.fetch(url).await {
            Ok(file) => file,
            Err(error) if error.is_final() => return Err(error),
            Err(error) => {
                job.failed(url, &error);
                first.get_or_insert(error);
                continue;
            }
        };
        let file = job.check(file).await?;
        job.keep(file).await?;
    }
    job.tidy().await?;
    match first {
        Some(error) if job.out.is_empty() => Err(error),
        _ => {
            let (purl, license) = (what.purl.clone(), what.license.clone());
            Ok(job.out.into_imported(purl, license, from, job.notes.into_text(), job.failed))
        }
    }
}

/// URLs that may be asked for, each once.
fn distinct(urls: &[String]) -> Result<Vec<Url>, ImportError> {
    let mut seen = HashSet::new();
    let mut wanted = Vec::new();
    for text in urls {
        let mut url = parse(text)?;
        url.set_fragment(None);
        if seen.insert(url.clone()) {
            wanted.push(url);
        }
    }
    if wanted.is_empty() {
        Err(ImportError::Usage("there is no URL to add".into()))
    } else {
        Ok(wanted)
    }
}

/// Reads a URL of the web.
pub(crate) fn parse(text: &str) -> Result<Url, ImportError> {
    let usage =
        |reason: String| ImportError::Usage(format!("{text:?} is not a URL to fetch: {reason}"));
    let url = Url::parse(text).map_err(|e| usage(e.to_string()))?;
    match url.scheme() {
        "http" | "https" if url.as_str().len() <= MAX_URL => Ok(url),
        "http" | "https" => Err(usage(format!("it is longer than {MAX_URL} bytes"))),
        other => Err(usage(format!("{other:?} is not http or https"))),
    }
}

/// A file that came, and what came from beside it.
struct File {
    url: Url,
    name: ArtifactPath,
    fetched: Fetched,
    beside: Vec<Beside>,
}

impl File {
    /// Its name, and that in its URL, under which others know it.
    fn names(&self) -> HashSet<String> {
        last_part(&self.url).into_iter().chain([self.name.to_string()]).collect()
    }
}

/// An import under way.
struct Job<'a> {
    store: &'a Store,
    downloader: Downloader<'a>,
    what: &'a Urls,
    out: Collected,
    /// Checksums of the folders that files came from.
    folders: HashMap<Url, Vec<Beside>>,
    failed: Vec<Failed>,
    notes: Notes,
}

impl Job<'_> {
    /// Says what of files beside others did not come, and gives the rest.
    fn told(&mut self, found: Found) -> Vec<Beside> {
        found.failed.iter().for_each(|(url, error)| self.failed(url, error));
        for (url, kind) in found.unlike {
            self.notes.add(&format!(
                "Left out, because it is no {}: {}",
                kind.as_str(),
                shown(&url)
            ));
        }
        found.files
    }

    fn failed(&mut self, url: &Url, error: &ImportError) {
        self.failed.push(Failed { what: shown(url), reason: error.to_string() });
    }

    async fn fetch(&mut self, url: &Url) -> Result<File, ImportError> {
        let is_page =
            self.what.html || last_part(url).is_some_and(|name| is_named_like_a_page(&name));
        let want = Want { url, most: MAX_BLOB, html: is_page, optional: false };
        let fetched = self.downloader.fetch(want).await?;
        let name = match name_of(url, &fetched.answer, is_page) {
            Ok(name) => name,
            Err(error) => {
                blocking(|| fetched.part.remove()).await?;
                return Err(error);
            }
        };
        let found = beside::of_file(&self.downloader, url).await?;
        let beside = self.told(found);
        let folder = beside::folder(url);
        if !self.folders.contains_key(&folder) {
            let found = beside::of_folder(&self.downloader, &folder).await?;
            let files = self.told(found);
            self.folders.insert(folder, files);
        }
        Ok(File { url: url.clone(), name, fetched, beside })
    }

    /// Compares a file with the checksums beside it.
    async fn check(&self, file: File) -> Result<File, ImportError> {
        let names = file.names();
        let of_folder = self.folders.get(&beside::folder(&file.url)).into_iter().flatten();
        let said = file
            .beside
            .iter()
            .map(|beside| {
                (beside, names.iter().flat_map(|name| beside.sums.of_its_own(name)).collect())
            })
            .chain(of_folder.map(|beside| (beside, beside.of_any(&names))));
        let mut part = file.fetched.part;
        for (beside, said) in said {
            part = compare(part, &file.url, &beside.url, said).await?;
        }
        Ok(File { fetched: Fetched { part, answer: file.fetched.answer }, ..file })
    }

    /// Takes a file into the release, with what came from beside it.
    async fn keep(&mut self, file: File) -> Result<(), ImportError> {
        let names = file.names();
        let File { url, name, fetched, beside: mut own } = file;
        let mut about = vec![(url.clone(), fetched.answer, name.to_string(), None)];
        let mut parts = vec![fetched.part];
        let folder = self.folders.entry(beside::folder(&url)).or_default();
        // checksums of a folder that say nothing of a file of the release are none of its business
        let folder = folder.iter_mut().filter(|beside| !beside.of_any(&names).is_empty());
        let own = own.iter_mut().map(|beside| (format!("{name}{}", beside.name), beside));
        for (name, beside) in own.chain(folder.map(|beside| (beside.name.to_owned(), beside))) {
            if let Some(fetched) = beside.fetched.take() {
                about.push((beside.url.clone(), fetched.answer, name, Some(beside.role)));
                parts.push(fetched.part);
            }
        }
        let added = self.out.keep(take(self.store, parts).await?);
        self.out.observe(&url, &about[0].1, &added[0]);
        for ((from, answer, called, role), added) in about.into_iter().zip(added) {
            if let Err(error) = self.add(&from, &answer, &called, role, &added, &name) {
                self.failed(&from, &error);
            }
        }
        Ok(())
    }

    fn add(
        &mut self,
        url: &Url,
        answer: &Answer,
        called: &str,
        role: Option<Role>,
        added: &Added,
        main: &ArtifactPath,
    ) -> Result<(), ImportError> {
        let path =
            |name: &str| ArtifactPath::parse(name).map_err(|e| ImportError::Usage(e.to_string()));
        let mut path_of = path(called)?;
        // two folders may each have their SHA256SUMS
        let other =
            self.out.named(&path_of.twin_key()).is_some_and(|there| there.blake3 != added.blob);
        if role.is_some() && other {
            path_of = path(&format!("{main}.{called}"))?;
        }
        let (guessed, media_type) = (self.what.guess)(path_of.as_str());
        let said =
            answer.media_type.clone().filter(|said| media_type == ANY && is_media_type(said));
        self.out.add(Artifact {
            path: path_of,
            size: added.size,
            blake3: added.blob,
            sha256: added.sha256,
            media_type: said.unwrap_or_else(|| media_type.to_owned()),
            role: role.unwrap_or(guessed),
            platform: None,
            exec: false,
            origins: answer.origins(url),
        })
    }

    /// Removes what was found beside files and not taken.
    async fn tidy(&mut self) -> Result<(), ImportError> {
        for beside in std::mem::take(&mut self.folders).into_values().flatten() {
            if let Some(fetched) = beside.fetched {
                blocking(|| fetched.part.remove()).await?;
            }
        }
        Ok(())
    }
}

/// Compares a file with digests that a URL gives for it, and removes it where it is another.
pub(crate) async fn compare(
    part: Part,
    url: &Url,
    from: &Url,
    said: Vec<Sum>,
) -> Result<Part, ImportError> {
    let (what, from) = (shown(url), shown(from));
    blocking(move || match sums::check(part.path(), &said)? {
        None => Ok(part),
        Some(reason) => {
            part.remove()?;
            Err(ImportError::Mismatch { what, reason: format!("{reason}, says {from}") })
        }
    })
    .await
}

fn is_named_like_a_page(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    lower.ends_with(".html") || lower.ends_with(".htm")
}
