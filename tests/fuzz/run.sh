#!/usr/bin/env bash
# Fuzzes each target for a while with libFuzzer, on the stable toolchain.
#
#   tests/fuzz/run.sh [SECONDS] [TARGET…]      60 seconds of every target unless told otherwise
#
# New inputs are kept in target/fuzz/corpus, so a later run continues where this one stopped. A finding ends
# the run and is left in target/fuzz/findings: fix it, and add the input to tests/fuzz/corpus/TARGET, which
# `cargo test -p perennial-tests fuzz` replays. Needs a C++ compiler.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-60}
shift || true
targets=("$@")
if [ ${#targets[@]} = 0 ]; then targets=(entry message control oci archive range); fi
if ! command -v g++ >/dev/null && ! command -v clang++ >/dev/null; then
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends g++
fi

out=$PWD/target/fuzz
host=$(rustc -vV | sed -n 's/^host: //p')
# The flags of cargo-fuzz without the sanitizers, which need a nightly compiler: counters and comparisons guide
# the search; memory errors cannot occur without `unsafe`, which the workspace forbids. `--target` keeps the
# flags away from build scripts.
flags="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
  -Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-simplifycfg-branch-fold-threshold=0 --cfg fuzzing"
# The workspace's lock file plus libFuzzer.
cp Cargo.lock tests/fuzz/Cargo.lock
RUSTFLAGS=$flags cargo build --release --quiet --manifest-path tests/fuzz/Cargo.toml \
  --target-dir "$out" --target "$host" "${targets[@]/#/--bin=}"

for target in "${targets[@]}"; do
  mkdir -p "$out/corpus/$target" "$out/findings"
  echo "== $target, ${seconds}s"
  if ! "$out/$host/release/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=65536 \
    -print_final_stats=1 -artifact_prefix="$out/findings/$target-" \
    "$out/corpus/$target" "tests/fuzz/corpus/$target" >"$out/$target.log" 2>&1; then
    tail -n 40 "$out/$target.log"
    echo "fuzz: $target found something, see $out/findings"
    exit 1
  fi
  grep -E 'cov:|stat::(number_of_executed_units|average_exec_per_sec|peak_rss_mb)' "$out/$target.log" | tail -n 4
done
