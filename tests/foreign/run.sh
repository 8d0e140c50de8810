#!/usr/bin/env bash
# A peer written in Python from crates/protocol/PROTOCOL.md and crates/manifest/FORMAT.md, both ways: it copies a release
# from a node and checks every byte; the node goes; `get` then has the release from the Python peer alone, and refuses
# the one whose bytes are wrong.
#
#   tests/foreign/run.sh            PERENNIAL_BIN_DIR=DIR takes the two programs from there
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/frontends/tools.sh
need_debian python3:python3
need_pypi cryptography==45.0.5
if [ -z "${PERENNIAL_BIN_DIR:-}" ]; then
  cargo build --release --quiet --workspace --bins
  PERENNIAL_BIN_DIR=${CARGO_TARGET_DIR:-target}/release
fi
bin=$(realpath "$PERENNIAL_BIN_DIR")

work=$(mktemp -d)
export HOME=$work/home PYTHONDONTWRITEBYTECODE=1
unset PERENNIAL_DATA PERENNIAL_PEERS
pids=()
cleanup() {
  status=$?
  if [ "$status" != 0 ]; then for log in "$work"/*.log; do echo "--- $(basename "$log")"; tail -n 15 "$log"; done; fi
  for pid in "${pids[@]}"; do kill -9 "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$work"
  exit "$status"
}
trap cleanup EXIT

fail() { echo "foreign test: FAILED, $*"; exit 1; }
seen() { echo "foreign test: $*"; }
perennial() { "$bin/perennial" --quiet "$@"; }
listening() { # NAME COMMAND…: starts a program, waits for its `listening` line, sets `address` to HOST:PORT
  "${@:2}" >"$work/$1.out" 2>"$work/$1.log" &
  pids+=($!)
  until_true 60 "$1" grep -q '^listening ' "$work/$1.out"
  address=$(sed -nE '/^listening /{s#^listening (/ip4/)?##; s#/tcp/#:#; s#/.*##; p; q}' "$work/$1.out")
}
peer() { "$tools/python" tests/foreign/peer.py "$@"; }

mkdir -p "$HOME" "$work/in"
head -c 300000 /dev/urandom > "$work/in/big"     # more than one group, more than one window of yamux
echo 'the guide' > "$work/in/README"
: > "$work/in/empty"

listening node "$bin/perennial-node" --data "$work/node" --no-mdns --http off --listen /ip4/127.0.0.1/tcp/0
perennial --data "$work/node" add "$work/in" --name tool --version 1 >/dev/null
publisher=$(perennial --data "$work/node" key --did)
peer copy "$address" tool@1 "$work/copy" >"$work/copied" || fail "the Python peer could not copy the release"
seen "a Python peer has found, fetched and verified $(cat "$work/copied")"
{ kill -9 "${pids[0]}" && wait "${pids[0]}"; } 2>/dev/null || true

listening honest "$tools/python" tests/foreign/peer.py serve "$work/copy"
timeout 120 "$bin/perennial" --data "$work/two" --peer "$address" --quiet \
  get tool@1 --publisher "$publisher" -o "$work/out" >/dev/null || fail "get from a Python peer: exit $?"
diff -r "$work/in" "$work/out" || fail "the files differ"
seen "get had the release from the Python peer alone"

listening liar "$tools/python" tests/foreign/peer.py serve "$work/copy" --lie
code=0
timeout 120 "$bin/perennial" --data "$work/three" --peer "$address" --quiet \
  get tool@1 --publisher "$publisher" -o "$work/wrong" >"$work/wrong.log" 2>&1 || code=$?
[ "$code" = 3 ] || fail "get from a peer with wrong bytes: exit $code, expected 3"
[ ! -e "$work/wrong/big" ] || fail "wrong bytes were written"
seen "wrong bytes of a Python peer were refused: $(grep -m1 error "$work/wrong.log")"
