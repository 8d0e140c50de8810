//! Pushes: blobs by every method, mounts, manifests of each kind, tags.

use axum::http::Method;

use crate::ask::{Ask, ask, head, upload};
use crate::compare::Bench;
use crate::content::{Content, DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, sha256};
use crate::said::{self, created, refused, says};
use crate::spec;

/// The repository that most requests address.
pub(crate) const APP: &str = "/v2/localhost/team/app";
/// A repository that shares blobs with [`APP`].
pub(crate) const OTHER: &str = "/v2/localhost/team/other";
const OCTETS: &str = "application/octet-stream";

pub(crate) fn begin(repository: &str) -> Ask {
    ask(Method::POST, format!("{repository}/blobs/uploads/"))
}

pub(crate) fn put(repository: &str, reference: &str, kind: &str, manifest: &[u8]) -> Ask {
    let put = ask(Method::PUT, format!("{repository}/manifests/{reference}"));
    put.with("content-type", kind).body(manifest)
}

pub(crate) fn requests(bench: &mut Bench<'_>, content: &Content) {
    blobs(bench, content);
    manifests(bench, content);
}

fn blobs(bench: &mut Bench<'_>, content: &Content) {
    let layer = sha256(&content.layer);
    bench.ask(head(format!("{APP}/blobs/{layer}")));
    let put = || {
        upload(Method::PUT, format!("digest={layer}"))
            .with("content-type", OCTETS)
            .body(&content.layer)
    };
    // Whole, after a POST.
    bench.ask(begin(APP));
    bench.ask(put());
    bench.ask(head(format!("{APP}/blobs/{layer}")));
    // The same blob again.
    bench.ask(begin(APP));
    bench.ask(put());
    // In chunks with a `Content-Range`.
    let chunk = |range: std::ops::Range<usize>| {
        let said = format!("{}-{}", range.start, range.end - 1);
        upload(Method::PATCH, "")
            .with("content-type", OCTETS)
            .with("content-range", said)
            .body(&content.chunked[range])
    };
    bench.ask(begin(APP).with("content-length", "0"));
    bench.ask(chunk(0..20_000));
    bench.ask(chunk(20_000..40_000));
    bench.ask(upload(Method::GET, ""));
    bench.ask(
        upload(Method::PUT, format!("digest={}", sha256(&content.chunked)))
            .with("content-type", OCTETS)
            .with("content-range", "40000-49999")
            .body(&content.chunked[40_000..]),
    );
    // As docker does: one PATCH of unknown length, then an empty PUT.
    bench.ask(begin(APP));
    bench.ask(
        upload(Method::PATCH, "")
            .with("content-type", OCTETS)
            .with("transfer-encoding", "chunked")
            .body(&content.config),
    );
    bench.ask(upload(Method::PUT, format!("digest={}", sha256(&content.config))));
    // In a single POST.
    let config = sha256(&content.other_config);
    bench
        .ask(
            ask(Method::POST, format!("{APP}/blobs/uploads/?digest={config}"))
                .with("content-type", OCTETS)
                .body(&content.other_config),
        )
        .differs(
            created(&format!("{APP}/blobs"), "other config"),
            said::upload(202, APP, "0-0"),
            &spec::SINGLE_POST,
        );
    bench.ask(begin(APP));
    bench.ask(upload(Method::PUT, format!("digest={config}")).body(&content.other_config));
    // Mounted from another repository.
    let mount = |digest: &str, from: &str| {
        ask(Method::POST, format!("{OTHER}/blobs/uploads/?mount={digest}&from={from}"))
    };
    bench.ask(mount(&layer, "localhost/team/app"));
    bench.ask(mount(&sha256(&content.config), "localhost/team/app"));
    bench.ask(mount(&sha256(&content.chunked), "localhost/team/nowhere")).differs(
        created(&format!("{OTHER}/blobs"), "chunked layer"),
        said::upload(202, OTHER, "0-0"),
        &spec::CROSS,
    );
    bench.ask(mount(&sha256(&content.absent), "localhost/team/app"));
    bench.ask(mount("sha256:short", "localhost/team/app"));
    bench.ask(head(format!("{OTHER}/blobs/{layer}")));
}

fn manifests(bench: &mut Bench<'_>, content: &Content) {
    bench.ask(put(APP, "v1", OCI_MANIFEST, &content.image));
    // The same manifest again.
    bench.ask(put(APP, "v1", OCI_MANIFEST, &content.image));
    bench.ask(put(APP, &sha256(&content.other), OCI_MANIFEST, &content.other));
    bench.ask(put(APP, "multi", OCI_INDEX, &content.index));
    bench.ask(put(APP, "docker", DOCKER_MANIFEST, &content.docker));
    bench.ask(put(APP, "list", DOCKER_LIST, &content.list));
    bench.ask(put(APP, &sha256(&content.signature), OCI_MANIFEST, &content.signature)).differs(
        says([("OCI-Subject", "<image>")]),
        says([]),
        &spec::SUBJECT,
    );
    // A tag that moves.
    bench.ask(put(APP, "latest", OCI_MANIFEST, &content.other));
    bench.ask(put(APP, "latest", OCI_MANIFEST, &content.image));
    bench.ask(put(OTHER, "v1", DOCKER_MANIFEST, &content.docker));
    // With a parameter, and without a type.
    bench.ask(put(APP, "v1.0", &format!("{OCI_MANIFEST}; charset=utf-8"), &content.image));
    let image = format!("{APP}/manifests/{}", sha256(&content.image));
    bench.ask(ask(Method::PUT, image).body(&content.image)).differs(
        created(&format!("{APP}/manifests"), "image"),
        refused(400, "MANIFEST_INVALID"),
        &spec::TYPE,
    );
}
