//! Lists: tags and repositories in pages, and referrers.

use crate::ask::{get, head};
use crate::compare::Bench;
use crate::content::{Content, OCI_INDEX, SIGNATURE, sha256};
use crate::pushing::{APP, OTHER};
use crate::said::{bare, list, no_method, no_page, refused, says};
use crate::spec;
use crate::table::{Row, Said};

pub(crate) fn requests(bench: &mut Bench<'_>, content: &Content) {
    tags(bench);
    catalog(bench);
    referrers(bench, content);
}

/// The list of [`APP`] with these tags.
fn of_app(tags: &[&str]) -> Said {
    let tags: Vec<String> = tags.iter().map(|tag| format!("{tag:?}")).collect();
    list(&format!("{{\"name\":\"localhost/team/app\",\"tags\":[{}]}}\n", tags.join(",")))
}

/// Ignores the order of tags: the reference lists them in the order of its disk.
pub(crate) fn in_any_order(row: &mut Row) {
    row.may_differ("order of tags", "lexical", "another", &spec::ORDER);
}

fn tags(bench: &mut Bench<'_>) {
    let path = format!("{APP}/tags/list");
    let all = ["docker", "latest", "list", "multi", "v1", "v1.0"];
    in_any_order(bench.ask(get(&path)));
    in_any_order(bench.ask(get(&path).anonymous()));
    bench.ask(get(format!("{OTHER}/tags/list")));
    bench.ask(head(&path)).differs(bare(of_app(&all)), bare(no_method("GET")), &spec::HEAD);
    // All at once, or a value that is not a number.
    for query in ["n=100", "last=", "n=-1", "n=x", "n=", "n=99999999999999999999"] {
        in_any_order(bench.ask(get(format!("{path}?{query}"))));
    }
    // The reference always returns the whole list.
    for (query, given, more, why) in [
        ("n=1", &all[..1], true, &spec::N),
        ("n=2", &all[..2], true, &spec::N),
        ("n=2&last=latest", &all[2..4], true, &spec::LAST),
        ("n=2&last=m", &all[3..5], true, &spec::LAST),
        ("n=1&last=v1.0", &[], false, &spec::LAST),
        ("last=latest", &all[2..], false, &spec::LAST),
        ("last=v1", &all[5..], false, &spec::LAST),
        ("last=zzz", &[], false, &spec::LAST),
        ("n=0", &[], false, &spec::N_ZERO),
    ] {
        let last = given.last().copied().unwrap_or_default();
        let n = given.len();
        let link =
            if more { format!("<{path}?last={last}&n={n}>; rel=\"next\"") } else { String::new() };
        let row = bench.ask(get(format!("{path}?{query}")));
        row.differs([of_app(given), says([("Link", &link)])].concat(), of_app(&all), why);
        in_any_order(row);
    }
    bench.ask(get("/v2/localhost/no/such/tags/list"));
    bench.ask(head("/v2/localhost/no/such/tags/list")).differs(
        bare(refused(404, "NAME_UNKNOWN")),
        bare(no_method("GET")),
        &spec::HEAD,
    );
}

fn catalog(bench: &mut Bench<'_>) {
    let path = "/v2/_catalog";
    let all = list("{\"repositories\":[\"localhost/team/app\",\"localhost/team/other\"]}\n");
    bench.ask(get(path));
    bench.ask(head(path)).differs(bare(all), bare(no_method("GET")), &spec::HEAD);
    for query in [
        "n=1",
        "n=1&last=localhost/team/app",
        "n=100",
        "last=localhost/team/app",
        "last=zzz",
        "n=0",
        "n=-1",
        "n=x",
    ] {
        bench.ask(get(format!("{path}?{query}")));
    }
}

fn referrers(bench: &mut Bench<'_>, content: &Content) {
    let of = |content: &[u8]| format!("{APP}/referrers/{}", sha256(content));
    let index = |manifests: &str, length: &str| {
        let body = format!(
            "{{\"manifests\":[{manifests}],\"mediaType\":\"{OCI_INDEX}\",\"schemaVersion\":2}}"
        );
        let kind = ("Content-Type", OCI_INDEX);
        says([("status", "200"), kind, ("Content-Length", length), ("body", &body)])
    };
    let signature = format!(
        "{{\"annotations\":{{\"org.example\":\"a b\"}},\
         \"artifactType\":\"{SIGNATURE}\",\"digest\":\"<signature>\",\
         \"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"size\":{}}}",
        content.signature.len()
    );
    let one = || index(&signature, "327");
    let none = || index("", "88");
    let filtered = || says([("OCI-Filters-Applied", "artifactType")]);
    bench.ask(get(of(&content.image))).differs(one(), no_page(), &spec::REFERRERS);
    bench.ask(head(of(&content.image))).differs(bare(one()), bare(no_page()), &spec::REFERRERS);
    bench.ask(get(format!("{}?artifactType={SIGNATURE}", of(&content.image)))).differs(
        [one(), filtered()].concat(),
        no_page(),
        &spec::REFERRERS,
    );
    bench.ask(get(format!("{}?artifactType=application/other", of(&content.image)))).differs(
        [none(), filtered()].concat(),
        no_page(),
        &spec::REFERRERS,
    );
    bench.ask(get(of(&content.index))).differs(none(), no_page(), &spec::REFERRERS);
    bench.ask(get(of(&content.absent))).differs(none(), no_page(), &spec::REFERRERS);
    bench.ask(get(format!("{APP}/referrers/sha256:short"))).differs(
        refused(400, "DIGEST_INVALID"),
        no_page(),
        &spec::REFERRERS_INVALID,
    );
}
