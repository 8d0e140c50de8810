#!/usr/bin/env bash
# Runs all tests: the workspace's own, then those against a real registry, with real clients, with real engines, and
# with a peer in another language. The latter install the packages they need.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo test --release --workspace
tests/differential/run.sh
tests/frontends/run.sh
tests/engines/run.sh
tests/foreign/run.sh
tests/compose/run.sh
