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
