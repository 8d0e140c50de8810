//! `show` lists the holders of a release.

use perennial_control::HolderRow;
use perennial_manifest::Holding;

use crate::machine::Machine;

fn row(machine: &Machine, this_node: bool, bytes: u64) -> HolderRow {
    HolderRow {
        peer: machine.node.peer_id(),
        this_node,
        state: Holding::Held,
        held_bytes: Some(bytes),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn show_brings_a_missing_list_or_says_why_it_cannot() {
    let a = Machine::start(&[], &[]).await;
    let added = a.add(&[("one", &[1; 1000])]).await;
    // Knows the release, and holds nothing of it.
    let b = Machine::start(&[&a], &[]).await;
    let (shown, files) = b.show_files(&added.release).await.expect("known");
    assert_eq!(shown.row.state, Holding::Known, "the list is no part of it");
    assert_eq!((files.map(|files| files.len()), shown.missing_list), (Some(1), None));

    // Its entry is taken along, and its list is not, to where no peer is.
    let entry = a.node.archive().store().entry(&added.release.entry()).expect("read");
    let entries = a.node.archive().store().times(None).expect("read");
    let entries = entries
        .into_iter()
        .filter_map(|(_, id)| a.node.archive().store().entry(&id).expect("read"));
    let entries: Vec<_> = entries.collect();
    assert!(entry.is_some() && entries.len() == 2);
    let c = Machine::start(&[], &[]).await;
    c.node.archive().store().put_entries(&entries).expect("taken");
    let (shown, files) = c.show_files(&added.release).await.expect("known");
    assert!(files.is_none());
    let why = shown.missing_list.expect("a reason");
    assert!(why.contains("no peer is connected"), "{why}");
}

/// One frame of the conversation would not have room for them.
#[tokio::test(flavor = "multi_thread")]
async fn show_lists_every_file_of_a_very_long_list() {
    const FILES: usize = 40_000;
    let a = Machine::start(&[], &[]).await;
    let names: Vec<String> = (0..FILES).map(|n| format!("{n:0>200}")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    let added = a.add(&files).await;
    let (shown, listed) = a.show_files(&added.release).await.expect("a long list");
    assert_eq!(shown.row.artifacts, FILES as u64);
    let listed = listed.expect("the list is here");
    let rows = listed.iter().map(|file| file.path.as_str());
    assert!(rows.eq(names.iter().map(String::as_str)), "{} rows", listed.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn show_lists_every_holder_with_this_node_first() {
    let a = Machine::start(&[], &[]).await;
    // The same bytes twice: counted as two files, stored once.
    let added = a.add(&[("one", &[1; 1000]), ("two", &[1; 1000]), ("three", b"3")]).await;
    let b = Machine::start(&[&a], &[added.publisher]).await;
    // Knows both peers, holds nothing.
    let c = Machine::start(&[&a, &b], &[]).await;
    b.until(&added.release, Holding::Held).await;

    let shown = b.show(&added.release).await.expect("known");
    assert_eq!(shown.holders, [row(&b, true, 2001), row(&a, false, 2001)]);
    let shown = c.until(&added.release, Holding::Known).await;
    let mut holders = shown.holders;
    holders.sort_by_key(|holder| holder.peer != a.node.peer_id());
    assert_eq!(holders, [row(&a, false, 2001), row(&b, false, 2001)]);

    // A stopped node no longer counts as a holder.
    let (gone, me) = (a, row(&b, true, 2001));
    gone.node.shutdown().await;
    let give_up = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while b.show(&added.release).await.expect("known").holders != [me.clone()] {
        assert!(std::time::Instant::now() < give_up, "still shown");
    }
}
