//! The walk from a root manifest to every blob it names.
//!
//! A state machine: the caller brings each manifest that [`Tree::next_visit`] asks for and hands it
//! to [`Tree::add`]. Promises that the files found, their order, roles and platforms depend on the
//! manifests alone, so that every holder of an image lists it alike, and that depth and number are
//! bounded before anything is fetched.

use std::collections::{BTreeMap, VecDeque};

use perennial_manifest::{Platform, Role};

use crate::layout::REF_NAME;
use crate::role::{BYTES, Place, is_foreign, is_media_type, role_of};
use crate::{Descriptor, Digest, MAX_MANIFEST, Manifest};

/// Most manifests under one root.
pub const MAX_MANIFESTS: usize = 2_000;
/// Most blobs under one root.
pub const MAX_BLOBS: usize = 20_000;
/// Deepest nesting: an index of indexes of indexes of images. The image specification lets indexes
/// nest and states no depth; builders write one level, and this leaves room for two more.
pub const MAX_DEPTH: usize = 3;

/// The manifests and blobs of an image, as far as they were found.
#[derive(Debug, Default)]
pub struct Tree {
    queue: VecDeque<Visit>,
    manifests: BTreeMap<Digest, Content>,
    found: Vec<Digest>,
    blobs: Vec<(Digest, Content)>,
    /// Places in `blobs`.
    places: BTreeMap<Digest, usize>,
    foreign: Vec<Descriptor>,
}

/// A manifest or blob of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The media type.
    pub media_type: String,
    /// The role in an artifact list.
    pub role: Role,
    /// The one platform that it serves; `None` if it serves several, or all.
    pub platform: Option<Platform>,
    /// The size, in bytes.
    pub size: u64,
}

/// A manifest that the walk wants to see.
#[derive(Debug, Clone)]
pub struct Visit {
    digest: Digest,
    /// The size that the index says; the root has none.
    size: Option<u64>,
    platform: Option<Platform>,
    depth: usize,
    /// Whether it says something about an image instead of being one.
    statement: bool,
}

/// A tree that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{digest}: {rule}")]
pub struct TreeError {
    /// The content that breaks it.
    pub digest: Digest,
    /// The rule.
    pub rule: Rule,
}

/// A rule that a tree broke.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rule {
    /// More than [`MAX_MANIFESTS`].
    #[error("is one of more than {MAX_MANIFESTS} manifests under one root")]
    Manifests,
    /// More than [`MAX_BLOBS`].
    #[error("is one of more than {MAX_BLOBS} blobs under one root")]
    Blobs,
    /// More than [`MAX_DEPTH`].
    #[error("lies more than {MAX_DEPTH} indexes deep")]
    Depth,
    /// More than [`MAX_MANIFEST`].
    #[error("a manifest of {0} bytes is longer than {MAX_MANIFEST}")]
    Long(u64),
    /// The manifest has another size than the index says.
    #[error("has {found} bytes, and {said} by the index that names it")]
    Size {
        /// The size in the index.
        said: u64,
        /// The size of the manifest.
        found: u64,
    },
    /// Two descriptors disagree on the size of a blob.
    #[error("two manifests state two sizes for it, {0} and {1} bytes")]
    TwoSizes(u64, u64),
}

impl Visit {
    /// The manifest to bring.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The platform that the index states for it.
    #[must_use]
    pub fn platform(&self) -> Option<&Platform> {
        self.platform.as_ref()
    }
}

impl Tree {
    /// Begins at the root of an image.
    #[must_use]
    pub fn image(root: Digest) -> Self {
        Self::begin(root, false)
    }

    /// Begins at a statement about an image: a signature, an attestation, an SBOM.
    #[must_use]
    pub fn statement(root: Digest) -> Self {
        Self::begin(root, true)
    }

    fn begin(digest: Digest, statement: bool) -> Self {
        let visit = Visit { digest, size: None, platform: None, depth: 0, statement };
        Self { queue: VecDeque::from([visit]), ..Self::default() }
    }

    /// The same walk from its beginning; `root` is where this one began.
    #[must_use]
    pub fn anew(&self, root: Digest) -> Self {
        let statement =
            self.manifests.get(&root).is_some_and(|known| known.role == Role::Signature);
        Self::begin(root, statement)
    }

    /// The next manifest to bring; `None` once all are there.
    ///
    /// # Errors
    /// [`TreeError`] if there are too many manifests, or one lies too deep.
    pub fn next_visit(&mut self) -> Result<Option<Visit>, TreeError> {
        while let Some(visit) = self.queue.pop_front() {
            let digest = visit.digest;
            if let Some(known) = self.manifests.get_mut(&digest) {
                meet(&mut known.platform, visit.platform.as_ref());
                continue;
            }
            if self.found.len() >= MAX_MANIFESTS {
                return Err(TreeError { digest, rule: Rule::Manifests });
            }
            if visit.depth > MAX_DEPTH {
                return Err(TreeError { digest, rule: Rule::Depth });
            }
            return Ok(Some(visit));
        }
        Ok(None)
    }

    /// Takes a manifest of `size` bytes whose digest was checked, with all its children.
    ///
    /// # Errors
    /// [`TreeError`] if sizes contradict each other or a bound is passed.
    pub fn add(&mut self, visit: &Visit, size: u64, manifest: &Manifest) -> Result<(), TreeError> {
        let children: Vec<_> = manifest.children().iter().collect();
        self.add_with(visit, size, manifest, &children)
    }

    /// As [`Tree::add`], with a part of the children ([`Manifest::select`]).
    ///
    /// # Errors
    /// As [`Tree::add`].
    pub fn add_with(
        &mut self,
        visit: &Visit,
        size: u64,
        manifest: &Manifest,
        children: &[&Descriptor],
    ) -> Result<(), TreeError> {
        if let Some(said) = visit.size
            && said != size
        {
            return Err(TreeError { digest: visit.digest, rule: Rule::Size { said, found: size } });
        }
        let role = match (visit.statement, manifest.is_index()) {
            (true, _) => Role::Signature,
            (false, true) => Role::ImageIndex,
            (false, false) => Role::ImageManifest,
        };
        let media_type = manifest.media_type().to_owned();
        let content = Content { media_type, role, platform: visit.platform.clone(), size };
        self.manifests.insert(visit.digest, content);
        self.found.push(visit.digest);
        for child in children {
            if child.is_manifest() {
                self.enqueue(visit, child)?;
            } else {
                self.blob(visit, child, Place::Layer)?;
            }
        }
        if let Some(config) = &manifest.config {
            self.blob(visit, config, Place::Config)?;
        }
        for layer in &manifest.layers {
            if is_foreign(&layer.media_type) {
                self.foreign.push(layer.clone());
            } else {
                self.blob(visit, layer, Place::Layer)?;
            }
        }
        Ok(())
    }

    fn enqueue(&mut self, visit: &Visit, child: &Descriptor) -> Result<(), TreeError> {
        if child.size > MAX_MANIFEST {
            return Err(TreeError { digest: child.digest, rule: Rule::Long(child.size) });
        }
        self.queue.push_back(Visit {
            digest: child.digest,
            size: Some(child.size),
            platform: child.platform().or(visit.platform.as_ref()).cloned(),
            depth: visit.depth + 1,
            statement: visit.statement || child.attests().is_some(),
        });
        Ok(())
    }

    fn blob(
        &mut self,
        visit: &Visit,
        descriptor: &Descriptor,
        place: Place,
    ) -> Result<(), TreeError> {
        let Descriptor { digest, size, media_type, .. } = descriptor;
        let refuse = |rule| Err(TreeError { digest: *digest, rule });
        if let Some(&at) = self.places.get(digest) {
            let (_, known) = &mut self.blobs[at];
            if known.size != *size {
                return refuse(Rule::TwoSizes(known.size, *size));
            }
            meet(&mut known.platform, visit.platform.as_ref());
            return Ok(());
        }
        if self.blobs.len() >= MAX_BLOBS {
            return refuse(Rule::Blobs);
        }
        self.places.insert(*digest, self.blobs.len());
        let content = Content {
            role: role_of(media_type, place, visit.statement),
            media_type: if is_media_type(media_type) { media_type } else { BYTES }.to_owned(),
            platform: visit.platform.clone(),
            size: *size,
        };
        self.blobs.push((*digest, content));
        Ok(())
    }

    /// The manifests found, in the order of the walk.
    #[must_use]
    pub fn manifests(&self) -> &[Digest] {
        &self.found
    }

    /// The blobs found, in the order of the walk, without those that are also manifests.
    pub fn blobs(&self) -> impl Iterator<Item = (Digest, &Content)> {
        let blobs = self.blobs.iter().filter(|(digest, _)| !self.manifests.contains_key(digest));
        blobs.map(|(digest, content)| (*digest, content))
    }

    /// Manifests and blobs.
    pub fn contents(&self) -> impl Iterator<Item = (Digest, &Content)> {
        let manifests = self.manifests.iter().map(|(digest, content)| (*digest, content));
        manifests.chain(self.blobs())
    }

    /// Layers that a licence keeps from being passed on; they are not among the blobs.
    #[must_use]
    pub fn foreign(&self) -> &[Descriptor] {
        &self.foreign
    }

    /// A manifest of this tree as `index.json` names it, with its tag as annotation.
    #[must_use]
    pub fn entry(&self, digest: &Digest, tag: Option<&str>) -> Option<Descriptor> {
        let content = self.manifests.get(digest)?;
        let mut entry = Descriptor::new(content.media_type.clone(), *digest, content.size);
        entry.annotations.extend(tag.map(|tag| (REF_NAME.to_owned(), tag.to_owned())));
        Some(entry)
    }
}

/// Content that serves two platforms belongs to neither.
fn meet(known: &mut Option<Platform>, other: Option<&Platform>) {
    if known.as_ref() != other {
        *known = None;
    }
}
