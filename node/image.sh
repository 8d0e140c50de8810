#!/usr/bin/env bash
# Builds the container image `perennial:local` (or the tag given) around a static binary.
#
#   node/image.sh [--binaries-only] [TAG]
#
# Only the last link is static, against glibc's own archive. The dependencies are those of an
# ordinary release build, so after `cargo build --release` this costs one link.
set -euo pipefail
cd "$(dirname "$0")/.."
only=
if [ "${1:-}" = --binaries-only ]; then only=1; shift; fi
tag=${1:-perennial:local}
target=${CARGO_TARGET_DIR:-target}

rm -rf target/image
mkdir -p target/image/data
binary=target/image/bin/perennial
# The next ordinary build restores the dynamic binary, so both stay warm.
cargo rustc --release --package perennial --bin perennial --config "build.target-dir=\"$target\"" -- -C target-feature=+crt-static -C strip=symbols
install -D -m 0755 "$target/release/perennial" "$binary"
if command -v ldd >/dev/null && ldd "$binary" >/dev/null 2>&1 && ! ldd "$binary" | grep -q 'statically linked'; then
  echo "node/image.sh: perennial is not static" >&2
  exit 1
fi
# `perennial` contains the node and runs as the daemon under that name, which halves the image size.
ln -s perennial target/image/bin/perennial-node
ls -l target/image/bin
[ -n "$only" ] && exit 0
DOCKER_BUILDKIT=0 docker build --quiet --tag "$tag" --file node/Dockerfile .
docker image inspect --format '{{.Size}}' "$tag" | awk '{ printf "image: %.1f MiB\n", $1 / 1048576 }'
