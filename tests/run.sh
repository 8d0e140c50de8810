#!/usr/bin/env bash
# All tests: the workspace's own, then the faces with real clients and real engines, then the compose file on a real engine. What they need is installed by them.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo test --release --workspace
tests/faces/run.sh
tests/engines/run.sh
tests/compose/run.sh
