#!/usr/bin/env bash
# Sends the same requests to the node's registry and to Debian's docker-registry; prints the table of differences.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/frontends/tools.sh
need_debian docker-registry:docker-registry
# `--workspace`: the features, and so the dependencies, that the other tests were built with.
cargo test --release --workspace --test differential
