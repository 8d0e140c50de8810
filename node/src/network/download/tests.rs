//! Streams that end early, beside others of one blob; reports never run ahead of the disk.

use std::io::{self, Read};
use std::sync::mpsc;
use std::time::Duration;

use perennial_manifest::BlobId;
use perennial_protocol::{BLOB_OK, BlobRange, Bounded, DownloadItem, Report};
use perennial_store::{OpenOptions, Store};

use super::{Arrived, REPORT, Receiver};

/// Bytes of a blob of 96 groups: more than are counted together.
const SIZE: u64 = 96 << 14;

/// A store without the blob, and the blob's encoding of a range.
struct Two {
    _dirs: (tempfile::TempDir, tempfile::TempDir),
    here: Store,
    there: Store,
    blob: BlobId,
}

impl Two {
    fn new() -> Self {
        let dirs = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let open = |dir: &tempfile::TempDir| {
            Store::open(&dir.path().join("data"), OpenOptions::default()).unwrap()
        };
        let (here, there) = (open(&dirs.0), open(&dirs.1));
        let bytes = (0..SIZE).map(|at| (at / 7 % 251) as u8).collect();
        let mut batch = there.batch();
        let blob = batch.add_bytes(bytes).unwrap().blob;
        drop(batch.commit().unwrap());
        Self { _dirs: dirs, here, there, blob }
    }

    fn sent(&self, start: u64, end: u64) -> (Vec<DownloadItem>, Vec<u8>) {
        let ranges = Bounded::first_of([(start, end)]);
        let item = DownloadItem { range: BlobRange { blob: self.blob, ranges }, size: SIZE };
        let mut sent = vec![BLOB_OK];
        sent.extend(SIZE.to_le_bytes());
        let range = start..end;
        self.there.encode(&self.blob, std::slice::from_ref(&range), &mut sent).unwrap();
        (vec![item], sent)
    }

    fn is_held(&self) -> bool {
        self.here.blob_size(&self.blob).unwrap().is_some()
    }
}

/// The bytes that reports cover.
fn covered(report: &Report) -> u64 {
    report.verified.iter().map(BlobRange::bytes).sum()
}

/// Gives its bytes, says so, and is then silent until it is cut.
struct Silent(io::Cursor<Vec<u8>>, mpsc::Sender<()>, mpsc::Receiver<()>);

impl Read for Silent {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buf)? {
            0 => {
                let _ = self.1.send(());
                let _ = self.2.recv();
                Err(io::ErrorKind::ConnectionAborted.into())
            }
            some => Ok(some),
        }
    }
}

#[test]
fn a_peer_that_falls_silent_in_the_middle_costs_no_blob() {
    let two = Two::new();
    let (half, cut) = (SIZE / 2, SIZE / 2 - (8 << 14));
    // The silent peer's assignment is the first half; it stops eight groups early.
    let (items, mut sent) = two.sent(0, half);
    sent.truncate(sent.len() - (8 << 14) - 100);
    let (said, silent) = mpsc::channel();
    let (go_on, cut_off) = mpsc::channel();
    let input = Silent(io::Cursor::new(sent), said, cut_off);
    let store = two.here.clone();
    let (told, reports) = mpsc::channel();
    let stalled = std::thread::spawn(move || {
        let mut tell = |report: Report| told.send(covered(&report)).unwrap();
        let mut receiver = Receiver::new(store, input, &mut tell);
        // Reports are due at once.
        receiver.reported -= REPORT;
        let outcome = receiver.all(&items);
        (outcome.is_err(), covered(&receiver.report))
    });
    silent.recv().unwrap();
    let told_before: u64 = reports.try_iter().sum();
    let counted = two.here.partial(two.blob, SIZE).unwrap().have_bytes();
    assert!(told_before <= counted, "{told_before} bytes reported, {counted} are here");
    // Another peer brings all that has not been reported.
    let (items, sent) = two.sent(told_before, SIZE);
    let mut tell = |_: Report| {};
    let mut receiver = Receiver::new(two.here.clone(), &sent[..], &mut tell);
    receiver.all(&items).unwrap();
    assert_eq!(covered(&receiver.report), SIZE - told_before);
    assert!(two.is_held(), "all ranges are reported");
    drop(go_on);
    let (failed, rest) = stalled.join().unwrap();
    assert!(failed && told_before + rest <= cut);
    assert!(two.is_held());
}

#[test]
fn a_stream_that_completes_a_blob_and_then_breaks_off_makes_it_held() {
    let two = Two::new();
    let (items, mut sent) = two.sent(0, SIZE);
    let (rest, whole) = two.sent(SIZE / 2, SIZE);
    // The first stream brings a little more than the first half and falls silent.
    sent.truncate(sent.len() / 2 + (1 << 14));
    let (said, silent) = mpsc::channel();
    let (go_on, cut_off) = mpsc::channel();
    let input = Silent(io::Cursor::new(sent), said, cut_off);
    let store = two.here.clone();
    let stalled = std::thread::spawn(move || {
        let mut tell = |_: Report| {};
        Receiver::new(store, input, &mut tell).all(&items).is_err()
    });
    silent.recv().unwrap();
    let mut tell = |_: Report| {};
    Receiver::new(two.here.clone(), &whole[..], &mut tell).all(&rest).unwrap();
    drop(go_on);
    assert!(stalled.join().unwrap());
    assert!(two.is_held(), "every group arrived");
}

#[test]
fn the_last_range_is_reported_after_the_blob_is_in_place() {
    let two = Two::new();
    let (items, sent) = two.sent(0, SIZE);
    let mut all = 0;
    let mut tell = |report: Report| {
        all += covered(&report);
        assert!(all < SIZE || two.is_held(), "reported before it is held");
    };
    let mut receiver = Receiver::new(two.here.clone(), &sent[..], &mut tell);
    // The clock stands far enough ahead that every count is reported.
    receiver.reported -= Duration::from_secs(3600);
    receiver.all(&items).unwrap();
    let rest = covered(&receiver.report);
    assert_eq!(all + rest, SIZE);
}

#[test]
fn a_count_of_bytes_tells_which_ranges_arrived() {
    let ranges = [0..32768, 65536..90000];
    let mut arrived = Arrived::new(&ranges);
    let blob = BlobId::of(b"x");
    let told = |arrived: &mut Arrived<'_>| arrived.take(blob).map(|range| range.ranges.into_vec());
    arrived.add(16384);
    assert_eq!(told(&mut arrived), Some(vec![(0, 16384)]));
    assert_eq!(told(&mut arrived), None);
    arrived.add(16384);
    arrived.add(16384);
    assert_eq!(told(&mut arrived), Some(vec![(16384, 32768), (65536, 81920)]));
    arrived.add(90000 - 81920);
    assert_eq!(told(&mut arrived), Some(vec![(81920, 90000)]));
    arrived.add(5);
    assert_eq!(told(&mut arrived), None);
}
