//! One import under way: each file is fetched, checked against what is beside it, and kept.

use std::collections::{BTreeSet, HashMap};

use perennial_manifest::{Artifact, ArtifactPath, Role};
use perennial_oci::{HELM_CHART, is_media_type};
use perennial_operation::Notes;
use perennial_store::{Added, MAX_BLOB, Store};
use reqwest::Url;

use super::beside::{self, Beside, Found};
use super::list_names::{OF_FOLDER, of_release};
use super::name::{last_part, name_of, names_of};
use super::{Urls, compare};
use crate::collected::Collected;
use crate::download::{Answer, Downloader, Fetched, Part, Want, take};
use crate::error::{at, shown};
use crate::helm::is_chart;
use crate::meter::blocking;
use crate::{Failed, ImportError, Imported};

/// Unpacked bytes that are read of an archive to see whether it is a chart.
const MAX_CHART_HEAD: u64 = 1 << 20;
const ANY: &str = "application/octet-stream";

/// A fetched file, with the files found beside it.
pub(super) struct File {
    url: Url,
    name: ArtifactPath,
    /// The names that a checksum file may use for it.
    names: Vec<String>,
    fetched: Fetched,
    beside: Vec<Beside>,
}

/// The checksum files of a folder.
#[derive(Default)]
struct Folder {
    /// Names that were looked for.
    asked: BTreeSet<String>,
    lists: Vec<Beside>,
}

/// An import in progress.
pub(super) struct Job<'a> {
    store: &'a Store,
    downloader: Downloader<'a>,
    what: &'a Urls,
    out: Collected,
    /// The checksum files of each folder that a file came from.
    folders: HashMap<Url, Folder>,
    failed: Vec<Failed>,
    /// Checksum files that say nothing that can be compared.
    unchecked: Vec<Failed>,
    notes: Notes,
}

impl<'a> Job<'a> {
    pub(super) fn new(
        store: &'a Store,
        downloader: Downloader<'a>,
        what: &'a Urls,
        keep_query: bool,
    ) -> Self {
        Self {
            store,
            downloader,
            what,
            out: Collected::new(keep_query),
            folders: HashMap::new(),
            failed: Vec::new(),
            unchecked: Vec::new(),
            notes: Notes::new(what.notes.as_deref()),
        }
    }

    /// Ends the import: everything that was kept, acquired `from` there. With nothing kept, the
    /// failure of the only URL is the import's.
    pub(super) async fn finish(
        mut self,
        from: &Url,
        mut errors: Vec<ImportError>,
    ) -> Result<Imported, ImportError> {
        self.tidy().await?;
        if self.out.is_empty() {
            return match errors.pop() {
                Some(error) if errors.is_empty() => Err(error),
                _ => Ok(Imported { failed: self.failed, ..Imported::default() }),
            };
        }
        let from = self.out.signed(from);
        let (purl, license) = (self.what.purl.clone(), self.what.license.clone());
        let notes = self.notes.left_out(&self.failed).not_checked(&self.unchecked);
        let imported = self.out.into_imported(purl, license, from, notes.into_text(), self.failed);
        Ok(Imported { unchecked: self.unchecked, ..imported })
    }

    /// Records the failures and the rejected files, and returns the files that were found.
    fn told(&mut self, found: Found, name: &ArtifactPath) -> Vec<Beside> {
        found.useless.iter().for_each(|(url, reason)| self.not_checked(url, name, reason));
        found.failed.iter().for_each(|(url, error)| self.failed(url, error));
        for (url, kind) in found.unlike {
            self.notes.say(&format!(
                "Left out, because it is no {}: {}",
                kind.as_str(),
                shown(&url)
            ));
        }
        found.files
    }

    pub(super) fn failed(&mut self, url: &Url, error: &ImportError) {
        self.failed.push(error.of(shown(url)));
    }

    pub(super) async fn fetch(&mut self, url: &Url) -> Result<File, ImportError> {
        let is_page =
            self.what.html || last_part(url).is_some_and(|name| is_named_like_a_page(&name));
        let want = Want::of(url, MAX_BLOB, is_page);
        let fetched = self.downloader.fetch(want).await?;
        let named = match &self.what.file_name {
            Some(name) => Ok(name.clone()),
            None => name_of(url, &fetched.answer, is_page),
        };
        let name = match named {
            Ok(name) => name,
            Err(error) => {
                blocking(|| fetched.part.remove()).await?;
                return Err(error);
            }
        };
        let names = names_of(url, &fetched.answer, &name);
        let found = beside::of_file(&self.downloader, url, &names).await?;
        let beside = self.told(found, &name);
        let fetched = self.look_in_folder(url, &name, fetched).await?;
        Ok(File { url: url.clone(), name, names, fetched, beside })
    }

    /// Fetches the checksum files of a file's folder, as far as none looked for them before. One
    /// that is the file itself counts for the other files.
    async fn look_in_folder(
        &mut self,
        url: &Url,
        name: &ArtifactPath,
        fetched: Fetched,
    ) -> Result<Fetched, ImportError> {
        let at = beside::folder(url);
        let own = url.path_segments().and_then(|mut all| all.next_back()).unwrap_or_default();
        let folder = self.folders.entry(at.clone()).or_default();
        let all = OF_FOLDER.iter().map(|name| (*name).to_owned()).chain(of_release(url));
        let new: Vec<_> = all.filter(|list| folder.asked.insert(list.clone())).collect();
        let found =
            beside::of_folder(&self.downloader, url, new.into_iter().filter(|list| list != own));
        let lists = found.await?;
        let lists = self.told(lists, name);
        let is_list = self.folders.get(&at).is_some_and(|folder| folder.asked.contains(own));
        let (fetched, own) =
            if is_list { beside::itself(url, fetched).await? } else { (fetched, None) };
        let folder = self.folders.entry(at).or_default();
        let is_new = |list: &Beside| folder.lists.iter().all(|known| known.url != list.url);
        let own = own.filter(is_new);
        folder.lists.extend(lists.into_iter().chain(own));
        Ok(fetched)
    }

    fn not_checked(&mut self, from: &Url, name: &ArtifactPath, reason: &str) {
        let reason = format!("{reason}: {name} was not compared with it; compare it yourself");
        self.unchecked.push(Failed::new(shown(from), reason));
    }

    /// Verifies a file against the checksums beside it and those of its folder.
    pub(super) async fn check(&mut self, file: File) -> Result<File, ImportError> {
        let File { url, name, names, fetched, beside } = file;
        let mut said = Vec::new();
        let mut unclear: Vec<(Url, String)> = Vec::new();
        for beside in beside.iter().filter(|beside| beside.role == Role::Checksums) {
            let mut sums = names.iter().map(|name| beside.sums.of_its_own(name));
            let fault = beside.sums.fault_of(&names);
            match sums.find(|sums| !sums.is_empty()) {
                Some(sums) => {
                    said.push((beside.url.clone(), sums));
                    unclear.extend(fault.map(|fault| (beside.url.clone(), fault)));
                }
                None => {
                    let others = || match beside.sums.is_understood() {
                        true => "it has checksums of other files only".to_owned(),
                        false => beside.sums.why_not(),
                    };
                    unclear.push((beside.url.clone(), fault.unwrap_or_else(others)));
                }
            }
        }
        let folder = self.folders.get(&beside::folder(&url));
        for list in folder.iter().flat_map(|folder| &folder.lists).filter(|list| list.url != url) {
            said.push((list.url.clone(), list.of_any(&names)));
            let fault = list.sums.fault_of(&names);
            let fault = fault.or_else(|| (!list.sums.is_understood()).then(|| list.sums.why_not()));
            unclear.extend(fault.map(|fault| (list.url.clone(), fault)));
        }
        unclear.iter().for_each(|(from, reason)| self.not_checked(from, &name, reason));
        let Fetched { mut part, answer } = fetched;
        for (from, said) in said {
            part = compare(part, &url, &from, said).await?;
        }
        Ok(File { url, name, names, fetched: Fetched { part, answer }, beside })
    }

    /// Adds a file to the release, with its checksum and signature files.
    pub(super) async fn keep(&mut self, file: File) -> Result<(), ImportError> {
        let File { url, name, names, fetched, beside: mut own } = file;
        let (part, is_chart) = look_for_chart(fetched.part, &name).await?;
        let mut parts = vec![part];
        let folder = self.folders.entry(beside::folder(&url)).or_default();
        let role = is_chart.then_some(Role::Chart);
        let mut about = vec![(url.clone(), fetched.answer, name.to_string(), role)];
        // A folder's checksum file is kept if it names a file of the release, or cannot be read.
        let is_kept = |beside: &&mut Beside| {
            !beside.sums.is_understood()
                || !beside.of_any(&names).is_empty()
                || beside.sums.fault_of(&names).is_some()
        };
        let folder = folder.lists.iter_mut().filter(is_kept);
        let own = own.iter_mut().map(|beside| (format!("{name}{}", beside.name), beside));
        for (name, beside) in own.chain(folder.map(|beside| (beside.name.clone(), beside))) {
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
        // Two folders may each have a `SHA256SUMS`; the second gets its file's name in front.
        let other =
            self.out.named(&path_of.twin_key()).is_some_and(|there| there.blake3 != added.blob);
        if matches!(role, Some(Role::Checksums | Role::Signature)) && other {
            path_of = path(&format!("{main}.{called}"))?;
        }
        let (guessed, media_type) = (self.what.guess)(path_of.as_str());
        let said =
            answer.media_type.clone().filter(|said| media_type == ANY && is_media_type(said));
        let media_type = match role {
            Some(Role::Chart) => HELM_CHART.to_owned(),
            _ => said.unwrap_or_else(|| media_type.to_owned()),
        };
        let artifact = added.artifact(path_of, role.unwrap_or(guessed), media_type);
        let origins = self.out.origins(url, answer);
        self.out.add(Artifact { origins, ..artifact })
    }

    /// Removes the folders' checksum files that were not kept.
    async fn tidy(&mut self) -> Result<(), ImportError> {
        let folders = std::mem::take(&mut self.folders).into_values();
        for beside in folders.flat_map(|folder| folder.lists) {
            if let Some(fetched) = beside.fetched {
                blocking(|| fetched.part.remove()).await?;
            }
        }
        Ok(())
    }
}

/// Whether a download is a Helm chart, by its content.
async fn look_for_chart(part: Part, name: &ArtifactPath) -> Result<(Part, bool), ImportError> {
    let lower = name.as_str().to_ascii_lowercase();
    if !lower.ends_with(".tgz") && !lower.ends_with(".tar.gz") {
        return Ok((part, false));
    }
    blocking(move || {
        let file = std::fs::File::open(part.path()).map_err(at(part.path()))?;
        let is_chart = is_chart(std::io::BufReader::new(file), MAX_CHART_HEAD);
        Ok((part, is_chart))
    })
    .await
}

fn is_named_like_a_page(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    lower.ends_with(".html") || lower.ends_with(".htm")
}
