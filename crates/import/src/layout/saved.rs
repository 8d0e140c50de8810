//! An open layout: its images, the statements about them, and their bytes by digest.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use perennial_oci::{
    Descriptor, Digest, HEADER_PATH, INDEX_PATH, MAX_MANIFEST, Manifest, OddEntry, REF_NAME,
    referrers_tag, subject_of_tag,
};
use perennial_store::Room;

use super::contents::{Contents, Elsewhere, Lost, Root};
use super::docker;
use super::place::{Opened, Place};
use super::source::Kind;
use crate::image::{Attached, Incoming, Origin, Wanted};
use crate::meter::{Meter, blocking};
use crate::{Failed, ImportError};

/// Longest `index.json` of a layout, in bytes: some 150,000 images. It is no manifest that a
/// registry would have to take, and what it names is read into one list of bounded size.
const MAX_INDEX: u64 = 32 << 20;
/// The annotation in which containerd, and docker since 25, state the full name.
const IMAGE_NAME: &str = "io.containerd.image.name";

/// An open archive: its images, and the statements about them.
#[derive(Debug)]
pub(super) struct Saved {
    files: Arc<Files>,
    roots: Vec<Root>,
    attached: BTreeMap<Digest, Vec<Attached>>,
    left_out: Vec<Lost>,
}

/// The blobs of an archive, by digest.
#[derive(Debug)]
pub(super) struct Files {
    place: Place,
    /// Blobs that are not at their paths of a layout.
    elsewhere: BTreeMap<Digest, Elsewhere>,
}

impl Saved {
    /// Opens an archive; `room`: where it is unpacked, if it is packed.
    pub(super) fn open(kind: Kind, path: &Path, room: &Room) -> Result<Self, ImportError> {
        let place = Place::open(kind, path, room)?;
        if kind == Kind::DockerArchive && !(place.has(HEADER_PATH) && place.has(INDEX_PATH)) {
            let Contents { elsewhere, roots, left_out } = docker::convert(&place)?;
            let files = Arc::new(Files { place, elsewhere });
            return Ok(Self { files, roots, attached: BTreeMap::new(), left_out });
        }
        let Some(index) = place.read(INDEX_PATH, MAX_INDEX)? else {
            let reason =
                format!("has no index.json, so it is not an image for `{}:`", kind.as_str());
            return Err(ImportError::Upstream { what: path.display().to_string(), reason });
        };
        let what = format!("{}: index.json", path.display());
        let (index, odd) = Manifest::parse_entries(&index)
            .map_err(|error| ImportError::manifest(what.clone(), error))?;
        let left_out = |odd: &OddEntry| {
            let named = odd.called.as_ref().map(|name| format!("{}:{name}", path.display()));
            let reason = format!("entry {} of its index.json: {}", odd.number, odd.error);
            let named = named.unwrap_or_else(|| path.display().to_string());
            Lost { number: odd.number - 1, failed: Failed::new(named, reason) }
        };
        let files = Arc::new(Files { place, elsewhere: BTreeMap::new() });
        let mut saved = Self {
            files,
            roots: Vec::new(),
            attached: BTreeMap::new(),
            left_out: odd.iter().map(left_out).collect(),
        };
        // Many tags name one manifest, which is read once.
        let mut subjects = BTreeMap::new();
        let odd: BTreeSet<usize> = odd.iter().map(|odd| odd.number).collect();
        let is_whole = |number: &usize| !odd.contains(&(number + 1));
        for (number, descriptor) in (0..).filter(is_whole).zip(index.children()) {
            saved.sort_in(number, descriptor, &mut subjects)?;
        }
        Ok(saved)
    }

    pub(super) fn roots(&self) -> &[Root] {
        &self.roots
    }

    /// Images that the archive names and does not have whole.
    pub(super) fn left_out(&self) -> &[Lost] {
        &self.left_out
    }

    /// Sorts a manifest in as an image or as a statement about an image.
    fn sort_in(
        &mut self,
        number: usize,
        descriptor: &Descriptor,
        subjects: &mut BTreeMap<Digest, Option<Digest>>,
    ) -> Result<(), ImportError> {
        let annotation = |key| descriptor.annotations.get(key).cloned();
        let (name, image) = (annotation(REF_NAME), annotation(IMAGE_NAME));
        let digest = descriptor.digest;
        // An unreadable manifest counts as an image, which fails later under its name.
        let manifest = || -> Result<Option<Manifest>, ImportError> {
            let read = self.files.read(&digest)?;
            Ok(read.and_then(|bytes| Manifest::parse(&bytes).ok()))
        };
        if let Some(subject) = name.as_deref().and_then(subject_of_tag) {
            let listed = name.as_deref() == Some(&referrers_tag(&subject));
            let manifest = manifest()?;
            let said = self.attached.entry(subject).or_default();
            match manifest {
                // The referrers list that stands in for a registry's missing referrers API.
                Some(index) if listed => said.extend(
                    index
                        .children()
                        .iter()
                        .map(|child| Attached { digest: child.digest, tag: None }),
                ),
                _ => said.push(Attached { digest, tag: name }),
            }
            return Ok(());
        }
        let subject = match subjects.get(&digest) {
            Some(known) => *known,
            None => manifest()?.and_then(|manifest| manifest.subject),
        };
        subjects.insert(digest, subject);
        if let Some(subject) = subject {
            let said = self.attached.entry(subject).or_default();
            said.push(Attached { digest, tag: None });
            if name.is_none() && image.is_none() {
                return Ok(());
            }
        }
        self.roots.push(Root::new(number, digest, name, image));
        Ok(())
    }
}

impl Files {
    fn get(&self, digest: &Digest) -> Result<Option<Opened>, ImportError> {
        match self.elsewhere.get(digest) {
            Some(Elsewhere::Named(name)) => self.place.get(name),
            Some(Elsewhere::Made(bytes)) => {
                let size = bytes.len() as u64;
                Ok(Some(Opened { reader: Box::new(std::io::Cursor::new(bytes.clone())), size }))
            }
            None => self.place.get(&digest.path()),
        }
    }

    /// A manifest; `None` if the archive does not contain it.
    fn read(&self, digest: &Digest) -> Result<Option<Vec<u8>>, ImportError> {
        match self.elsewhere.get(digest) {
            Some(Elsewhere::Named(name)) => self.place.read(name, MAX_MANIFEST),
            Some(Elsewhere::Made(bytes)) => Ok(Some(bytes.clone())),
            None => self.place.read(&digest.path(), MAX_MANIFEST),
        }
    }

    fn fill(&self, wanted: &Wanted, mut into: Incoming) -> Result<Incoming, ImportError> {
        let mut opened = self.get(&wanted.digest)?.ok_or_else(|| missing(&wanted.digest))?;
        if opened.size != wanted.size {
            let reason = format!("{} bytes are there, not {}", opened.size, wanted.size);
            return Err(ImportError::Mismatch { what: wanted.digest.to_string(), reason });
        }
        into.restart()?;
        let mut buffer = vec![0; 128 << 10];
        loop {
            let read =
                opened.reader.read(&mut buffer).map_err(|source| self.place.failed(source))?;
            if read == 0 {
                return Ok(into);
            }
            into.write(&buffer[..read])?;
        }
    }
}

impl Origin for Saved {
    async fn manifest(&self, digest: &Digest) -> Result<Vec<u8>, ImportError> {
        let (files, digest) = (self.files.clone(), *digest);
        blocking(move || files.read(&digest)?.ok_or_else(|| missing(&digest))).await
    }

    fn lacks(&self, digest: &Digest) -> bool {
        !self.files.elsewhere.contains_key(digest) && !self.files.place.has(&digest.path())
    }

    async fn attached(&self, digest: &Digest) -> (Vec<Attached>, Vec<ImportError>) {
        (self.attached.get(digest).cloned().unwrap_or_default(), Vec::new())
    }

    async fn blob(
        &self,
        wanted: &Wanted,
        into: Incoming,
        meter: &Meter<'_>,
    ) -> Result<Incoming, ImportError> {
        let (files, of) = (self.files.clone(), wanted.clone());
        let filled = blocking(move || files.fill(&of, into)).await?;
        meter.bytes(wanted.size);
        Ok(filled)
    }
}

fn missing(digest: &Digest) -> ImportError {
    ImportError::Upstream { what: digest.to_string(), reason: "it is not in the archive".into() }
}
