//! Names of images as charts write them.

use oci_spec::distribution::Reference;

/// A text that is the name of an image as it stands; not one that has to be rendered first.
pub(super) fn valid(text: &str) -> Option<String> {
    let name = text.strip_prefix("docker://").unwrap_or(text);
    let fits = !name.is_empty() && !name.contains("://") && Reference::try_from(name).is_ok();
    fits.then(|| name.to_owned())
}

/// Whether the first part of a repository is a registry already.
pub(super) fn has_registry(repository: &str) -> bool {
    let first = repository.split_once('/').map(|(first, _)| first);
    first.is_some_and(|first| first.contains(['.', ':']) || first == "localhost")
}
