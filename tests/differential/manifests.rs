//! Pulls of manifests: by tag and digest, with the `Accept` of real clients, conditional, unknown.

use axum::http::Method;

use crate::ask::{Ask, ask, get, head};
use crate::compare::Bench;
use crate::content::{Content, DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, sha256};
use crate::pushing::{APP, OTHER};
use crate::said::{bare, manifest, named, refused, says};
use crate::spec;

pub(crate) fn requests(bench: &mut Bench<'_>, content: &Content) {
    by_name(bench, content);
    accepted(bench, content);
    conditions(bench, content);
    unknown(bench, content);
}

/// The `Accept` header of current clients.
fn everything() -> String {
    [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST].join(", ")
}

fn by_name(bench: &mut Bench<'_>, content: &Content) {
    let all = [
        ("v1", &content.image),
        ("latest", &content.image),
        ("multi", &content.index),
        ("docker", &content.docker),
        ("list", &content.list),
    ];
    for (tag, manifest) in all {
        for reference in [tag, &sha256(manifest)] {
            for method in [Method::GET, Method::HEAD] {
                let path = format!("{APP}/manifests/{reference}");
                bench.ask(ask(method, path).with("accept", everything()));
            }
        }
    }
    for manifest in [&content.other, &content.signature] {
        let path = format!("{APP}/manifests/{}", sha256(manifest));
        bench.ask(get(&path).with("accept", everything()));
        bench.ask(head(path).with("accept", everything()));
    }
    bench.ask(get(format!("{OTHER}/manifests/v1")).with("accept", everything()));
    bench.ask(get(format!("{APP}/manifests/v1")).with("accept", everything()).anonymous());
}

fn accepted(bench: &mut Bench<'_>, content: &Content) {
    let image = manifest(OCI_MANIFEST, "image", &content.image);
    let docker = manifest(DOCKER_MANIFEST, "docker image", &content.docker);
    let list = manifest(DOCKER_LIST, "docker list", &content.list);
    let (missing, invalid) = (refused(404, "MANIFEST_UNKNOWN"), refused(400, "MANIFEST_INVALID"));
    let plain = |reference: &str| get(format!("{APP}/manifests/{reference}"));
    let get = |reference: &str, accept: &str| plain(reference).with("accept", accept);
    // Without `Accept`, the reference answers with docker's schema 1, or nothing.
    bench.ask(plain("v1")).differs(image.clone(), missing.clone(), &spec::MANIFEST);
    bench.ask(head(format!("{APP}/manifests/v1"))).differs(
        bare(image.clone()),
        bare(missing.clone()),
        &spec::MANIFEST_HEAD,
    );
    bench.ask(plain(&sha256(&content.image))).differs(
        image.clone(),
        missing.clone(),
        &spec::MANIFEST,
    );
    bench.ask(plain("docker")).differs(docker.clone(), invalid.clone(), &spec::MANIFEST);
    bench.ask(plain("list")).differs(list.clone(), invalid.clone(), &spec::MANIFEST);
    bench.ask(plain(&sha256(&content.docker)));
    bench.ask(plain(&sha256(&content.list)));
    bench.ask(get("v1", "*/*")).differs(image.clone(), missing, &spec::MANIFEST);
    for accept in [OCI_MANIFEST, DOCKER_MANIFEST, "application/json", "text/html"] {
        bench.ask(get("v1", accept));
    }
    bench.ask(get("v1", DOCKER_MANIFEST).with("accept", format!("{OCI_MANIFEST};q=0.5")));
    bench.ask(get(&sha256(&content.image), DOCKER_MANIFEST));
    bench.ask(head(format!("{APP}/manifests/v1")).with("accept", DOCKER_MANIFEST));
    for accept in [OCI_INDEX, OCI_MANIFEST, DOCKER_LIST] {
        bench.ask(get("multi", accept));
    }
    bench.ask(get(&sha256(&content.index), OCI_MANIFEST));
    for accept in [DOCKER_MANIFEST, DOCKER_LIST] {
        bench.ask(get("list", accept));
        bench.ask(get(&sha256(&content.list), accept));
    }
    bench.ask(get("docker", DOCKER_MANIFEST));
    for accept in [DOCKER_LIST, OCI_MANIFEST] {
        bench.ask(get("docker", accept)).differs(docker.clone(), invalid.clone(), &spec::MANIFEST);
    }
    bench.ask(get("list", OCI_MANIFEST)).differs(list, invalid, &spec::MANIFEST);
}

fn conditions(bench: &mut Bench<'_>, content: &Content) {
    let digest = sha256(&content.image);
    let (tag, by_digest) = (format!("{APP}/manifests/v1"), format!("{APP}/manifests/{digest}"));
    let quoted = format!("\"{digest}\"");
    let get = |path: &str| get(path).with("accept", OCI_MANIFEST);
    let whole = || manifest(OCI_MANIFEST, "image", &content.image);
    let etag = || named("image").split_off(1);
    let unchanged = || [says([("status", "304")]), etag()].concat();
    for path in [&tag, &by_digest] {
        let if_none_match = |ask: Ask| ask.with("if-none-match", &quoted);
        bench.ask(if_none_match(get(path))).differs(etag(), says([]), &spec::NOT_MODIFIED);
        let head = head(path).with("accept", OCI_MANIFEST);
        bench.ask(if_none_match(head)).differs(etag(), says([]), &spec::NOT_MODIFIED);
    }
    let if_none_match = |text: &str| get(&tag).with("if-none-match", text);
    bench.ask(if_none_match(&digest)).differs(
        whole(),
        says([("status", "304")]),
        &spec::ENTITY_TAG,
    );
    bench.ask(if_none_match(&format!("W/{quoted}"))).differs(unchanged(), whole(), &spec::WEAK);
    bench.ask(if_none_match(&format!("\"x\", {quoted}"))).differs(
        unchanged(),
        whole(),
        &spec::LISTED_TAGS,
    );
    bench.ask(if_none_match("*")).differs(unchanged(), whole(), &spec::STAR);
    bench.ask(if_none_match("\"x\""));
    bench.ask(get(&tag).with("if-match", &quoted));
    let failed = [says([("status", "412")]), named("image")].concat();
    bench.ask(get(&tag).with("if-match", "\"x\"")).differs(failed, whole(), &spec::IF_MATCH);
    bench.ask(get(&tag).with("range", "bytes=0-9"));
    bench.ask(head(&tag).with("accept", OCI_MANIFEST).with("range", "bytes=0-9"));
}

fn unknown(bench: &mut Bench<'_>, content: &Content) {
    let absent = sha256(&content.absent);
    let nowhere = "/v2/localhost/no/such/manifests";
    for method in [Method::GET, Method::HEAD] {
        let ask = |path: String| ask(method.clone(), path).with("accept", everything());
        bench.ask(ask(format!("{APP}/manifests/nothing")));
        bench.ask(ask(format!("{APP}/manifests/{absent}")));
        bench.ask(ask(format!("{nowhere}/{absent}")));
        let (ours, theirs) =
            (manifest(OCI_MANIFEST, "image", &content.image), refused(404, "MANIFEST_UNKNOWN"));
        let (ours, theirs) = match method == Method::HEAD {
            true => (bare(ours), bare(theirs)),
            false => (ours, theirs),
        };
        // A digest names the same bytes in every repository.
        bench.ask(ask(format!("{nowhere}/{}", sha256(&content.image)))).differs(
            ours,
            theirs,
            &spec::CROSS,
        );
    }
    bench.ask(get(format!("{nowhere}/v1"))).differs(
        says([("body", "errors NAME_UNKNOWN")]),
        says([("body", "errors MANIFEST_UNKNOWN")]),
        &spec::NAME_UNKNOWN,
    );
    bench.ask(head(format!("{nowhere}/v1")));
    // A manifest of another repository, and blobs requested as manifests.
    bench
        .ask(
            get(format!("{OTHER}/manifests/{}", sha256(&content.image)))
                .with("accept", OCI_MANIFEST),
        )
        .differs(
            manifest(OCI_MANIFEST, "image", &content.image),
            refused(404, "MANIFEST_UNKNOWN"),
            &spec::CROSS,
        );
    for blob in [&content.layer, &content.config] {
        bench.ask(get(format!("{APP}/manifests/{}", sha256(blob)))).differs(
            refused(404, "MANIFEST_UNKNOWN"),
            refused(500, "UNKNOWN"),
            &spec::NOT_FOUND,
        );
    }
}
