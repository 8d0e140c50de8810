//! Faults of upstreams, the same for every kind of source: exit codes, and what is said.

use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use perennial_oci::{Digest, OCI_MANIFEST};
use serde_json::{Value, json};

use super::program::{Place, Said};
use super::web::Web;

const BASE: [&str; 5] = ["add", "--allow-private", "--plain-http", "--tries", "1"];
const NAMED: [&str; 4] = ["--name", "f", "--version", "1"];

fn add(place: &Place, code: i32, args: &[&str]) -> Said {
    place.fails(code, &[&BASE[..], args].concat())
}

/// A layout of one image whose layer has other bytes than its digest says.
fn wrong_layout(place: &Place) {
    let descriptor = |kind: &str, bytes: &[u8]| {
        json!({
            "mediaType": kind, "digest": Digest::sha256_of(bytes).to_string(), "size": bytes.len(),
        })
    };
    let (config, layer) = (descriptor("a/config", b"{}"), descriptor("a/layer", b"right"));
    let image = json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [layer],
    });
    let image = image.to_string();
    let mut entry = descriptor(OCI_MANIFEST, image.as_bytes());
    entry["annotations"] = json!({"org.opencontainers.image.ref.name": "v1"});
    let index = json!({"schemaVersion": 2, "manifests": [entry]}).to_string();
    place.file("layout/oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
    place.file("layout/index.json", index.as_bytes());
    for (named, bytes) in [(image.as_str(), image.as_str()), ("{}", "{}"), ("right", "wrong")] {
        let path = format!("layout/{}", Digest::sha256_of(named.as_bytes()).path());
        place.file(&path, bytes.as_bytes());
    }
}

#[test]
fn bytes_that_do_not_match_their_digest_are_4_from_every_source() {
    let (place, (web, host)) = (Place::new(), Web::start());
    web.put("/f.bin", "file");
    web.put("/f.bin.sha256", format!("{}  f.bin\n", "ab".repeat(32)));
    add(&place, 4, &[&NAMED[..], &[&format!("http://{host}/f.bin")]].concat());
    web.chart("/charts", &[], Some(&"cd".repeat(32)));
    add(&place, 4, &[&format!("helm+http://{host}/charts"), "a"]);
    // A manifest, a layer, and the layer of one of two platforms, which costs only that platform.
    let (image, _) = web.image("manifest", "layer", None);
    web.put(&format!("/v2/manifest/manifests/{}", image["digest"].as_str().unwrap()), "{}");
    let image = format!("docker://{host}/manifest@{}", image["digest"].as_str().unwrap());
    add(&place, 4, &[&image]);
    let (_, layer) = web.image("layer", "layer", Some("v1"));
    web.put(&layer, "laier");
    add(&place, 4, &[&format!("docker://{host}/layer:v1")]);
    let layer = web.index("child", "v1");
    web.put(&layer, "sekond");
    let said = add(&place, 4, &[&format!("docker://{host}/child:v1")]);
    assert!(said.stdout.contains("added pkg:docker/child@v1"), "{said:?}");
    assert!(said.stdout.contains("NOT ADDED") && said.stdout.contains("linux/arm64"), "{said:?}");
    wrong_layout(&place);
    place.fails(4, &["add", "oci:layout:v1", "--ref", "a.test/app:v1"]);
    place.fails(4, &["add", "oci:layout", "--ref", "a.test/app"]);
}

#[test]
fn an_upstream_that_has_nothing_is_3_from_every_source_and_a_part_is_1() {
    let (place, (web, host)) = (Place::new(), Web::start());
    let url = |path: &str| format!("http://{host}{path}");
    let image = |name: &str| format!("docker://{host}/{name}");
    add(&place, 3, &[&NAMED[..], &[&url("/none")]].concat());
    let said = add(&place, 3, &[&NAMED[..], &[&url("/none"), &url("/no2")]].concat());
    assert!(said.stdout.contains("/none") && said.stdout.contains("/no2"), "{said:?}");
    add(&place, 3, &[&format!("helm+{}", url("/charts")), "a"]);
    add(&place, 3, &[&image("none:v1")]);
    add(&place, 3, &[&image("none:v1"), &image("none:v2")]);
    add(&place, 3, &["--all-tags", &image("none")]);
    // Something else failed as well, something came, or the image is there without a part.
    web.say("/v2/down/manifests/v1", 403, "", "");
    add(&place, 1, &[&image("none:v1"), &image("down:v1")]);
    let (_, layer) = web.image("app", "layer", Some("v1"));
    add(&place, 1, &[&image("none:v1"), &image("app:v1")]);
    web.drop(&layer);
    add(&Place::new(), 1, &[&image("app:v1")]);
    web.chart("/charts", &[], None);
    web.put("/f", "file");
    add(&place, 1, &[&NAMED[..], &[&url("/none"), &url("/f")]].concat());
}

#[test]
fn a_private_address_is_2_from_every_source() {
    let (place, (_web, host)) = (Place::new(), Web::start());
    for args in [
        &[&NAMED[..], &[&format!("http://{host}/f")]].concat()[..],
        &[&format!("helm+http://{host}/charts"), "a"],
        &["--plain-http", &format!("docker://{host}/app:v1")],
        &["--plain-http", "--all-tags", &format!("docker://{host}/app")],
    ] {
        let said = place.fails(2, &[&["add"], args].concat());
        let all = format!("{}{}", said.stdout, said.stderr);
        assert!(all.contains("--allow-private"), "{said:?}");
    }
}

#[test]
fn an_answer_that_cannot_be_used_is_1() {
    let (place, (web, host)) = (Place::new(), Web::start());
    for encoding in ["deflate", "br", "gzip"] {
        // The gzip has a right beginning only.
        let body = b"\x1f\x8bpacked";
        web.say("/f.bin", 200, &format!("Content-Encoding: {encoding}\r\n"), *body);
        let said = add(&place, 1, &[&NAMED[..], &[&format!("http://{host}/f.bin")]].concat());
        assert!(said.stderr.contains(encoding), "{said:?}");
    }
    assert_eq!(web.asked("/f.bin").len(), 3, "none is asked for again");
    web.say("/page.tgz", 200, "Content-Type: text/html\r\n", "<html>");
    add(&place, 1, &[&NAMED[..], &[&format!("http://{host}/page.tgz")]].concat());
}

#[test]
fn sources_are_taken_in_the_spelling_of_other_programs() {
    let (place, (web, host)) = (Place::new(), Web::start());
    place.file("a dir/f#1", b"file");
    let dir = place.path("a dir").display().to_string().replace(' ', "%20");
    for (version, url) in [
        ("1", format!("file://{dir}/f%231")),
        ("2", format!("FILE://localhost{dir}")),
        ("3", format!("file:{dir}/")),
    ] {
        place.row(&["add", &url, "--name", "f", "--version", version]);
        let rows = place.rows(&["get", &format!("f@{version}"), "f#1"]);
        assert_eq!(rows.len(), 1, "{url}");
    }
    for (url, hint) in [("file:a%20dir", "perennial add 'a dir'"), ("file://b/f", "https://")] {
        let said = place.fails(2, &[&["add", url][..], &NAMED].concat());
        assert!(said.stderr.contains(hint), "{said:?}");
    }
    web.image("app", "layer", Some("v1"));
    place.row(&[&BASE[..], &[&format!("OCI://{host}/app:v1")]].concat());
    wrong_layout(&place);
    place.fails(3, &["add", "oci:layout:a.test:5000/x:v1", "--ref", "a.test/app:v1"]);
    place.fails(4, &["add", "oci:layout:@0", "--ref", "a.test/app:v1"]);
}

/// A checksum file once waited for itself. Here the whole program has a deadline.
#[test]
fn a_checksum_file_is_added_in_a_moment() {
    let (place, (web, host)) = (Place::new(), Web::start());
    web.put("/SHA256SUMS", format!("{}  f.bin\n", "ab".repeat(32)));
    let url = format!("http://{host}/SHA256SUMS");
    let base = ["add", "--allow-private", "--name", "f", "--version", "1", &url];
    let mut child = place.command(&base).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if Instant::now() > deadline => {
                child.kill().unwrap();
                panic!("it does not end");
            }
            None => thread::sleep(Duration::from_millis(20)),
        }
    };
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_password_of_netrc_goes_to_its_host_only() {
    let (place, (web, host)) = (Place::new(), Web::start());
    web.put("/f", "file");
    web.say(
        "/away",
        302,
        &format!("Location: http://{}/f\r\n", host.replace("127.0.0.1", "localhost")),
        "",
    );
    place.file("home/.netrc", b"machine 127.0.0.1 login me password secret\n");
    place.file("named", b"machine 127.0.0.1\nlogin you\npassword secret\n");
    let headers = |path: &str, value: &str| {
        let asked = web.asked(path);
        assert!(!asked.is_empty(), "{path}");
        asked.iter().all(|head| head.to_ascii_lowercase().contains(&value.to_ascii_lowercase()))
    };
    let base = ["add", "--allow-private", "--name", "f", "--version", "1"];
    let args = |path: &str| [&base[..], &[&format!("http://{host}{path}")]].concat().join(" ");
    let run = |path: &str, netrc: Option<&str>| {
        let args = args(path);
        let mut command = place.command(&args.split(' ').collect::<Vec<_>>());
        if let Some(netrc) = netrc {
            command.env("NETRC", netrc);
        }
        let said = super::program::said(command.output().unwrap());
        assert_eq!(said.code, Some(0), "{said:?}");
    };
    run("/f", None);
    assert!(headers("/f", "authorization: basic bWU6c2VjcmV0"));
    web.forget();
    run("/f", Some("named"));
    assert!(headers("/f", "authorization: basic eW91OnNlY3JldA=="));
    web.forget();
    run("/away", None);
    assert!(headers("/away", "authorization: basic bWU6c2VjcmV0"));
    assert!(
        web.asked("/f").iter().all(|head| !head.to_ascii_lowercase().contains("authorization"))
    );
}

/// A server that hangs up on the first connections, and is `web` afterwards.
fn hangs_up(times: usize, web: &Web) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let web = web.clone();
    thread::spawn(move || {
        for _ in 0..times {
            drop(listener.accept());
        }
        web.serve(&listener);
    });
    host
}

#[test]
fn each_retry_is_told_and_a_refused_connection_on_this_machine_is_final() {
    let (place, (web, _)) = (Place::new(), Web::start());
    web.put("/f", "file");
    web.image("app", "layer", Some("v1"));
    web.chart("/charts", &[], None);
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let sources = |host: &str| {
        [
            vec![
                "--name".into(),
                "f".into(),
                "--version".into(),
                "1".into(),
                format!("http://{host}/f"),
            ],
            vec!["--plain-http".into(), format!("docker://{host}/app:v1")],
            vec![format!("helm+http://{host}/charts"), "a".into()],
        ]
    };
    for source in sources(&free) {
        let args: Vec<&str> = source.iter().map(String::as_str).collect();
        let started = Instant::now();
        let said = place.fails(1, &[&["add", "--allow-private"], &args[..]].concat());
        assert!(!said.stderr.contains("trying again"), "{said:?}");
        assert!(started.elapsed() < Duration::from_secs(20), "at once");
        let said =
            place.fails(1, &[&["add", "--allow-private", "--tries", "2"], &args[..]].concat());
        assert_eq!(said.stderr.matches("; trying again in 500ms").count(), 1, "{said:?}");
    }
    for number in 0..3 {
        let host = hangs_up(1, &web);
        let source = &sources(&host)[number];
        let args: Vec<&str> = source.iter().map(String::as_str).collect();
        let said = place.fails(0, &[&["add", "--allow-private"], &args[..]].concat());
        let told = said.stderr.lines().find(|line| line.contains("; trying again in ")).unwrap();
        assert!(told.starts_with(&format!("http://{host}/")), "{said:?}");
    }
}

#[test]
fn missing_images_of_a_chart_are_named_and_1() {
    let (place, (web, host)) = (Place::new(), Web::start());
    let images = [format!("{host}/none:v1"), format!("{host}/app:v1")];
    web.chart("/charts", &images, None);
    let charts = format!("helm+http://{host}/charts");
    let said = add(&place, 1, &[&charts, "a", "--with-images"]);
    assert!(said.stdout.contains("0 of 2 referenced images held"), "{said:?}");
    for image in &images {
        assert!(said.stdout.contains(&format!("missing  {image}")), "{said:?}");
    }
    assert!(said.stderr.contains("2 items could not be added"), "{said:?}");
    web.image("app", "layer", Some("v1"));
    let said = place.run(&[&["--json"], &BASE[..], &[&charts, "a", "--with-images"]].concat());
    assert_eq!(said.code, Some(1), "{said:?}");
    let rows: Vec<Value> =
        said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let held = rows.iter().find(|row| row["of"].is_string()).unwrap();
    assert_eq!(held["held_images"], json!([images[1]]), "{held}");
    assert_eq!(held["missing_images"][0]["kind"], "not-found", "{held}");
    web.image("none", "layer", Some("v1"));
    add(&place, 0, &[&charts, "a", "--with-images"]);
}

#[test]
fn a_layout_without_the_tag_asked_for_names_those_it_has() {
    let place = Place::new();
    wrong_layout(&place);
    let said = place.fails(3, &["add", "oci:layout:nope", "--ref", "a.test/app:v1"]);
    let layout = place.path("layout").display().to_string();
    let expected = format!("error: {layout} has no image tagged \"nope\"; it has v1\n");
    assert!(said.stderr.starts_with(&expected), "{said:?}");
}

#[test]
fn a_registry_that_speaks_plain_http_is_named_with_the_option() {
    let (place, (web, host)) = (Place::new(), Web::start());
    web.image("app", "layer", Some("v1"));
    place.file("images.txt", format!("{host}/app:v1\n").as_bytes());
    for source in [&["--from", "images.txt"][..], &[&format!("docker://{host}/app:v1")]] {
        let said = place.fails(1, &[&["add", "--allow-private", "--tries", "1"], source].concat());
        assert!(said.stdout.contains("--plain-http"), "{said:?}");
    }
    let said = place.fails(
        1,
        &[&["add", "--allow-private", "--tries", "1"], &NAMED[..], &[&format!("https://{host}/f")]]
            .concat(),
    );
    assert!(said.stderr.contains("http://"), "{said:?}");
}
