#!/usr/bin/env bash
# The compose file on a real engine: network up, add on one node, kill it, fetch through the others.
# Starts and stops a dockerd in a network namespace of its own. Needs root.
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ "$(id -u)" != 0 ]; then echo "compose test: skipped, container engines need root"; exit 0; fi
if ! command -v dockerd >/dev/null || ! command -v docker-compose >/dev/null || ! command -v ip >/dev/null || ! command -v iptables >/dev/null; then
  if ! { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends docker.io docker-compose iproute2 iptables; } >/dev/null 2>&1; then
    echo "compose test: skipped, docker.io and docker-compose could not be installed"
    exit 0
  fi
fi

work=$(mktemp -d)
ns=perennial-$$
engine=
cleanup() {
  status=$?
  if [ -n "$engine" ]; then
    if [ "$status" != 0 ]; then
      docker-compose logs --no-color --tail 40 2>/dev/null || true
      tail -n 20 "$work/dockerd.log" || true
    fi
    docker-compose --profile cli down --volumes --timeout 5 >/dev/null 2>&1 || true
    kill "$engine" 2>/dev/null || true
    wait "$engine" 2>/dev/null || true
  fi
  ip netns del "$ns" 2>/dev/null || true
  rm -rf "$work"
  exit "$status"
}
trap cleanup EXIT

# Waits for a condition with a deadline: SECONDS, its description, then the command.
until_true() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    if [ "$SECONDS" -ge "$deadline" ]; then echo "compose test: FAILED waiting for $what"; return 1; fi
    sleep 0.3
  done
}

ip netns add "$ns"
ip -n "$ns" link set lo up
export DOCKER_HOST=unix://$work/docker.sock PERENNIAL_EXCHANGE=$work/exchange COMPOSE_PROJECT_NAME=perennial-test-$$
# nsenter, because `ip netns exec` mounts a fresh /sys, which hides the control groups from the engine.
nsenter --net="/run/netns/$ns" dockerd --data-root "$work/data" --exec-root "$work/exec" --host "$DOCKER_HOST" --pidfile "$work/docker.pid" >"$work/dockerd.log" 2>&1 &
engine=$!
until_true 60 "the container engine" docker info

node/image.sh
size=$(docker image inspect --format '{{.Size}}' perennial:local)
if [ "$size" -gt $((60 * 1048576)) ]; then echo "compose test: FAILED, the image has $size bytes, more than 60 MiB"; exit 1; fi

mkdir -p "$work/exchange/kubekey/docs"
head -c 3000000 /dev/urandom > "$work/exchange/kubekey/kubekey-v3.1.0-linux-amd64.tar.gz"
head -c 20000 /dev/urandom > "$work/exchange/kubekey/docs/guide.md"
chmod -R a+rwX "$work" 
docker-compose up -d --no-build node-a node-b node-c 2>&1 | tail -n 3
healthy() { [ "$(docker inspect --format '{{.State.Health.Status}}' "$(docker-compose ps -q "$1")")" = healthy ]; }
for node in node-a node-b node-c; do until_true 60 "$node to be healthy" healthy "$node"; done
echo "compose test: three nodes are healthy"

added=$(docker-compose exec -T node-a /perennial --json add /exchange/kubekey --name kubekey --version v3.1.0 --license Apache-2.0)
echo "compose test: added on node-a: $added"
release=$(printf '%s' "$added" | python3 -c 'import json,sys; print(json.load(sys.stdin)["release"])')
publisher=$(printf '%s' "$added" | python3 -c 'import json,sys; print(json.load(sys.stdin)["publisher"])')
held() { docker-compose exec -T "$1" /perennial --json ls | grep "$release" | grep -q '"state":"held"'; }
for node in node-b node-c; do until_true 60 "$node to hold the release" held "$node"; done
docker-compose kill node-a
docker-compose rm -f -v node-a >/dev/null
docker volume rm "${COMPOSE_PROJECT_NAME}_node-a" >/dev/null
echo "compose test: node-a is killed and its volume deleted"
docker-compose run --rm -T cli --json get kubekey@v3.1.0 --publisher "$publisher" -o /exchange/out
diff -r "$work/exchange/kubekey" "$work/exchange/out"
echo "compose test: passed, fetched through the survivors and equal byte for byte"
