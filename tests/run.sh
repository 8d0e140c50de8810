#!/usr/bin/env bash
# All tests: the workspace's own, then the compose file on a real engine. What they need is installed by them.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo test --release --workspace
tests/compose/run.sh
