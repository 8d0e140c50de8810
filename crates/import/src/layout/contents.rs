//! The contents of an archive: its images, and the blobs that are not at their paths of a layout.

use std::collections::BTreeMap;

use perennial_oci::Digest;

use crate::Failed;

/// The images of an old archive, and the places of their blobs.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) elsewhere: BTreeMap<Digest, Elsewhere>,
    pub(super) roots: Vec<Root>,
    /// Images that are not whole, each with the reason.
    pub(super) left_out: Vec<Lost>,
}

/// An image that an archive names and does not have whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lost {
    /// Its place in the list of the archive, from 0.
    pub(super) number: usize,
    pub(super) failed: Failed,
}

/// The place of a blob that is not at its path of an OCI layout.
#[derive(Debug)]
pub(super) enum Elsewhere {
    /// Stored under another name in the archive.
    Named(String),
    /// Generated, because the archive does not contain it.
    Made(Vec<u8>),
}

/// An image in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Root {
    /// Its place in the list of the archive, from 0; images with several names have one.
    pub(super) number: usize,
    pub(super) digest: Digest,
    pub(super) tag: Option<String>,
    /// The full name, if the archive states it.
    pub(super) image: Option<String>,
}

impl Root {
    /// An image under the name that an archive gives it: a tag, or a full name.
    pub(super) fn new(
        number: usize,
        digest: Digest,
        name: Option<String>,
        image: Option<String>,
    ) -> Self {
        let is_full = |name: &String| name.contains(['/', ':']);
        let image = image.or_else(|| name.clone().filter(is_full));
        let of_image = || {
            let (_, tag) = image.as_ref()?.rsplit('/').next()?.split_once(':')?;
            (!tag.contains('@')).then(|| tag.to_owned())
        };
        let tag = name.filter(|name| !is_full(name)).or_else(of_image);
        Self { number, digest, tag, image }
    }

    /// The name for messages.
    pub(super) fn shown(&self) -> Option<String> {
        self.image.clone().or_else(|| self.tag.clone())
    }
}
