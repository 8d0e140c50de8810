//! A layout that was opened: which images are in it, what is said about them, and their bytes by digest.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use oci_spec::image::{Descriptor, Digest};

use super::docker;
use super::place::{Opened, Place};
use super::source::Kind;
use crate::ImportError;
use crate::blocking::blocking;
use crate::image::{
    Attached, Incoming, MAX_MANIFEST, Manifest, Origin, Wanted, cosign_subject, fallback_tag,
    path_of,
};
use crate::meter::Meter;

const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Where containerd, and docker since 25, say the whole name.
const IMAGE_NAME: &str = "io.containerd.image.name";

/// Images that were saved.
#[derive(Debug)]
pub(super) struct Saved {
    files: Arc<Files>,
    roots: Vec<Root>,
    attached: BTreeMap<String, Vec<Attached>>,
}

/// Bytes by digest.
#[derive(Debug)]
pub(super) struct Files {
    place: Place,
    /// What lies elsewhere than a layout would have it.
    elsewhere: BTreeMap<String, Elsewhere>,
}

/// Where a blob of an old archive is.
#[derive(Debug)]
pub(super) enum Elsewhere {
    Named(String),
    Made(Vec<u8>),
}

/// An image in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Root {
    pub(super) digest: Digest,
    pub(super) tag: Option<String>,
    /// Its whole name.
    pub(super) image: Option<String>,
}

impl Root {
    /// By what an archive says: a tag, or a whole name.
    pub(super) fn new(digest: Digest, name: Option<String>, image: Option<String>) -> Self {
        let is_whole = |name: &String| name.contains(['/', ':']);
        let image = image.or_else(|| name.clone().filter(is_whole));
        let of_image = || {
            let (_, tag) = image.as_ref()?.rsplit('/').next()?.split_once(':')?;
            (!tag.contains('@')).then(|| tag.to_owned())
        };
        let tag = name.filter(|name| !is_whole(name)).or_else(of_image);
        Self { digest, tag, image }
    }

    /// How to name it to people.
    pub(super) fn shown(&self) -> Option<String> {
        self.image.clone().or_else(|| self.tag.clone())
    }
}

impl Saved {
    pub(super) fn open(kind: Kind, path: &Path) -> Result<Self, ImportError> {
        let place = Place::open(kind, path)?;
        if kind == Kind::DockerArchive && !(place.has("oci-layout") && place.has("index.json")) {
            let (elsewhere, roots) = docker::convert(&place)?;
            let files = Arc::new(Files { place, elsewhere });
            return Ok(Self { files, roots, attached: BTreeMap::new() });
        }
        let Some(index) = place.read("index.json", MAX_MANIFEST)? else {
            let reason = format!("has no index.json, so it is no {}", kind.as_str());
            return Err(ImportError::Gone { what: path.display().to_string(), reason });
        };
        let index = Manifest::parse(&format!("{}: index.json", path.display()), &index)?;
        let files = Arc::new(Files { place, elsewhere: BTreeMap::new() });
        let mut saved = Self { files, roots: Vec::new(), attached: BTreeMap::new() };
        for descriptor in &index.manifests {
            saved.sort_in(descriptor)?;
        }
        Ok(saved)
    }

    pub(super) fn roots(&self) -> &[Root] {
        &self.roots
    }

    /// Tells images from what is said about them.
    fn sort_in(&mut self, descriptor: &Descriptor) -> Result<(), ImportError> {
        let annotation =
            |key| descriptor.annotations().as_ref().and_then(|all| all.get(key).cloned());
        let (name, image) = (annotation(REF_NAME), annotation(IMAGE_NAME));
        let digest = descriptor.digest().clone();
        // what cannot be read fails as an image, with its name
        let read = self.files.read(&digest)?;
        let manifest = read.and_then(|bytes| Manifest::parse(digest.as_ref(), &bytes).ok());
        if let Some(subject) = name.as_deref().and_then(cosign_subject) {
            let listed = name.as_deref() == Some(&fallback_tag(&subject));
            let said = self.attached.entry(subject.to_string()).or_default();
            match manifest {
                // a list of referrers, as registries keep it that have no API for it
                Some(index) if listed => said.extend(
                    index
                        .manifests
                        .iter()
                        .map(|m| Attached { digest: m.digest().clone(), tag: None }),
                ),
                _ => said.push(Attached { digest, tag: name }),
            }
            return Ok(());
        }
        if let Some(subject) = manifest.and_then(|manifest| manifest.subject) {
            let said = self.attached.entry(subject.to_string()).or_default();
            said.push(Attached { digest: digest.clone(), tag: None });
            if name.is_none() && image.is_none() {
                return Ok(());
            }
        }
        self.roots.push(Root::new(digest, name, image));
        Ok(())
    }
}

impl Files {
    fn get(&self, digest: &Digest) -> Result<Option<Opened>, ImportError> {
        match self.elsewhere.get(digest.as_ref()) {
            Some(Elsewhere::Named(name)) => self.place.get(name),
            Some(Elsewhere::Made(bytes)) => {
                let size = bytes.len() as u64;
                Ok(Some(Opened { reader: Box::new(std::io::Cursor::new(bytes.clone())), size }))
            }
            None => self.place.get(&path_of(digest)),
        }
    }

    /// A manifest; `None` if it is not there.
    fn read(&self, digest: &Digest) -> Result<Option<Vec<u8>>, ImportError> {
        match self.elsewhere.get(digest.as_ref()) {
            Some(Elsewhere::Named(name)) => self.place.read(name, MAX_MANIFEST),
            Some(Elsewhere::Made(bytes)) => Ok(Some(bytes.clone())),
            None => self.place.read(&path_of(digest), MAX_MANIFEST),
        }
    }

    fn fill(&self, wanted: &Wanted, mut into: Incoming) -> Result<Incoming, ImportError> {
        let mut opened = self.get(&wanted.digest)?.ok_or_else(|| missing(&wanted.digest))?;
        if opened.size != wanted.size {
            let reason = format!("{} bytes are there, {} were to be", opened.size, wanted.size);
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
    fn origins(&self) -> Vec<String> {
        Vec::new()
    }

    async fn manifest(&self, digest: &Digest) -> Result<Vec<u8>, ImportError> {
        let (files, digest) = (self.files.clone(), digest.clone());
        blocking(move || files.read(&digest)?.ok_or_else(|| missing(&digest))).await
    }

    fn lacks(&self, digest: &Digest) -> bool {
        !self.files.elsewhere.contains_key(digest.as_ref())
            && !self.files.place.has(&path_of(digest))
    }

    async fn attached(&self, digest: &Digest) -> Result<Vec<Attached>, ImportError> {
        Ok(self.attached.get(digest.as_ref()).cloned().unwrap_or_default())
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
    ImportError::Gone { what: digest.to_string(), reason: "it is not in the archive".into() }
}
