//! Files from servers that send them in an odd way: packed, or another part than was asked for.

use std::num::NonZeroU32;

use perennial_import::{Options, urls};
use perennial_operation::Environment;

use crate::registry::gzip;
use crate::web::{Here, Reply, Seen, Web, artifact, bytes, import, private, what};

const ETAG: &str = "\"one\"";

#[tokio::test]
async fn codings_are_undone_in_every_form_or_refused_by_name() {
    let script = b"#!/bin/sh\n".repeat(1000);
    let mut members = gzip(&script[..400]);
    members.extend(gzip(&script[400..]));
    let (once, twice) = (gzip(&script), gzip(&gzip(&script)));
    for (coding, path, body, expected) in [
        ("gzip", "/a.sh", &members, Ok(&script)),
        ("GZIP, identity", "/a.sh", &once, Ok(&script)),
        ("gzip, gzip", "/a.sh", &twice, Ok(&script)),
        ("aws-chunked,gzip", "/a.sh", &once, Ok(&script)),
        ("identity", "/a.sh", &script, Ok(&script)),
        // The file is packed itself, and only labelled, or packed once more.
        ("gzip", "/a.sh.gz", &once, Ok(&once)),
        ("gzip", "/a.sh.gz", &twice, Ok(&once)),
        ("br", "/a.sh.gz", &once, Ok(&once)),
        ("gzip", "/a.sh", &script, Ok(&script)),
        ("br", "/a.tgz", &script, Err("packs it with br")),
        ("Deflate", "/a.sh", &script, Err("packs it with deflate")),
        ("gzip, br", "/a.sh", &script, Err("packs it with br")),
        ("dcz", "/a.sh", &script, Err("packs it with dcz")),
    ] {
        let (sent, named) = (body.clone(), coding.to_owned());
        let web = Web::start(move |asked| match asked.path == path {
            true => Reply::ok(sent.clone()).header("content-encoding", &named),
            false => Reply::status(404),
        })
        .await;
        let here = Here::new();
        let got = import(&here, [web.url(path)]).await;
        match (got, expected) {
            (Ok(got), Ok(expected)) => {
                let file = artifact(&got.drafts[0], &path[1..]);
                assert!(here.holds(file, expected), "{coding} {path}");
            }
            (Err(error), Err(why)) => {
                assert!(error.to_string().contains(why), "{coding} {path}: {error}");
            }
            (got, _) => panic!("{coding} {path}: {got:?}"),
        }
        assert!(here.incoming().is_empty(), "{:?}", here.incoming());
    }
}

/// RFC 9110, 15.3.7: the answer to a range need not repeat what was said with the whole.
#[tokio::test]
async fn the_rest_of_a_packed_body_need_not_name_its_coding() {
    let script = bytes(3_000_000);
    let packed = gzip(&script);
    let half = packed.len() / 2;
    let web = Web::start(move |asked| match (asked.path.as_str(), asked.from()) {
        ("/a.sh", None) if asked.before == 0 => Reply::ok(packed.clone())
            .header("etag", ETAG)
            .header("content-encoding", "gzip")
            .cut(half),
        ("/a.sh", Some(from)) => Reply::rest(&packed, from).header("etag", ETAG),
        _ => Reply::status(404),
    })
    .await;
    let here = Here::new();
    let got = import(&here, [web.url("/a.sh")]).await.unwrap();
    assert!(here.holds(artifact(&got.drafts[0], "a.sh"), &script));
    assert_eq!(web.asked("/a.sh").len(), 2, "it was resumed");
}

/// An answer to a request for the rest of a file, from an offset.
type Rest = fn(&[u8], usize) -> Reply;

/// Imports a file whose transfer breaks off once, after two megabytes, from a server with this
/// answer to requests for the rest.
async fn resumed(rest: Rest) -> (Here, perennial_import::Imported, usize) {
    let body = bytes(3_000_000);
    let web = Web::start(move |asked| match (asked.path.as_str(), asked.from()) {
        ("/f.bin", None) if asked.before == 0 => {
            Reply::ok(body.clone()).header("etag", ETAG).cut(2_000_000)
        }
        ("/f.bin", None) => Reply::ok(body.clone()).header("etag", ETAG),
        ("/f.bin", Some(from)) => rest(&body, from).header("etag", ETAG),
        _ => Reply::status(404),
    })
    .await;
    let here = Here::new();
    let got = import(&here, [web.url("/f.bin")]).await.unwrap();
    let asked = web.asked("/f.bin").len();
    (here, got, asked)
}

#[tokio::test]
async fn a_part_that_was_not_asked_for_is_not_joined() {
    let parts: [(&str, Rest); 5] = [
        ("416", |_, _| Reply::status(416).header("content-range", "bytes */3000000")),
        ("another start", |body, from| Reply::rest(body, from - 1)),
        ("another length", |body, from| {
            let mut longer = body.to_vec();
            longer.extend_from_slice(b"more");
            Reply::rest(&longer, from)
        }),
        ("all of it", |body, _| Reply::ok(body)),
        ("less than was asked for", |body, from| {
            let end = (from + 500_000).min(body.len());
            Reply::part(body, from, end)
        }),
    ];
    for (what, rest) in parts {
        let (here, got, asked) = resumed(rest).await;
        let file = artifact(&got.drafts[0], "f.bin");
        assert!(here.holds(file, &bytes(3_000_000)), "{what}");
        assert!(asked <= 4, "{what}: {asked} requests");
    }
}

#[tokio::test]
async fn an_exception_is_called_past_the_proxy() {
    let web = Web::files([("/f.bin", bytes(10))]).await;
    let port = web.addr.port();
    for (except, is_called) in [
        (format!("127.0.0.1:{port}"), true),
        ("localhost, 127.0.0.0/8".to_owned(), true),
        ("127.0.0.1:1".to_owned(), false),
        (".test".to_owned(), false),
    ] {
        // Nothing listens at the proxy.
        let variables = [("HTTP_PROXY", "http://127.0.0.1:1"), ("no_proxy", &except)];
        let variables = variables.map(|(name, value)| (name.into(), value.into()));
        let environment = Environment::of(variables, 0, None);
        let options = Options { environment, tries: NonZeroU32::new(1), ..private() };
        let here = Here::new();
        let wanted = what([web.url("/f.bin")]);
        let got = urls(&here.store, &options, &wanted, &Seen::default()).await;
        assert_eq!(got.is_ok(), is_called, "{except}");
    }
}
