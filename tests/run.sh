#!/usr/bin/env bash
# All tests: the workspace's own, then those against a real registry, with real clients and with real engines.
# They install what they need.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo test --release --workspace
tests/differential/run.sh
tests/faces/run.sh
tests/engines/run.sh
tests/compose/run.sh
