//! A rotation that breaks off, at whatever step, ends at the next start.

use perennial_manifest::{PublisherId, PublisherKind};
use perennial_store::{OpenOptions, OwnFeed, Store};

use super::Machine;
use crate::archive::{Signer, note_key};
use crate::keys::Keys;

/// The steps that are durable when the node stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Noted,
    Signed,
    Promoted,
}

/// An archive on which a rotation broke off after a step; its old key and its next one.
fn broken_off(after: Step) -> (tempfile::TempDir, Keys, PublisherId, PublisherId) {
    let dir = tempfile::tempdir().unwrap();
    let keys = Keys::in_folder(dir.path().join("keys"), false);
    let store = Store::open(&dir.path().join("data"), OpenOptions::default()).unwrap();
    let (old, next) = (keys.publisher().unwrap(), keys.next().unwrap());
    let (signer, was) = (Signer::new(old.clone()), old.id());
    let profile = perennial_manifest::Profile {
        name: "upstream".to_owned(),
        publisher_kind: PublisherKind::Upstream,
        contact: None,
        claims: Vec::new(),
    };
    let turn = signer.turn(&store);
    let body = perennial_manifest::Body::Profile(profile);
    turn.sign(Some(PublisherKind::Upstream), body).unwrap();
    store.set_own_feed(OwnFeed { next: Some(next.id()), ..OwnFeed::of(was, true) }).unwrap();
    if after >= Step::Signed {
        turn.hand_over(&next).unwrap();
    }
    if after >= Step::Promoted {
        keys.promote_next(&was, &next.id()).unwrap();
    }
    drop(turn);
    (dir, keys, was, next.id())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_that_breaks_off_ends_at_the_next_start() {
    for after in [Step::Noted, Step::Signed, Step::Promoted] {
        let (dir, keys, old, next) = broken_off(after);
        // As a start does it.
        let machine = Machine::signing(keys.publisher().unwrap(), dir);
        let archive = &machine.archive;
        note_key(machine.store(), archive.publisher(), false, true).unwrap();
        archive.end_rotation(&keys).await;

        let now = if after == Step::Noted { old } else { next };
        assert_eq!(archive.publisher(), now, "{after:?}");
        assert_eq!(keys.publisher().unwrap().id(), now, "{after:?}");
        let own = machine.store().own_feed().unwrap();
        assert_eq!((own.publisher, own.known), (now, true), "{after:?}");
        let kind = machine.store().publisher_kind(&now).unwrap();
        assert_eq!(kind, Some(PublisherKind::Upstream), "{after:?}");
        if after > Step::Noted {
            let follows = machine.store().follows();
            assert_eq!(follows.successor_of(&old), Some(&next), "what the old one signed counts");
        }
        // It signs with it, and hands over once more.
        machine.add("pkg:generic/tool@1", &[("tool", b"bytes")]).await;
        archive.rotate(keys.clone()).await.unwrap();
        assert!(archive.publisher() != now && archive.publisher() != old);
        assert_eq!(machine.store().own_feed(), Some(OwnFeed::of(archive.publisher(), true)));
    }
}
