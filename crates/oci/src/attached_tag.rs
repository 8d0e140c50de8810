//! The tags under which statements about a manifest hang where a registry has no referrers API.
//!
//! Cosign appends `.sig`, `.att` or `.sbom` to `<algorithm>-<hex>`; the distribution specification
//! lists referrers under `<algorithm>-<hex>` itself. Any other suffix is an ordinary tag.

use crate::Digest;

/// The suffixes of cosign's tags.
const COSIGN: [&str; 3] = [".sig", ".att", ".sbom"];

/// The tag under which referrers of a manifest are listed where a registry has no API for them.
///
/// Distribution specification 1.1, "Referrers Tag Schema".
#[must_use]
pub fn referrers_tag(subject: &Digest) -> String {
    format!("{}-{}", subject.algorithm(), subject.hex())
}

/// The tags under which cosign keeps signatures, attestations and SBOMs of a manifest.
///
/// ```
/// use perennial_oci::{Digest, cosign_tags, subject_of_tag};
///
/// let image = Digest::sha256_of(b"a manifest");
/// for tag in cosign_tags(&image) {
///     assert_eq!(subject_of_tag(&tag), Some(image));
/// }
/// assert_eq!(subject_of_tag("v1.sig"), None);
/// ```
pub fn cosign_tags(subject: &Digest) -> impl Iterator<Item = String> + use<> {
    let base = referrers_tag(subject);
    COSIGN.iter().map(move |suffix| format!("{base}{suffix}"))
}

/// The manifest that a tag is a statement about; `None` for tags of images.
#[must_use]
pub fn subject_of_tag(tag: &str) -> Option<Digest> {
    let base = COSIGN.iter().find_map(|suffix| tag.strip_suffix(suffix)).unwrap_or(tag);
    let (algorithm, hex) = base.split_once('-')?;
    format!("{algorithm}:{hex}").parse().ok()
}
