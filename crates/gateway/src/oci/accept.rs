//! The `Accept` headers of requests for manifests, read as the reference registry reads them.

use axum::http::{HeaderMap, header};
use perennial_oci::{DOCKER_LIST, DOCKER_MANIFEST, Digest, Manifest, OCI_INDEX, OCI_MANIFEST};

/// How an `Accept` header rates a media type. A request without the header accepts every type.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Accepted, or a type that clients do not list.
    Yes,
    /// Not accepted: the manifest is a list, and the client wants the single image for linux/amd64.
    OneOfList,
    /// Not accepted, for this reason.
    No(&'static str),
}

/// Evaluates the `Accept` headers. Only a request `by_tag` gets a single image in place of a list.
pub(crate) fn taken(headers: &HeaderMap, media_type: &str, by_tag: bool) -> Taken {
    let texts = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let accepted: Vec<&str> = texts
        .flat_map(|text| text.split(','))
        .map(|kind| kind.split(';').next().unwrap_or_default().trim())
        .filter(|kind| !kind.is_empty())
        .collect();
    let any =
        accepted.is_empty() || accepted.iter().any(|kind| matches!(*kind, "*/*" | "application/*"));
    if any || accepted.contains(&media_type) {
        return Taken::Yes;
    }
    match media_type {
        OCI_MANIFEST => Taken::No("an OCI manifest, which the Accept header does not take"),
        OCI_INDEX => Taken::No("an OCI index, which the Accept header does not take"),
        DOCKER_LIST if by_tag && accepted.contains(&DOCKER_MANIFEST) => Taken::OneOfList,
        _ => Taken::Yes,
    }
}

/// The linux/amd64 image of a list.
pub(crate) fn default_of(list: &Manifest) -> Option<Digest> {
    let mut children = list.children().iter();
    let wanted = children.find(|child| {
        child.platform().is_some_and(|runs| runs.os == "linux" && runs.arch == "amd64")
    });
    wanted.map(|child| child.digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(values: &[&str], media_type: &str, by_tag: bool) -> Taken {
        let headers =
            values.iter().map(|value| (header::ACCEPT, value.parse().expect("a value"))).collect();
        taken(&headers, media_type, by_tag)
    }

    #[test]
    fn accept_is_read_as_the_reference_registry_does() {
        assert_eq!(accept(&[], OCI_INDEX, true), Taken::Yes);
        assert_eq!(accept(&["*/*"], OCI_INDEX, true), Taken::Yes);
        assert_eq!(
            accept(&[DOCKER_MANIFEST, &format!("x/y, {OCI_INDEX};q=0.5")], OCI_INDEX, true),
            Taken::Yes
        );
        assert!(matches!(accept(&[DOCKER_MANIFEST], OCI_INDEX, true), Taken::No(_)));
        assert!(matches!(accept(&[DOCKER_MANIFEST], OCI_MANIFEST, false), Taken::No(_)));
        assert_eq!(accept(&[DOCKER_MANIFEST], DOCKER_LIST, true), Taken::OneOfList);
        assert_eq!(accept(&[DOCKER_MANIFEST], DOCKER_LIST, false), Taken::Yes);
    }

    #[test]
    fn one_image_of_a_list_can_answer_for_it() {
        let (arm, amd) = (Digest::sha256_of(b"arm"), Digest::sha256_of(b"amd"));
        let child = |digest: Digest, arch: &str| {
            format!(
                r#"{{"mediaType":"{OCI_MANIFEST}","digest":"{digest}","size":3,
                    "platform":{{"os":"linux","architecture":"{arch}"}}}}"#
            )
        };
        let list = format!(r#"{{"manifests":[{},{}]}}"#, child(arm, "arm64"), child(amd, "amd64"));
        let list = Manifest::parse(list.as_bytes()).expect("a list");
        assert_eq!(default_of(&list), Some(amd));
    }
}
