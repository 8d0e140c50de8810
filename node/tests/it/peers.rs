//! Addresses of peers that lead nowhere are named, with the reason, in answers and in `status`.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use perennial_control::{Connect, ErrorKind, Ls, Search, Status};
use perennial_manifest::{Holding, Selector};
use perennial_node::config::{ConfigError, check_peer};
use perennial_node::{Config, Node, StartError};

use crate::machine::Machine;

/// `HOST:PORT` where nothing listens.
fn closed() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("bound").to_string()
}

async fn with_peers(peers: &[String]) -> Machine {
    let dir = tempfile::tempdir().expect("a directory");
    let config = Config { peers: peers.to_vec(), ..Config::embedded(dir.path().join("data")) };
    Machine { node: Node::start(config).await.expect("a node"), dir }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_is_reached_at_a_host_and_a_port() {
    let a = Machine::start(&[], &[]).await;
    let added = a.add(&[("f", b"1")]).await;
    let address = a.node.addresses().remove(0);
    let port = address.split('/').nth(4).expect("a port").to_owned();
    let b = with_peers(&[format!("localhost:{port}")]).await;
    b.until(&added.release, Holding::Known).await;
    assert!(b.ask(Status).await.expect("a status").0.notices.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_peer_the_error_names_the_address_and_the_reason() {
    let dead = closed();
    let machine = with_peers(std::slice::from_ref(&dead)).await;
    let blob = perennial_manifest::BlobId::of(b"nowhere").to_string();
    let sha256 = format!("sha256:{}", "ab".repeat(32));
    let started = Instant::now();
    for what in ["thing@1", "thing", &blob, &sha256] {
        let failure = machine.get(what, None).await.expect_err("no peer");
        assert_eq!(failure.code, ErrorKind::Unreachable, "{what}: {failure:?}");
        assert!(failure.message.contains(&dead), "{failure:?}");
        assert!(failure.message.contains("refused"), "{failure:?}");
    }
    assert!(started.elapsed() < Duration::from_secs(15), "a refused connection is known at once");
    let status = machine.ask(Status).await.expect("a status").0;
    assert!(
        status.notices.iter().any(|notice| notice.contains(&dead) && notice.contains("refused")),
        "{:?}",
        status.notices
    );
    // What is held here needs no peer.
    let added = machine.add(&[("f", b"1")]).await;
    machine.get(&added.release.to_string(), None).await.expect("held");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_found_while_no_peer_answers_is_an_error_and_not_an_empty_list() {
    let dead = closed();
    let machine = with_peers(std::slice::from_ref(&dead)).await;
    machine.add(&[("f", b"1")]).await;
    let ls = |name: &str| Ls {
        selector: Some(name.parse::<Selector>().expect("a name")),
        publisher: None,
        state: None,
        limit: None,
    };
    let search = |text: &str| Search { text: text.into(), limit: 10 };
    for failure in [
        machine.ask(ls("nosuch@1")).await.expect_err("no peer"),
        machine.ask(search("nosuch")).await.expect_err("no peer"),
    ] {
        assert_eq!(failure.code, ErrorKind::Unreachable, "{failure:?}");
        assert!(failure.message.contains(&dead), "{failure:?}");
    }
    // What is found here is listed, and so is everything, without a name.
    assert_eq!(machine.ask(search("thing")).await.expect("here").1.len(), 1);
    assert_eq!(machine.ask(Ls { selector: None, ..ls("thing") }).await.expect("all").1.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn connecting_names_each_address_that_fails_and_stays_quiet_about_the_one_that_answers() {
    let (a, b) = (Machine::start(&[], &[]).await, Machine::start(&[], &[]).await);
    let dead = closed();
    let wrong = {
        let address = a.node.addresses().remove(0);
        let place = address.split("/p2p/").next().expect("an address").to_owned();
        format!("{place}/p2p/{}", b.node.peer_id())
    };
    let c = Machine::start(&[], &[]).await;
    let peers = vec![dead.clone(), wrong.clone()];
    let done = c.ask(Connect { peers, wait_ms: 20_000 }).await.expect("an outcome").0;
    assert!(!done.reached);
    let reason = |of: &str| {
        let row = done.unreached.iter().find(|row| row.address == of).expect("named");
        row.reason.clone()
    };
    assert!(reason(&dead).contains("refused"), "{done:?}");
    assert!(reason(&wrong).contains("wrong peer id"), "{done:?}");
    let peers = vec![dead, b.node.addresses().remove(0)];
    let done = c.ask(Connect { peers, wait_ms: 20_000 }).await.expect("an outcome").0;
    assert!(done.reached, "{done:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_address_starts_no_node_and_leaves_no_directory() {
    let dir = tempfile::tempdir().expect("a directory");
    for wrong in ["nonsense", "http://archive.example:4407"] {
        let config =
            Config { peers: vec![wrong.into()], ..Config::embedded(dir.path().join("data")) };
        let refused = Node::start(config).await.expect_err("malformed");
        assert!(matches!(refused, StartError::Peer(_)), "{refused}");
        assert!(matches!(check_peer(wrong), Err(ConfigError::Peer { .. })));
    }
    assert!(!dir.path().join("data").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_another_node_listens_on_is_refused() {
    let first = Machine::start(&[], &[]).await;
    let address = first.node.addresses().remove(0);
    let place = address.split("/p2p/").next().expect("an address").to_owned();
    let dir = tempfile::tempdir().expect("a directory");
    let config =
        Config { listen: vec![place.clone()], ..Config::embedded(dir.path().join("data")) };
    let refused = Node::start(config).await.expect_err("taken").to_string();
    assert!(refused.contains(&place) && refused.contains("already in use"), "{refused}");
}
