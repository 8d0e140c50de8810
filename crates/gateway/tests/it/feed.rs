//! The Atom feed, the list of all releases, and the node's documents about itself.

use axum::http::StatusCode;
use perennial_gateway::Options;

use crate::fixtures::key;
use crate::test_gateway::{TestGateway, file};

#[tokio::test]
async fn the_feed_has_the_newest_releases_of_trusted_publishers() {
    let gateway = TestGateway::new();
    let empty = gateway.get("/feed.atom").await;
    assert_eq!(empty.status, StatusCode::OK);
    assert_eq!(empty.text().parse::<atom_syndication::Feed>().expect("a feed").entries.len(), 0);
    for version in 0..120 {
        gateway.release(&key(1), &format!("pkg:generic/own@v{version}"), &[file("a", "1")]);
    }
    let stranger = gateway.release(&key(2), "pkg:generic/theirs@v1", &[file("a&b", "1")]);
    let answer = gateway.get("/feed.atom").await;
    assert_eq!(answer.header("content-type"), "application/atom+xml; charset=utf-8");
    let feed: atom_syndication::Feed = answer.text().parse().expect("a feed");
    assert_eq!(feed.entries.len(), 100);
    assert_eq!(feed.entries[0].title.value, "pkg:generic/own@v119");
    assert!(feed.id.starts_with("urn:perennial:feed:did:key:"), "{}", feed.id);
    assert_eq!(feed.updated, feed.entries[0].updated);
    assert!(feed.entries.iter().all(|entry| !entry.title.value.contains("theirs")));
    // Links are relative to the feed.
    let link = &feed.entries[0].links[0].href;
    assert_eq!(gateway.get(&format!("/{link}")).await.json()["purl"], "pkg:generic/own@v119");
    let etag = answer.header("etag");
    let same = gateway.ask("GET", "/feed.atom", &[("if-none-match", etag)]).await;
    assert_eq!(same.status, StatusCode::NOT_MODIFIED);
    // A publisher is in the feed as soon as it is followed, and so is a release that arrives.
    gateway.follow(&key(2));
    let followed = gateway.ask("GET", "/feed.atom", &[("if-none-match", etag)]).await;
    assert!(followed.text().contains("pkg:generic/theirs@v1"));
    assert_eq!(followed.text().matches("<entry>").count(), 100, "the newest of all, not of each");
    assert!(followed.text().contains(&format!("urn:perennial:release:{}", stranger.id())));
    let newer = gateway.release(&key(2), "pkg:generic/theirs@v2", &[file("a", "2")]);
    assert!(gateway.get("/feed.atom").await.text().contains(&newer.id().to_string()));
}

#[tokio::test]
async fn a_clock_that_is_ahead_leads_the_feed_no_longer_than_others() {
    let gateway = TestGateway::new();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let ten_years = 10 * 365 * 24 * 3600;
    gateway.set_clock(now + ten_years);
    gateway.release(&key(1), "pkg:generic/ahead@v1", &[file("a", "1")]);
    gateway.set_clock(now);
    let later = now;
    gateway.follow(&key(2));
    gateway.set_clock(later);
    gateway.release(&key(2), "pkg:generic/later@v1", &[file("a", "2")]);
    let answer = gateway.get("/feed.atom").await;
    let feed: atom_syndication::Feed = answer.text().parse().expect("a feed");
    let titles: Vec<_> = feed.entries.iter().map(|entry| entry.title.value.as_str()).collect();
    assert_eq!(titles, ["pkg:generic/later@v1", "pkg:generic/ahead@v1"]);
    let last = u64::try_from(feed.updated.timestamp()).expect("a time");
    assert!(last <= later + 60, "{}", feed.updated);
    assert!(feed.entries.iter().all(|entry| entry.updated <= feed.updated));
}

#[tokio::test]
async fn a_path_of_no_frontend_is_answered_in_words() {
    let gateway = TestGateway::new();
    for path in ["/metrics", "/status", "/r", "/relases.json"] {
        let answer = gateway.get(path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert!(answer.text().contains("/ says what"), "{path}: {}", answer.text());
    }
}

#[tokio::test]
async fn all_known_releases_come_page_by_page() {
    let gateway = TestGateway::new();
    for version in 0..7 {
        gateway.release(&key(2), &format!("pkg:generic/a@v{version}"), &[file("a", "1")]);
    }
    let host = [("host", "127.0.0.1:4480")];
    let mut seen = Vec::new();
    let mut path = "/releases.json?limit=3".to_owned();
    loop {
        let answer = gateway.ask("GET", &path, &host).await;
        let page = answer.json();
        let releases = page["releases"].as_array().expect("rows");
        assert!(releases.len() <= 3);
        // The field names of `perennial ls --json`.
        let mut fields: Vec<_> = releases[0].as_object().expect("a row").keys().cloned().collect();
        fields.sort();
        let expected = [
            "artifacts",
            "bytes",
            "elsewhere",
            "held_bytes",
            "issued_at",
            "kind",
            "license",
            "publisher",
            "publisher_name",
            "purl",
            "release",
            "state",
            "v",
        ];
        assert_eq!(fields, expected);
        assert_eq!((&page["v"], &releases[0]["v"]), (&1.into(), &1.into()));
        assert_eq!(releases[0]["license"], "NOASSERTION");
        let named = releases.iter().any(|row| !row["publisher_name"].is_null());
        assert!(!named, "the owner's names for publishers are not public");
        seen.extend(releases.iter().map(|row| row["purl"].as_str().expect("a purl").to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/releases.json?limit=3&after={next}");
        assert_eq!(
            answer.header("link"),
            format!("<releases.json?after={next}&limit=3>; rel=\"next\"")
        );
    }
    let expected: Vec<String> = (0..7).map(|version| format!("pkg:generic/a@v{version}")).collect();
    assert_eq!(seen, expected);
    for wrong in
        ["?limit=0", "?limit=x", "?limit=-1", "?after=x", &format!("?after={}", "ab".repeat(32))]
    {
        let answer = gateway.ask("GET", &format!("/releases.json{wrong}"), &host).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    let more = gateway.ask("GET", "/releases.json?limit=99999999", &host).await;
    assert_eq!(more.json()["releases"].as_array().expect("rows").len(), 7);
}

#[tokio::test]
async fn lists_are_served_under_this_nodes_own_names_only() {
    let gateway = TestGateway::with(Options {
        hosts: vec!["archive.example".parse().expect("a name")],
        ..Options::default()
    });
    for path in ["/", "/releases.json"] {
        for host in ["127.0.0.1:4480", "localhost", "[::1]:4480", "archive.example"] {
            assert_eq!(
                gateway.ask("GET", path, &[("host", host)]).await.status,
                StatusCode::OK,
                "{host}"
            );
        }
        for host in ["evil.example", "127.0.0.1.evil.example", ""] {
            let answer = gateway.ask("GET", path, &[("host", host)]).await;
            assert_eq!(answer.status, StatusCode::MISDIRECTED_REQUEST, "{host}");
        }
    }
    let about = gateway.ask("GET", "/", &[("host", "localhost")]).await;
    assert!(
        about.header("content-type").starts_with("text/plain")
            && about.text().contains("/feed.atom")
    );
    assert_eq!(gateway.get("/healthz").await.text(), "ok\n");
    assert_eq!(gateway.get("/nothing").await.status, StatusCode::NOT_FOUND);
}
