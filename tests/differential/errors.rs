//! Invalid requests: names, tags, digests and methods outside the grammar, unknown paths, rejected
//! manifests.

use axum::http::Method;
use serde_json::{Value, json};

use crate::ask::{ask, get, head};
use crate::compare::Bench;
use crate::content::{Content, OCI_INDEX, OCI_MANIFEST, sha256};
use crate::pushing::{APP, put};
use crate::said::{and, challenge, challenged, created, no_method, no_page, refused, says};
use crate::spec;

pub(crate) fn requests(bench: &mut Bench<'_>, content: &Content) {
    base(bench);
    grammar(bench);
    digests(bench, content);
    methods(bench, content);
    manifests(bench, content);
    images(bench, content);
}

fn base(bench: &mut Bench<'_>) {
    for ask in [get("/v2/"), head("/v2/")] {
        bench.ask(ask);
    }
    // This response tells clients how to log in; docker looks nowhere else.
    let asked = says([("status", "401"), ("body", "errors UNAUTHORIZED")]);
    let served = says([("status", "200"), ("Content-Length", "2"), ("body", "{}")]);
    bench.ask(get("/v2/").anonymous()).differs(and(asked, challenge()), served, &spec::BASE);
    bench.ask(get("/v2"));
    for path in ["/v2/nothing", "/v2/localhost/team/app/nothing/here"] {
        bench.ask(get(path)).differs(refused(404, "UNSUPPORTED"), no_page(), &spec::ANY_BODY);
    }
    for kind in ["manifests", "blobs"] {
        let row = bench.ask(get(format!("{APP}/{kind}/")));
        row.differs(refused(404, "UNSUPPORTED"), no_page(), &spec::ANY_BODY);
    }
}

fn grammar(bench: &mut Bench<'_>) {
    let invalid = || refused(400, "NAME_INVALID");
    for name in
        ["localhost/UPPER", "localhost/-dash", "localhost/a..b", "localhost/a%20b", "localhost/_a"]
    {
        bench.ask(get(format!("/v2/{name}/manifests/v1"))).differs(
            invalid(),
            no_page(),
            &spec::NAME,
        );
        bench.ask(get(format!("/v2/{name}/tags/list"))).differs(invalid(), no_page(), &spec::NAME);
    }
    let upload = ask(Method::POST, "/v2/localhost/UPPER/blobs/uploads/");
    bench.ask(upload).differs(invalid(), no_page(), &spec::NAME);
    let long = format!("/v2/localhost/{}/tags/list", "a".repeat(300));
    bench.ask(get(long)).differs(invalid(), refused(500, "UNKNOWN"), &spec::NAME);
    for tag in [".dot", "-dash", "a%20b", &"a".repeat(129)] {
        let row = bench.ask(get(format!("{APP}/manifests/{tag}")));
        row.differs(refused(404, "MANIFEST_UNKNOWN"), no_page(), &spec::ANY_BODY);
    }
    bench.ask(put(APP, ".dot", OCI_MANIFEST, b"{}")).differs(
        refused(400, "MANIFEST_INVALID"),
        no_page(),
        &spec::REFERENCE,
    );
}

fn digests(bench: &mut Bench<'_>, content: &Content) {
    let hex = sha256(&content.layer).trim_start_matches("sha256:").to_owned();
    let invalid = || refused(400, "DIGEST_INVALID");
    for digest in [
        "sha256:short".to_owned(),
        format!("sha256:{}", hex.to_uppercase()),
        format!("sha256:{}", "g".repeat(64)),
        format!("md5:{}", &hex[..32]),
        format!("sha999:{hex}"),
    ] {
        bench.ask(get(format!("{APP}/blobs/{digest}")));
        let row = bench.ask(get(format!("{APP}/manifests/{digest}")));
        row.differs(invalid(), refused(500, "UNKNOWN"), &spec::BAD_REQUEST);
    }
    // A tag.
    bench.ask(get(format!("{APP}/manifests/{hex}")));
    bench.ask(get(format!("{APP}/blobs/{hex}"))).differs(invalid(), no_page(), &spec::BAD_REQUEST);
    bench.ask(head(format!("{APP}/blobs/sha256:short")));
    bench.ask(head(format!("{APP}/manifests/sha256:short"))).differs(
        says([("status", "400")]),
        says([("status", "500")]),
        &spec::BAD_REQUEST,
    );
}

fn methods(bench: &mut Bench<'_>, content: &Content) {
    let layer = sha256(&content.layer);
    let refused = |allow: &str| and(refused(405, "UNSUPPORTED"), says([("Allow", allow)]));
    let json = ("Content-Type", "application/json; charset=utf-8");
    let served = says([("status", "200"), json, ("Content-Length", "2"), ("body", "{}")]);
    bench.ask(ask(Method::POST, "/v2/")).differs(refused("GET, HEAD"), served, &spec::METHOD);
    for (method, path) in [
        (Method::POST, "/v2/_catalog".to_owned()),
        (Method::POST, format!("{APP}/tags/list")),
        (Method::DELETE, format!("{APP}/tags/list")),
    ] {
        bench.ask(ask(method, path)).differs(refused("GET, HEAD"), no_method("GET"), &spec::METHOD);
    }
    for method in [Method::POST, Method::PATCH] {
        let row = bench.ask(ask(method, format!("{APP}/manifests/v1")));
        let allow = "DELETE, GET, HEAD, PUT";
        row.differs(refused(allow), no_method(allow), &spec::METHOD);
    }
    for method in [Method::PUT, Method::POST] {
        let row = bench.ask(ask(method, format!("{APP}/blobs/{layer}")).body(b"x"));
        row.differs(refused("GET, HEAD"), no_method("DELETE, GET, HEAD"), &spec::METHOD);
    }
    bench.ask(get(format!("{APP}/blobs/uploads/"))).differs(
        refused("POST"),
        crate::said::refused(404, "BLOB_UPLOAD_UNKNOWN"),
        &spec::METHOD,
    );
    bench.ask(ask(Method::OPTIONS, format!("{APP}/manifests/v1")));
}

/// Texts that are not manifests, or not of the declared type.
fn manifests(bench: &mut Bench<'_>, content: &Content) {
    let invalid = || refused(400, "MANIFEST_INVALID");
    bench.ask(put(APP, "bad", OCI_INDEX, &content.image));
    bench.ask(put(APP, "bad", "application/x", &content.image));
    bench.ask(put(APP, "bad", OCI_MANIFEST, b"no json"));
    bench.ask(put(APP, "bad", OCI_MANIFEST, b"{}")).differs(
        invalid(),
        refused(500, "UNKNOWN"),
        &spec::BAD_REQUEST,
    );
    bench.ask(put(APP, "bad", OCI_MANIFEST, b""));
    bench.ask(put(APP, &sha256(&content.absent), OCI_MANIFEST, &content.image));
    bench.ask(put(APP, "v1", OCI_MANIFEST, &content.image).anonymous()).differs(
        challenged(),
        created(&format!("{APP}/manifests"), "image"),
        &spec::CHALLENGE,
    );
}

/// Images that name missing content, or are too long.
fn images(bench: &mut Bench<'_>, content: &Content) {
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut value: Value = serde_json::from_slice(&content.image).expect("it is JSON");
        change(&mut value);
        value.to_string().into_bytes()
    };
    let layer = "application/vnd.oci.image.layer.v1.tar+gzip";
    let absent = json!({"mediaType": layer, "digest": sha256(&content.absent),
        "size": content.absent.len()});
    let mut index: Value = serde_json::from_slice(&content.index).expect("it is JSON");
    index["manifests"][0]["digest"] = sha256(&content.absent).into();
    for (kind, manifest) in [
        (OCI_MANIFEST, changed(&|value| value["layers"] = json!([absent]))),
        (OCI_MANIFEST, changed(&|value| value["config"] = absent.clone())),
        (OCI_INDEX, index.to_string().into_bytes()),
    ] {
        bench.ask(put(APP, "bad", kind, &manifest)).differs(
            says([("status", "404")]),
            says([("status", "400")]),
            &spec::MISSING_BLOB,
        );
    }
    let digest = changed(&|value| value["layers"][0]["digest"] = "x".into());
    bench.ask(put(APP, "bad", OCI_MANIFEST, &digest)).differs(
        says([("body", "errors MANIFEST_INVALID")]),
        says([("body", "errors DIGEST_INVALID, MANIFEST_BLOB_UNKNOWN")]),
        &spec::MANIFEST_INVALID,
    );
    bench.ask(put(
        APP,
        "bad",
        OCI_MANIFEST,
        &changed(&|value| value["mediaType"] = OCI_INDEX.into()),
    ));
    let large = changed(&|value| value["annotations"] = json!({"a": "x".repeat(5 << 20)}));
    bench.ask(put(APP, "large", OCI_MANIFEST, &large)).differs(
        refused(413, "SIZE_INVALID"),
        refused(400, "MANIFEST_INVALID"),
        &spec::TOO_LARGE,
    );
    bench.ask(get(format!("{APP}/manifests/bad")));
}
