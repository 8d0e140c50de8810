//! Media that cannot be written to: a snapshot, a backup mounted `ro`, a DVD. What is there is
//! listed, verified, written out and served; nothing else is pretended.

use std::fs;

use super::program::Place;

/// The data directory, mounted read-only, and then these commands.
fn script(then: &str) -> String {
    format!(
        "ip link set lo up 2>/dev/null\n\
         mount --bind data data && mount -o remount,bind,ro data || exit 77\n{then}"
    )
}

fn archive() -> Place {
    let place = Place::new();
    place.file("tool/small", b"the tool");
    place.file("tool/large", &vec![7; 300_000]);
    place.row(&["add", "tool", "--name", "tool", "--version", "1"]);
    place
}

#[test]
fn read_only_media_are_listed_verified_and_written_out() {
    let place = archive();
    for (command, shows) in [
        ("ls", "tool"),
        ("ls --state held", "tool"),
        ("search tool", "tool"),
        ("show tool@1", "large"),
        ("get tool@1 -o out", "out"),
        ("verify", "none corrupt"),
        ("pins", ""),
        ("follows", ""),
        ("key", "did:key:"),
        ("gc --dry-run", ""),
    ] {
        let Some(said) = place.with_mounts(&script(&format!("exec \"$0\" {command}"))) else {
            return;
        };
        assert_eq!(said.code, Some(0), "{command}: {said:?}");
        assert!(said.stdout.contains(shows), "{command}: {said:?}");
    }
    assert_eq!(fs::read(place.path("out/small")).unwrap(), b"the tool");
    for command in
        ["add tool --name tool --version 2", "unpin tool@1", "follow all", "gc --grace 0s"]
    {
        let said = place.with_mounts(&script(&format!("exec \"$0\" {command}"))).unwrap();
        assert_eq!(said.code, Some(1), "{command}: {said:?}");
        assert!(said.stderr.contains("read-only"), "{command}: {said:?}");
        assert!(!said.stderr.contains("panicked"), "{command}: {said:?}");
    }
    // Two at once, because neither writes.
    let both = "\"$0\" verify & \"$0\" verify && wait $!";
    let said = place.with_mounts(&script(both)).unwrap();
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(place.rows(&["ls"]).len(), 1, "as it was");
}

#[test]
fn read_only_media_are_served() {
    let place = archive();
    let then = r#"
        command -v curl >/dev/null || exit 77
        listen="--listen /ip4/127.0.0.1/tcp/0 --http 127.0.0.1:4480"
        "$0" serve --no-mdns $listen >said 2>log & node=$!
        for _ in $(seq 600); do grep -qs ready said && break; sleep 0.1; done
        url=http://127.0.0.1:4480
        curl -fsS $url/healthz && curl -fsS $url/r/tool/1/large -o large
        code=$?
        peer=$(sed -n 's/^listening //p' said | head -1)
        "$0" --data other --peer $peer get $(sed -n 2p id) -o fetched || code=$?
        kill $node; wait $node && exit $code
    "#;
    let release = place.rows(&["ls"])[0]["release"].as_str().unwrap().to_owned();
    place.file("id", format!("id\n{release}\n").as_bytes());
    let Some(said) = place.with_mounts(&script(then)) else { return };
    let log = fs::read_to_string(place.path("log")).unwrap_or_default();
    assert_eq!(said.code, Some(0), "{said:?}: {log}");
    assert!(said.stdout.starts_with("ok\n"), "{said:?}");
    for copy in ["large", "fetched/large"] {
        assert_eq!(fs::read(place.path(copy)).unwrap(), vec![7; 300_000], "{copy}");
    }
    assert!(log.contains("read-only media") && !log.contains("panicked"), "{log}");
}

/// `strace` plays a disk with one bad place.
#[test]
fn verify_names_what_the_disk_does_not_give_and_reads_the_rest() {
    let place = archive();
    place.file("other/large", &vec![8; 400_000]);
    place.row(&["add", "other", "--name", "other", "--version", "1"]);
    let folders = fs::read_dir(place.path("data/blobs")).unwrap();
    let mut files = folders.flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap());
    let bad = files.find_map(|file| {
        let path = file.unwrap().path();
        (fs::metadata(&path).unwrap().len() == 300_000).then_some(path)
    });
    let bad = bad.expect("a file of its own");
    let hex = bad.file_stem().unwrap().to_str().unwrap();
    let then = format!(
        "command -v strace >/dev/null || exit 77\n\
         exec strace -f -qq -o /dev/null -P {} -e inject=read,pread64:error=EIO \"$0\" verify",
        bad.display()
    );
    let Some(said) = place.with_mounts(&then) else { return };
    assert_eq!(said.code, Some(4), "{said:?}");
    let named = format!("UNREAD   blake3:{hex}  ");
    assert!(said.stdout.contains(&named) && said.stdout.contains("(os error 5)"), "{said:?}");
    let summary = "read 4 blobs";
    assert!(said.stdout.contains(summary) && said.stdout.contains("1 unread"), "{said:?}");
    assert!(said.stderr.contains("hint: nothing was set aside"), "{said:?}");
    // Nothing was lost by it.
    assert_eq!(place.run(&["verify"]).code, Some(0));
}
