//! A machine without a network, or with settings that are of no use: whatever needs no peer works.

use std::fs;
use std::time::{Duration, Instant};

use super::program::Place;

/// Prepends a step that replaces `/etc/resolv.conf`, and takes the network away.
fn offline(settings: &str, then: &str) -> String {
    format!("ip link set lo up 2>/dev/null\n{settings}\n{then}")
}

#[test]
fn local_commands_work_without_a_network() {
    let place = Place::new();
    place.file("tool/tool", b"the tool");
    place.row(&["add", "tool", "--name", "tool", "--version", "1"]);
    let hidden = "mount -t tmpfs none /etc || exit 77";
    for settings in [
        "echo '# made by NetworkManager' >rc && mount --bind rc /etc/resolv.conf || exit 77",
        "echo 'nameserver nonsense' >rc && mount --bind rc /etc/resolv.conf || exit 77",
        hidden,
        &format!("{hidden}\nln -s ../run/nowhere/resolv.conf /etc/resolv.conf"),
        &format!("{hidden}\nmkdir /etc/resolv.conf"),
    ] {
        for command in [
            "ls",
            "show tool@1",
            "get tool@1 -o out",
            "verify",
            "gc",
            "key",
            "pins",
            "rebuild-index",
            "add tool --name tool --version 2",
            "drill tool",
            // The peer's name is not found, which concerns nothing else.
            "--peer /dns4/archive.invalid/tcp/4407 get tool@1 -o again",
        ] {
            let script = offline(settings, &format!("exec \"$0\" {command}"));
            let Some(said) = place.with_mounts(&script) else { return };
            assert_eq!(said.code, Some(0), "{settings}: {command}: {said:?}");
        }
        assert_eq!(fs::read(place.path("out/tool")).unwrap(), b"the tool");
        let script = offline(
            settings,
            r#"
            rm -f said
            "$0" serve --no-mdns --listen /ip4/127.0.0.1/tcp/0 --http off >said 2>log & node=$!
            for _ in $(seq 600); do grep -qs ready said && break; sleep 0.1; done
            "$0" --quiet status; code=$?
            kill $node; wait $node && exit $code
            "#,
        );
        let Some(said) = place.with_mounts(&script) else { return };
        assert_eq!(said.code, Some(0), "{settings}: {said:?}: {}", log(&place));
    }
}

/// TCP is refused at once; QUIC, which the address stands for as well, would be waited for.
#[test]
fn a_host_and_port_that_refuses_is_reported_at_once() {
    let place = Place::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let began = Instant::now();
    let said = place.fails(5, &["--peer", &address, "search", "a"]);
    assert!(said.stderr.contains("connection refused"), "{said:?}");
    assert!(began.elapsed() < Duration::from_secs(4), "after {:?}", began.elapsed());
}

fn log(place: &Place) -> String {
    fs::read_to_string(place.path("log")).unwrap_or_default()
}

/// `strace`, where it is there, shows every socket that a command opens.
#[test]
fn a_local_command_opens_no_network_socket() {
    let place = Place::new();
    place.file("tool/tool", b"the tool");
    place.row(&["add", "tool", "--name", "tool", "--version", "1"]);
    for command in ["ls", "get tool@1 -o out", "verify", "add tool --name tool --version 2"] {
        let script = format!(
            "command -v strace >/dev/null || exit 77\n\
             exec strace -f -qq -o trace -e trace=socket \"$0\" {command}"
        );
        let Some(said) = place.with_mounts(&script) else { return };
        assert_eq!(said.code, Some(0), "{said:?}");
        let trace = fs::read_to_string(place.path("trace")).unwrap();
        assert!(!trace.contains("AF_INET") && !trace.contains("AF_NETLINK"), "{command}: {trace}");
    }
}
