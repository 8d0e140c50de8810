#!/usr/bin/env bash
# The node's registry and Debian's docker-registry, asked the same; prints the table of differences.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/faces/tools.sh
need_debian docker-registry:docker-registry
cargo test --release --package perennial-tests --test differential
