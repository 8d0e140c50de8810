#!/usr/bin/env bash
# A private machine in the namespaces of the sourcing script: programs started and ended by name, configuration and state of
# the engines, registry names that resolve to the test's upstream, and the README's blocks. Sets `work`.
say() { echo "engines test: $*"; }
fail() { say "$*" >&2; exit 1; }
work=$(mktemp -d)
declare -A running=()
start() { # NAME COMMAND…: runs it in the background, with its output in files
  local name=$1
  shift
  rm -f "$work/$name.log" # the output of an earlier program of this name
  "$@" >"$work/$name.log" 2>"$work/$name.err" &
  running[$name]=$!
}
end() { # NAME
  kill "${running[$1]}" 2>/dev/null || true
  wait "${running[$1]}" 2>/dev/null || true
  unset "running[$1]"
}
cleanup() {
  local status=$?
  [ "$status" = 0 ] || say "FAILED with status $status"
  for name in "${!running[@]}"; do
    end "$name"
    if [ "$status" != 0 ]; then echo "--- the last of $name" && tail -n 6 "$work/$name.err" | cut -c1-300 || true; fi
  done
  cd /
  # The namespace takes the mounts of the engines with it, but not their storage.
  umount -R /var/lib/containers 2>/dev/null || true
  rm -rf --one-file-system "$work" 2>/dev/null || true
  exit "$status"
}
trap cleanup EXIT
# NAME: prints the README block between <!-- NAME --> and <!-- end -->.
block() {
  local text
  text=$(sed -n "/^<!-- $1 -->\$/,/^<!-- end -->\$/p" README.md | sed -n '/^```/,/^```/p' | grep -v '^```')
  [ -n "$text" ] || fail "the README has no block $1"
  printf '%s\n' "$text"
}
readme() { # NAME: runs a block as a user would
  local text
  text=$(block "$1")
  if ! (cd "$work/here" && bash -euo pipefail -c "$text") >"$work/block.log" 2>&1; then
    cat "$work/block.log"
    fail "the README's block $1"
  fi
}
config_of() { jq -r .config.digest "$1/manifest.json"; } # DIRECTORY: the config digest of an image that skopeo wrote there
sha() { echo "sha256:$(sha256sum | cut -d' ' -f1)"; }
equal() { [ "$2" = "$3" ] || fail "$1: got $2, wanted $3"; }
contains() { case $2 in *"$3"*) ;; *) fail "$1: $2" ;; esac; }

ip link set lo up
export HELM_CACHE_HOME=$work/helm HELM_CONFIG_HOME=$work/helm HELM_DATA_HOME=$work/helm
unset PERENNIAL_DATA PERENNIAL_PEERS DOCKER_CONFIG REGISTRY_AUTH_FILE
export HOME=$work/home STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot DOCKER_BUILDKIT=0 XDG_RUNTIME_DIR=$work/run-user
mkdir -p "$work"/{here,home,run-user,upstream,context}
export DOCKER_HOST=unix://$work/docker.sock CONTAINERD_ADDRESS=$work/containerd.sock
export CONTAINERS_CONF=$work/containers.conf
for dir in /etc/containers /etc/containerd /etc/docker /var/lib/containers /var/lib/cni /run/containers /run/libpod; do
  mkdir -p "$dir" "$work/mnt$dir"
  [ "$dir" != /etc/containers ] || cp -r /etc/containers/. "$work/mnt$dir"
  mount --bind "$work/mnt$dir" "$dir"
done
printf '127.0.0.1 localhost\n127.0.0.2 quay.io registry-1.docker.io auth.docker.io index.docker.io charts.example\n127.0.0.1 archive.example\n' >"$work/hosts"
mount --bind "$work/hosts" /etc/hosts
printf '[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n' >"$CONTAINERS_CONF"
