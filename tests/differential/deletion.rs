//! Deletion of tags, manifests and blobs.

use axum::http::Method;

use crate::ask::{Ask, ask, get, head};
use crate::compare::Bench;
use crate::content::{Content, DOCKER_MANIFEST, sha256};
use crate::pushing::{APP, OTHER};
use crate::said::{bare, blob, challenged, list, manifest, refused, says};
use crate::spec;
use crate::tags::in_any_order;

fn delete(path: impl Into<String>) -> Ask {
    ask(Method::DELETE, path)
}

pub(crate) fn requests(bench: &mut Bench<'_>, content: &Content) {
    tags(bench, content);
    manifests(bench, content);
    blobs(bench, content);
}

fn tags(bench: &mut Bench<'_>, content: &Content) {
    // The reference deletes manifests only.
    let theirs = || refused(400, "DIGEST_INVALID");
    let accepted = says([("status", "202"), ("Content-Length", "0")]);
    bench.ask(delete(format!("{OTHER}/manifests/v1")).anonymous()).differs(
        challenged(),
        theirs(),
        &spec::CHALLENGE,
    );
    bench.ask(delete(format!("{OTHER}/manifests/v1"))).differs(
        accepted,
        theirs(),
        &spec::TAG_DELETION,
    );
    bench.ask(get(format!("{OTHER}/manifests/v1")).with("accept", DOCKER_MANIFEST)).differs(
        refused(404, "MANIFEST_UNKNOWN"),
        manifest(DOCKER_MANIFEST, "docker image", &content.docker),
        &spec::DELETED_TAG,
    );
    bench.ask(get(format!("{OTHER}/tags/list"))).differs(
        list("{\"name\":\"localhost/team/other\",\"tags\":[]}\n"),
        list("{\"name\":\"localhost/team/other\",\"tags\":[\"v1\"]}\n"),
        &spec::DELETED_TAG,
    );
    for (path, code) in [
        (format!("{APP}/manifests/nothing"), "MANIFEST_UNKNOWN"),
        ("/v2/localhost/no/such/manifests/v1".to_owned(), "NAME_UNKNOWN"),
    ] {
        bench.ask(delete(path)).differs(refused(404, code), theirs(), &spec::MISSING_TO_DELETE);
    }
}

fn manifests(bench: &mut Bench<'_>, content: &Content) {
    let digest = sha256(&content.list);
    let path = format!("{APP}/manifests/{digest}");
    bench.ask(delete(&path));
    bench.ask(head(&path));
    bench.ask(head(format!("{APP}/manifests/list")));
    in_any_order(bench.ask(get(format!("{APP}/tags/list"))));
    bench.ask(delete(&path));
    bench.ask(delete(format!("{APP}/manifests/{}", sha256(&content.absent))));
    bench
        .ask(delete(format!("/v2/localhost/no/such/manifests/{}", sha256(&content.absent))))
        .differs(
            says([("body", "errors NAME_UNKNOWN")]),
            says([("body", "errors MANIFEST_UNKNOWN")]),
            &spec::NAME_UNKNOWN,
        );
    bench.ask(delete(format!("{APP}/manifests/sha256:short")));
}

fn blobs(bench: &mut Bench<'_>, content: &Content) {
    let refused = |allow| [refused(405, "UNSUPPORTED"), says([("Allow", allow)])].concat();
    let chunked = sha256(&content.chunked);
    let path = format!("{APP}/blobs/{chunked}");
    let gone = || says([("status", "202"), ("Content-Length", "0")]);
    bench.ask(delete(&path)).differs(refused("GET, HEAD"), gone(), &spec::BLOB_DELETION);
    bench.ask(head(&path)).differs(
        bare(blob("chunked layer", &content.chunked)),
        bare(crate::said::refused(404, "BLOB_UNKNOWN")),
        &spec::BLOB_DELETION,
    );
    bench.ask(delete(format!("{APP}/blobs/{}", sha256(&content.absent)))).differs(
        refused("GET, HEAD"),
        crate::said::refused(404, "BLOB_UNKNOWN"),
        &spec::BLOB_DELETION,
    );
    bench.ask(delete(format!("{APP}/blobs/sha256:short"))).differs(
        refused("GET, HEAD"),
        crate::said::refused(400, "DIGEST_INVALID"),
        &spec::BLOB_DELETION,
    );
}
