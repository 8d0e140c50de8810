//! Failing uploads: out of order, wrong digest, unknown, cancelled.

use axum::http::Method;

use crate::ask::{ask, get, head, upload};
use crate::compare::Bench;
use crate::content::{Content, sha256};
use crate::pushing::{APP, OTHER, begin};
use crate::said::{self, and, challenged, refused, says};
use crate::spec;
use crate::table::Said;

pub(crate) fn requests(bench: &mut Bench<'_>, content: &Content) {
    order(bench, content);
    digests(bench, content);
    given_up(bench);
    unknown(bench, content);
}

/// The headers that locate an upload and report its progress.
fn placed(range: &str) -> Said {
    let place =
        says([("Location", &format!("{APP}/blobs/uploads/<id>")), ("Docker-Upload-UUID", "<id>")]);
    and(place, says([("Range", range)]))
}

fn order(bench: &mut Bench<'_>, content: &Content) {
    let chunk = |said: &str, bytes: &[u8]| {
        let octets = "application/octet-stream";
        upload(Method::PATCH, "")
            .with("content-type", octets)
            .with("content-range", said)
            .body(bytes)
    };
    let out_of_order = |range: &str| and(refused(416, "BLOB_UPLOAD_INVALID"), placed(range));
    bench.ask(begin(APP));
    bench.ask(upload(Method::GET, ""));
    bench.ask(upload(Method::HEAD, ""));
    // Not from the beginning.
    bench.ask(chunk("10-19", &content.absent[10..20])).differs(
        out_of_order("0-0"),
        said::upload(202, APP, "0-9"),
        &spec::OUT_OF_ORDER,
    );
    bench.ask(upload(Method::GET, "")).differs(
        says([("Range", "0-0")]),
        says([("Range", "0-9")]),
        &spec::OUT_OF_ORDER,
    );
    bench.ask(upload(Method::DELETE, ""));
    for wrong in [
        // A gap, then a repetition.
        "200-299",
        "0-99",
        // A length other than announced.
        "100-149",
        // Invalid ranges.
        "100",
        "199-100",
        "bytes 100-199/1000",
    ] {
        bench.ask(begin(APP));
        bench.ask(chunk("0-99", &content.absent[..100]));
        bench.ask(chunk(wrong, &content.absent[100..200])).differs(
            out_of_order("0-99"),
            said::upload(202, APP, "0-199"),
            &spec::OUT_OF_ORDER,
        );
        bench.ask(upload(Method::GET, "")).differs(
            says([("Range", "0-99")]),
            says([("Range", "0-199")]),
            &spec::OUT_OF_ORDER,
        );
        bench.ask(upload(Method::DELETE, ""));
    }
    // The last chunk in the closing PUT.
    bench.ask(begin(APP));
    bench.ask(chunk("0-99", &content.absent[..100]));
    let part = upload(Method::PUT, format!("digest={}", sha256(&content.absent[..200])));
    bench.ask(part.with("content-range", "150-249").body(&content.absent[100..200])).differs(
        out_of_order("0-99"),
        said::created(&format!("{APP}/blobs"), "first part"),
        &spec::OUT_OF_ORDER,
    );
}

fn digests(bench: &mut Bench<'_>, content: &Content) {
    let wrong = format!("digest={}", sha256(&content.absent));
    bench.ask(begin(APP));
    bench.ask(upload(Method::PUT, &wrong).body(b"other bytes"));
    bench.ask(upload(Method::GET, "")).differs(
        says([("body", "errors BLOB_UPLOAD_UNKNOWN")]),
        says([("body", "errors BLOB_UPLOAD_INVALID")]),
        &spec::UPLOAD_UNKNOWN,
    );
    bench.ask(head(format!("{APP}/blobs/{}", sha256(&content.absent))));
    bench.ask(begin(APP));
    bench.ask(upload(Method::PUT, "").body(b"x"));
    bench.ask(upload(Method::PUT, "digest=").body(b"x"));
    bench.ask(upload(Method::PUT, "digest=sha256:short").body(b"x"));
    bench.ask(upload(Method::PUT, format!("digest=md5:{}", "0".repeat(32))).body(b"x"));
    for query in ["digest=sha256:short", &wrong] {
        bench
            .ask(ask(Method::POST, format!("{APP}/blobs/uploads/?{query}")).body(b"other bytes"))
            .differs(
                refused(400, "DIGEST_INVALID"),
                said::upload(202, APP, "0-0"),
                &spec::SINGLE_POST_DIGEST,
            );
    }
}

fn given_up(bench: &mut Bench<'_>) {
    bench.ask(begin(APP));
    bench.ask(upload(Method::DELETE, ""));
    bench.ask(upload(Method::GET, ""));
    bench.ask(upload(Method::DELETE, ""));
    bench.ask(upload(Method::PATCH, "").body(b"x"));
    bench.ask(upload(Method::PUT, format!("digest={}", sha256(b"x"))).body(b"x"));
}

fn unknown(bench: &mut Bench<'_>, content: &Content) {
    let id = "00000000-0000-4000-8000-000000000000";
    let put = format!("{APP}/blobs/uploads/{id}?digest={}", sha256(&content.absent));
    for ask in [
        get(format!("{APP}/blobs/uploads/{id}")),
        ask(Method::PATCH, format!("{APP}/blobs/uploads/{id}")).body(b"x"),
        ask(Method::PUT, put).body(b"x"),
        ask(Method::DELETE, format!("{OTHER}/blobs/uploads/{id}")),
        get(format!("{APP}/blobs/uploads/no-id")),
    ] {
        bench.ask(ask).differs(
            says([("body", "errors BLOB_UPLOAD_UNKNOWN")]),
            says([("body", "errors BLOB_UPLOAD_INVALID")]),
            &spec::UPLOAD_UNKNOWN,
        );
    }
    bench.ask(begin(APP).anonymous()).differs(
        challenged(),
        said::upload(202, APP, "0-0"),
        &spec::CHALLENGE,
    );
    bench.ask(begin(APP));
    let known = says([("Allow", "DELETE, GET, HEAD, PATCH, PUT")]);
    bench.ask(upload(Method::POST, "")).differs(
        and(refused(405, "UNSUPPORTED"), known),
        said::upload(202, APP, "0-0"),
        &spec::METHOD,
    );
    bench.ask(upload(Method::DELETE, ""));
}
