#!/usr/bin/env bash
# Mutation testing of the code that protects a node from strangers: each mutant is one change (a comparison flipped,
# a function that returns 0), and the tests of its own crate have to notice it.
#
#   tests/mutants.sh [GLOB…]       all of the files below, or those given
#
# Prints caught/viable per file and names what survived; fails under 95 % in all. A survivor that no test can catch
# stands in tests/mutants.txt with its reason. Takes hours for all, minutes for one file; the details are left in
# target/mutants.out.
set -euo pipefail
cd "$(dirname "$0")/.."
least=95
globs=(
  # what a peer may ask for, and what that costs
  'crates/protocol/src/limits.rs' 'crates/protocol/src/limits/*.rs'
  # who is blamed for bytes that do not come, or do not fit
  'crates/protocol/src/transfer/judge.rs'
  # places: of connections, streams, questions and fetches
  'crates/protocol/src/questions.rs' 'crates/protocol/src/keep.rs'
  'crates/**/places.rs' 'crates/**/places/*.rs'
  # which entries continue a feed
  'crates/manifest/src/feed.rs'
  # what lists claim of blobs
  'crates/store/src/catalog/sha256.rs' 'crates/store/src/catalog/holdings.rs' 'crates/store/src/store/share.rs'
  # what a collection removes
  'crates/store/src/gc.rs'
  # how much a disk may hold, and how much a client may have made
  'crates/**/quota.rs' 'crates/**/quota/*.rs'
)
if [ $# -gt 0 ]; then globs=("$@"); fi

command -v cargo-mutants >/dev/null || cargo install --quiet --locked cargo-mutants
command -v python3 >/dev/null || { echo "mutants: needs python3"; exit 1; }
files=()
for glob in "${globs[@]}"; do files+=(--file "$glob"); done
mkdir -p target
# Survivors are judged below. Some mutants never end: those were noticed, too.
cargo mutants --output target --no-shuffle --colors never --jobs "${PERENNIAL_MUTANTS_JOBS:-1}" \
  --minimum-test-timeout 60 --exclude '**/tests.rs' --exclude '**/tests/*.rs' "${files[@]}" || [ $? -le 3 ]

python3 - "$least" <<'PYTHON'
import collections, json, re, sys

least = int(sys.argv[1])
reasons = {}
for line in open("tests/mutants.txt"):
    if line.strip() and not line.startswith("#"):
        mutant, _, reason = line.strip().partition(" -- ")
        reasons[mutant] = reason
rows, survivors = collections.defaultdict(lambda: [0, 0]), []
for outcome in json.load(open("target/mutants.out/outcomes.json"))["outcomes"]:
    if outcome["scenario"] == "Baseline" or outcome["summary"] == "Unviable":
        continue
    mutant = outcome["scenario"]["Mutant"]
    caught = outcome["summary"] in ("CaughtMutant", "Timeout")
    rows[mutant["file"]][0] += caught
    rows[mutant["file"]][1] += 1
    if not caught:
        survivors.append(re.sub(r":\d+:\d+:", ":", mutant["name"]))
if not rows:
    sys.exit("mutants: no file matches, or nothing of it can be mutated")
for file, (caught, viable) in sorted(rows.items()):
    print(f"{caught:4}/{viable:<4} {100 * caught // viable:3} %  {file}")
for survivor in sorted(survivors):
    print(f"survived: {survivor}: {reasons.get(survivor, 'NO REASON KNOWN')}")
caught, viable = (sum(row[at] for row in rows.values()) for at in (0, 1))
print(f"mutants: {caught} of {viable} caught, {100 * caught / viable:.1f} %")
sys.exit(0 if 100 * caught >= least * viable else 1)
PYTHON
