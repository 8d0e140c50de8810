//! Names of images, and the package URLs of their releases: one spelling for each.
//!
//! The grammar is `oci-spec`'s (that of docker); short names are Docker Hub's.

use perennial_manifest::Purl;

use crate::ImportError;

pub use oci_spec::distribution::Reference;

/// The package URL of an image: `pkg:docker/<repository>@<tag or digest>?repository_url=<registry>`. Where a name has both,
/// the digest is what counts.
pub fn image_purl(reference: &Reference) -> Result<Purl, ImportError> {
    let version = reference.digest().or(reference.tag()).unwrap_or("latest");
    let (repository, registry) = (reference.repository(), reference.registry());
    Purl::parse(&format!("pkg:docker/{repository}@{version}?repository_url={registry}"))
        .map_err(|e| ImportError::Usage(e.to_string()))
}

/// Reads a name with or without `docker://`. Without a tag and a digest it means `latest`; of a tag and a digest, the digest.
pub(crate) fn parse_reference(text: &str) -> Result<Reference, ImportError> {
    let name = text.strip_prefix("docker://").unwrap_or(text);
    // hosts know no case, and one image has one name
    let name = match name.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) => {
            format!("{}/{path}", host.to_ascii_lowercase())
        }
        _ => name.to_owned(),
    };
    let refuse = |reason: &dyn std::fmt::Display| {
        ImportError::Usage(format!(
            "{text:?} is no image (`docker://registry/repository:tag`): {reason}"
        ))
    };
    let reference = Reference::try_from(name).map_err(|e| refuse(&e))?;
    // the crate lets them pass where the first part could have been a host
    if reference.repository().contains(|c: char| c.is_ascii_uppercase()) {
        return Err(refuse(&"the name of a repository is in lower case"));
    }
    Ok(match reference.digest() {
        Some(digest) => reference.clone_with_digest(digest.to_owned()),
        None => reference,
    })
}

/// Whether a name says which tag or digest is meant.
pub(crate) fn has_version(text: &str) -> bool {
    text.rsplit('/').next().is_some_and(|last| last.contains([':', '@']))
}

/// The same repository at a tag, if that is one.
pub(crate) fn with_tag(reference: &Reference, tag: &str) -> Result<Reference, ImportError> {
    let name = format!("{}/{}:{tag}", reference.registry(), reference.repository());
    let tagged = parse_reference(&name)?;
    if tagged.tag() == Some(tag) && tagged.repository() == reference.repository() {
        Ok(tagged)
    } else {
        Err(ImportError::Usage(format!("{tag:?} is no tag")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_has_one_name_and_one_purl() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let cases = [
            (
                "docker://quay.io/kubesphere/ks-console:v3.4.1",
                "pkg:docker/kubesphere/ks-console@v3.4.1?repository_url=quay.io",
            ),
            (
                "docker://Quay.IO/kubesphere/ks-console:v3.4.1",
                "pkg:docker/kubesphere/ks-console@v3.4.1?repository_url=quay.io",
            ),
            ("nginx", "pkg:docker/library/nginx@latest?repository_url=docker.io"),
            (
                "docker://index.docker.io/library/nginx:1",
                "pkg:docker/library/nginx@1?repository_url=docker.io",
            ),
            ("docker://127.0.0.1:5000/a:1", "pkg:docker/a@1?repository_url=127.0.0.1:5000"),
        ];
        for (text, purl) in cases {
            let made = image_purl(&parse_reference(text).unwrap()).unwrap();
            assert_eq!(made, Purl::parse(purl).unwrap(), "{text}");
        }
        let both = parse_reference(&format!("docker://quay.io/a/b:1@{digest}")).unwrap();
        assert_eq!((both.tag(), both.digest()), (None, Some(digest.as_str())));
        assert_eq!(image_purl(&both).unwrap().version(), Some(digest.as_str()));
        for wrong in [
            "docker://",
            "docker://quay.io/A/b:1",
            "docker://UPPER/case",
            "docker://quay.io/a b",
            "docker://quay.io/a:",
            "quay.io/../b:1",
        ] {
            assert!(parse_reference(wrong).is_err(), "{wrong}");
        }
        let base = parse_reference("quay.io/a/b").unwrap();
        for wrong in ["", "a/b", "x@y", "a b", "..", "1:2"] {
            assert!(with_tag(&base, wrong).is_err(), "{wrong}");
        }
        assert_eq!(with_tag(&base, "v1").unwrap().to_string(), "quay.io/a/b:v1");
        assert!(has_version("docker://a.b:5000/x:1") && !has_version("docker://a.b:5000/x"));
    }
}
