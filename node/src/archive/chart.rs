//! Whether a file is a Helm chart. Its content decides: other archives end in `.tgz`, too.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use perennial_manifest::{ArtifactPath, Purl};

/// Unpacked bytes that are read of an archive that may well be no chart. Helm writes `Chart.yaml`
/// first.
const LITTLE: u64 = 1 << 20;
/// Unpacked bytes that are read of a file of a `pkg:helm/…` release.
const MUCH: u64 = 100 << 20;

/// Whether the file at `path`, to be called `name` in a release of `purl`, is a chart. Blocking; a
/// file that cannot be read is none.
pub(super) fn is_chart(path: &Path, name: &ArtifactPath, purl: &Purl) -> bool {
    let lower = name.as_str().to_ascii_lowercase();
    if !lower.ends_with(".tgz") && !lower.ends_with(".tar.gz") {
        return false;
    }
    let most = if purl.ty() == "helm" { MUCH } else { LITTLE };
    File::open(path).is_ok_and(|file| perennial_import::is_chart(BufReader::new(file), most))
}
