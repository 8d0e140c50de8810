//! Leftovers have an end: uploads and downloads nobody continues, fetches of what nothing wants, an
//! index that was set aside.

use std::fs::{self, File, FileTimes};
use std::path::Path;
use std::time::{Duration, SystemTime};

use perennial_manifest::BlobId;
use perennial_store::{Pin, Tidied};

use crate::fixtures::{bytes, key, open, release};
use crate::tmpfs::names;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn age(path: &Path, by: Duration) {
    let then = FileTimes::new().set_modified(SystemTime::now() - by);
    File::open(path).unwrap().set_times(then).unwrap();
}

#[test]
fn leftovers_go_after_a_day_and_what_is_wanted_or_young_stays() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (_, added) = release(&store, &key(1), "a", &[bytes(200_000, 1)]);
    let (wanted, held) = (BlobId::of(b"wanted"), added[0].blob);
    for pin in [wanted, held] {
        store.set_pin(Pin::Blob(pin), true).unwrap();
    }
    for (blob, size) in [(wanted, 100_000), (held, 300_000), (BlobId::of(b"nobody's"), 100_000)] {
        drop(store.partial(blob, size).unwrap());
    }
    let (partial, incoming) = (dir.path().join("partial"), store.incoming());
    for name in ["old", "young"] {
        fs::write(incoming.join(name), bytes(5000, 2)).unwrap();
    }
    let aside = dir.path().join("index.bad");
    fs::create_dir(&aside).unwrap();
    fs::write(aside.join("db"), bytes(5000, 3)).unwrap();
    assert_eq!(store.tidy(DAY).unwrap(), Tidied::default(), "all of it is young");
    age(&incoming.join("old"), DAY + Duration::from_secs(60));
    age(&aside, DAY + Duration::from_secs(60));
    for name in names(&partial) {
        age(&partial.join(name), DAY + Duration::from_secs(60));
    }
    let gone = Tidied { incoming: 1, partial: 2, index: true };
    assert_eq!(store.tidy(DAY).unwrap(), gone);
    assert_eq!(names(&incoming), ["young"]);
    assert!(!aside.exists());
    let left = names(&partial);
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(left.iter().all(|name| name.starts_with(&wanted.to_hex())), "{left:?}");
    assert_eq!(store.tidy(DAY).unwrap(), Tidied::default());
}
