//! Pulls of blobs: whole, in ranges, conditional, unknown.

use axum::http::Method;

use crate::ask::{ask, get, head};
use crate::compare::Bench;
use crate::content::{Content, sha256};
use crate::pushing::{APP, OTHER};
use crate::said::{and, bare, blob, cut_off, named, refused, says};
use crate::spec;

pub(crate) fn requests(bench: &mut Bench<'_>, content: &Content) {
    whole(bench, content);
    ranges(bench, content);
    conditions(bench, content);
    unknown(bench, content);
}

fn whole(bench: &mut Bench<'_>, content: &Content) {
    for blob in [&content.layer, &content.chunked, &content.config, &content.other_config] {
        bench.ask(get(format!("{APP}/blobs/{}", sha256(blob))));
        bench.ask(head(format!("{APP}/blobs/{}", sha256(blob))));
    }
    bench.ask(get(format!("{OTHER}/blobs/{}", sha256(&content.layer))));
    bench.ask(get(format!("{APP}/blobs/{}", sha256(&content.layer))).anonymous());
    bench.ask(get(format!("{APP}/blobs/{}", sha256(&content.layer).replace(':', "%3A"))));
    // A manifest is content too.
    bench.ask(get(format!("{APP}/blobs/{}", sha256(&content.image)))).differs(
        blob("image", &content.image),
        refused(404, "BLOB_UNKNOWN"),
        &spec::BLOB,
    );
}

fn ranges(bench: &mut Bench<'_>, content: &Content) {
    let path = format!("{APP}/blobs/{}", sha256(&content.layer));
    for range in [
        "bytes=0-0",
        "bytes=0-99",
        "bytes=100-199",
        "bytes=99900-",
        "bytes=-100",
        "bytes=-200000",
        "bytes=0-",
        "bytes=0-99999",
        "bytes=50000-200000",
    ] {
        bench.ask(get(&path).with("range", range));
    }
    let whole = || blob("layer", &content.layer);
    let cached = || and(says([("Cache-Control", "max-age=31536000")]), named("layer"));
    let beyond = || and(says([("status", "416")]), cached());
    let nowhere = || says([("Content-Range", "bytes */100000")]);
    for range in ["bytes=100000-", "bytes=200000-300000"] {
        bench.ask(get(&path).with("range", range)).differs(
            beyond(),
            cut_off("layer"),
            &spec::ANY_BODY,
        );
    }
    let empty = says([
        ("status", "206"),
        ("Content-Type", "application/octet-stream"),
        ("Content-Length", "0"),
        ("Content-Range", "bytes 100000-99999/100000"),
        ("Accept-Ranges", "bytes"),
    ]);
    bench.ask(get(&path).with("range", "bytes=-0")).differs(
        and(beyond(), nowhere()),
        and(empty, cached()),
        &spec::SUFFIX,
    );
    for range in ["bytes=5-4", "bytes=a-b", "bytes=-", "bytes"] {
        bench.ask(get(&path).with("range", range)).differs(
            whole(),
            cut_off("layer"),
            &spec::RANGE_INVALID,
        );
    }
    bench.ask(get(&path).with("range", "bytes="));
    bench.ask(get(&path).with("range", "items=0-1")).differs(
        whole(),
        cut_off("layer"),
        &spec::RANGE_UNIT,
    );
    let parts = says([
        ("status", "206"),
        ("Content-Type", "multipart/byteranges; boundary=<boundary>"),
        ("Content-Length", "370"),
        ("Accept-Ranges", "bytes"),
        ("body", "multipart, 370 bytes"),
    ]);
    bench.ask(get(&path).with("range", "bytes=0-9,20-29")).differs(
        whole(),
        and(parts, cached()),
        &spec::RANGE_IGNORED,
    );
    bench.ask(head(&path).with("range", "bytes=0-99")).differs(
        says([("status", "200"), ("Content-Length", "100000")]),
        says([
            ("status", "206"),
            ("Content-Length", "100"),
            ("Content-Range", "bytes 0-99/100000"),
        ]),
        &spec::RANGE_OF_GET,
    );
    bench.ask(head(&path).with("range", "bytes=100000-")).differs(
        bare(whole()),
        and(bare(cut_off("layer")), nowhere()),
        &spec::RANGE_OF_GET,
    );
}

fn conditions(bench: &mut Bench<'_>, content: &Content) {
    let digest = sha256(&content.layer);
    let path = format!("{APP}/blobs/{digest}");
    let quoted = format!("\"{digest}\"");
    bench.ask(get(&path).with("if-none-match", &quoted));
    bench.ask(head(&path).with("if-none-match", &quoted));
    bench.ask(get(&path).with("if-none-match", format!("W/{quoted}")));
    bench.ask(get(&path).with("if-none-match", format!("\"x\", {quoted}")));
    bench.ask(get(&path).with("if-none-match", "*"));
    bench.ask(get(&path).with("if-none-match", "\"x\""));
    bench.ask(get(&path).with("if-none-match", &digest));
    bench.ask(get(&path).with("if-none-match", &quoted).with("range", "bytes=0-9"));
    bench.ask(get(&path).with("if-match", &quoted));
    bench.ask(get(&path).with("if-match", "\"x\"")).differs(
        says([]),
        says([("Content-Type", "application/octet-stream"), ("body", "cut off")]),
        &spec::ANY_BODY,
    );
    bench.ask(get(&path).with("if-range", &quoted).with("range", "bytes=0-9"));
    bench.ask(get(&path).with("if-range", "\"x\"").with("range", "bytes=0-9"));
    bench.ask(get(&path).with("if-range", format!("W/{quoted}")).with("range", "bytes=0-9"));
    bench.ask(
        get(&path).with("if-range", "Tue, 01 Jan 2030 00:00:00 GMT").with("range", "bytes=0-9"),
    );
}

fn unknown(bench: &mut Bench<'_>, content: &Content) {
    let absent = sha256(&content.absent);
    for method in [Method::GET, Method::HEAD] {
        let ask = |path: String| ask(method.clone(), path);
        bench.ask(ask(format!("{APP}/blobs/{absent}")));
        bench.ask(ask(format!("/v2/localhost/no/such/blobs/{absent}")));
        let (ours, theirs) = (blob("layer", &content.layer), refused(404, "BLOB_UNKNOWN"));
        let (ours, theirs) = match method == Method::HEAD {
            true => (bare(ours), bare(theirs)),
            false => (ours, theirs),
        };
        // A digest names the same bytes in every repository.
        let elsewhere = format!("/v2/localhost/no/such/blobs/{}", sha256(&content.layer));
        bench.ask(ask(elsewhere)).differs(ours, theirs, &spec::CROSS);
    }
    bench.ask(get(format!("{APP}/blobs/{absent}")).with("range", "bytes=0-9"));
}
