#!/usr/bin/env bash
# Builds the container image `perennial:local` (or the tag given) around static binaries.
#
#   node/image.sh [--binaries-only] [TAG]
#
# Static by asking glibc's own archive at the last link only: the dependencies are those of an
# ordinary release build, so after `cargo build --release` this costs two links.
set -euo pipefail
cd "$(dirname "$0")/.."
only=
if [ "${1:-}" = --binaries-only ]; then only=1; shift; fi
tag=${1:-perennial:local}
target=${CARGO_TARGET_DIR:-target}

static_bin() { # package, binary: the dynamic one is put back so that both builds stay warm
  cargo rustc --release --package "$1" --bin "$2" --config "build.target-dir=\"$target\"" -- -C target-feature=+crt-static -C strip=symbols
  install -D -m 0755 "$target/release/$2" "target/image/bin/$2"
  if command -v ldd >/dev/null && ldd "target/image/bin/$2" >/dev/null 2>&1 && ! ldd "target/image/bin/$2" | grep -q 'statically linked'; then
    echo "node/image.sh: $2 is not static" >&2
    exit 1
  fi
}

rm -rf target/image
mkdir -p target/image/data
static_bin perennial perennial
static_bin perennial-node perennial-node
ls -l target/image/bin
[ -n "$only" ] && exit 0
DOCKER_BUILDKIT=0 docker build --quiet --tag "$tag" --file node/Dockerfile .
docker image inspect --format '{{.Size}}' "$tag" | awk '{ printf "image: %.1f MiB\n", $1 / 1048576 }'
