//! Entry points for the fuzz targets in `tests/fuzz`, into otherwise private readers.
//!
//! Not part of the API.

use std::io::Read;
use std::path::Path;

use crate::ImportError;
use crate::{helm, layout};

/// Opens a tar as `docker-archive:` and as `oci-archive:` and finds the images in it.
///
/// # Errors
/// The first error of the two, if the tar is not a sound archive of that kind.
pub fn saved_images(tar: &Path) -> Result<(), ImportError> {
    layout::open_both_ways(tar)
}

/// Looks into a chart archive for the images it names.
///
/// # Errors
/// If it is not a gzipped tar, or unpacks to more than the bounds allow.
pub fn chart(tgz: &mut dyn Read) -> Result<(), ImportError> {
    helm::look_into(tgz)
}
