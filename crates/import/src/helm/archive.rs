//! The files of a chart archive that name images. Nothing is written: an entry's path only tells
//! how to read it.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use flate2::read::MultiGzDecoder;
use perennial_oci::Reference;
use tar::Archive;

use crate::ImportError;

/// Most bytes unpacked, subcharts included; the largest charts in use have about 10 MiB.
const MAX_BYTES: u64 = 64 << 20;
const MAX_ENTRIES: u32 = 20_000;
/// Longest file read, in bytes.
const MAX_TEXT: u64 = 4 << 20;
/// Levels of charts within charts.
const MAX_DEPTH: usize = 8;

/// The parts of a chart that name images.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// `Chart.yaml`.
    pub(super) about: Vec<u8>,
    /// `values.yaml`.
    pub(super) values: Vec<u8>,
    /// Images that templates name literally.
    pub(super) literals: BTreeSet<String>,
    /// Subcharts in `charts/`, by directory or file name.
    pub(super) charts: BTreeMap<String, Files>,
}

/// The bytes and entries that may still be unpacked.
struct Budget {
    bytes: Cell<u64>,
    entries: Cell<u32>,
}

/// Reads a chart archive.
pub(super) fn read(tgz: &mut dyn Read) -> Result<Files, ImportError> {
    let budget = Budget { bytes: Cell::new(MAX_BYTES), entries: Cell::new(MAX_ENTRIES) };
    unpack(tgz, &budget, 0)
        .map_err(|e| ImportError::Unfit { what: "the chart archive".into(), reason: e.to_string() })
}

/// Whether an archive is a chart: `Chart.yaml` is in its only top directory, within the first
/// `most` unpacked bytes.
pub fn is_chart(tgz: impl Read, most: u64) -> bool {
    let mut archive = Archive::new(MultiGzDecoder::new(tgz).take(most));
    let Ok(entries) = archive.entries() else { return false };
    // The first error ends the entries.
    entries.take(MAX_ENTRIES as usize).map_while(Result::ok).any(|entry| {
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        entry.header().entry_type().is_file() && matches!(parts(&path)[..], [_, "Chart.yaml"])
    })
}

/// The parts of a path in an archive. As in Helm, a path with backslashes was written on Windows.
fn parts(path: &str) -> Vec<&str> {
    let separator = if path.contains('\\') { '\\' } else { '/' };
    path.split(separator).filter(|part| !part.is_empty() && *part != ".").collect()
}

fn unpack(tgz: &mut dyn Read, budget: &Budget, depth: usize) -> io::Result<Files> {
    let mut chart = Files::default();
    let mut archive = Archive::new(Capped { inner: MultiGzDecoder::new(tgz), left: &budget.bytes });
    for entry in archive.entries()? {
        let mut entry = entry?;
        let left = budget
            .entries
            .get()
            .checked_sub(1)
            .ok_or_else(|| io::Error::other("too many files"))?;
        budget.entries.set(left);
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let parts = parts(&path);
        // The first part is the chart's own directory.
        chart.take(parts.get(1..).unwrap_or_default(), &mut entry, budget, depth)?;
    }
    Ok(chart)
}

impl Files {
    fn take(
        &mut self,
        path: &[&str],
        file: &mut dyn Read,
        budget: &Budget,
        depth: usize,
    ) -> io::Result<()> {
        match path {
            ["Chart.yaml"] => self.about = text(file)?,
            ["values.yaml"] => self.values = text(file)?,
            ["templates", .., _] => {
                let text = text(file)?;
                self.literals.extend(String::from_utf8_lossy(&text).lines().filter_map(literal));
            }
            ["charts", ..] if depth >= MAX_DEPTH => {
                return Err(io::Error::other("charts within charts without end"));
            }
            ["charts", name] if name.ends_with(".tgz") => {
                let inner = unpack(file, budget, depth + 1)?;
                self.charts.insert((*name).to_owned(), inner);
            }
            ["charts", name, rest @ ..] if !rest.is_empty() => {
                self.charts.entry((*name).to_owned()).or_default().take(
                    rest,
                    file,
                    budget,
                    depth + 1,
                )?;
            }
            _ => {}
        }
        Ok(())
    }
}

fn text(file: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    file.take(MAX_TEXT + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MAX_TEXT {
        return Err(io::Error::other(format!("a file of more than {MAX_TEXT} bytes")));
    }
    Ok(text)
}

/// The image in an `image: …` line that needs no rendering.
fn literal(line: &str) -> Option<String> {
    let line = line.trim_start();
    let value = line.strip_prefix("- ").unwrap_or(line).trim_start().strip_prefix("image:")?;
    let value = value.split(" #").next()?.trim();
    image_name(value.trim_matches(['"', '\'']))
}

/// Returns the text if it is an image name that needs no rendering.
pub(super) fn image_name(text: &str) -> Option<String> {
    let name = text.strip_prefix("docker://").unwrap_or(text);
    let fits = !name.contains("://") && name.parse::<Reference>().is_ok();
    fits.then(|| name.to_owned())
}

/// A reader that fails once the byte budget is spent.
struct Capped<'a, R> {
    inner: R,
    left: &'a Cell<u64>,
}

impl<R: Read> Read for Capped<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let got = self.inner.read(into)?;
        let left = self.left.get().checked_sub(got as u64);
        self.left.set(left.ok_or_else(|| {
            io::Error::other(format!(
                "it unpacks to more than {MAX_BYTES} bytes, the most that is read"
            ))
        })?);
        Ok(got)
    }
}
