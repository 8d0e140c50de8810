//! Replays the committed corpus of the fuzz targets, so that inputs that once broke a decoder stay
//! fixed.
//!
//! `seeds` builds small valid inputs from real encodings; inputs found by fuzzing are added by
//! hand. After a change of a format, regenerate the seeds with
//! `PERENNIAL_BLESS=1 cargo test --release -p perennial-tests fuzz`.

mod seeds;

use std::fs;
use std::path::{Path, PathBuf};

use perennial_tests::fuzzing::TARGETS;

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

#[test]
fn every_committed_input_is_survived() {
    for (name, target) in TARGETS {
        let mut inputs = 0;
        for entry in fs::read_dir(corpus(name)).unwrap() {
            let path = entry.unwrap().path();
            println!("{}", path.display());
            target(&fs::read(&path).unwrap());
            inputs += 1;
        }
        assert!(inputs > 0, "{name} has no corpus");
    }
}

#[test]
fn the_corpus_has_every_seed() {
    for (target, name, bytes) in seeds::all() {
        let path = corpus(target).join(name);
        if std::env::var_os("PERENNIAL_BLESS").is_some() {
            fs::create_dir_all(corpus(target)).unwrap();
            fs::write(&path, &bytes).unwrap();
        }
        let committed = fs::read(&path).unwrap_or_default();
        assert!(committed == bytes, "{} is out of date; see this file's head", path.display());
    }
}

/// A small mutation search, so that ordinary tests cover the neighbourhood of each seed.
#[test]
fn cut_and_flipped_seeds_are_survived() {
    for (name, target) in TARGETS {
        for (_, _, bytes) in seeds::all().into_iter().filter(|(target, ..)| *target == name) {
            for cut in (0..bytes.len()).step_by(bytes.len() / 64 + 1) {
                target(&bytes[..cut]);
                let mut flipped = bytes.clone();
                flipped[cut] ^= 0x11;
                target(&flipped);
            }
        }
    }
}
