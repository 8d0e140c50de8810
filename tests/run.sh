#!/usr/bin/env bash
# Runs all tests: the workspace's own, then those against a real registry, with real clients, with real engines, and
# with a peer in another language. The latter install the packages they need.
set -euo pipefail
cd "$(dirname "$0")/.."
# The hostile half hour, for two minutes, takes the whole machine: it runs by itself.
cargo test --release --workspace -- --skip hostile::half_hour
tests/hostile/run.sh 120
tests/differential/run.sh
tests/frontends/run.sh
tests/engines/run.sh
tests/foreign/run.sh
tests/compose/run.sh
