#!/usr/bin/env bash
# The hostile half hour: everything at once against a node that knows 100,000 releases, while honest peers and clients
# go on using it. Asserts, beside what the suite's two minutes do, that the slowest honest operation takes at most three
# times its time alone and a second. Wants a machine with nothing else to do; skopeo pulls if it is there.
#
#   tests/hostile/run.sh [SECONDS]        1800 unless told otherwise; below that it is the short form, longer
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo build --release --quiet --workspace --bins
PERENNIAL_HOSTILE_SECONDS=${1:-1800} cargo test --release -p perennial-tests --test it \
  hostile::half_hour -- --ignored --nocapture
