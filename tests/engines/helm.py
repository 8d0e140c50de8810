"""The words of `helm` that the README uses, on Helm's own library: Debian has no program of it."""

import json
import pathlib
import sys

import helm_python
from helm_python import registry

REPOSITORIES = pathlib.Path.home() / "helm-repositories.json"


def option(words, name):
    return words[words.index(name) + 1] if name in words else None


def client(words):
    return registry.RegistryClient(plain_http="--plain-http" in words)


def main(words):
    known = json.loads(REPOSITORIES.read_text()) if REPOSITORIES.exists() else {}
    match words:
        case ["version"]:
            print(helm_python.helm_sdk_version())
        case ["repo", "index", directory]:
            registry.repo_index_generate(directory)
        case ["repo", "add", name, url]:
            # Helm as well reads the index when a repository is added
            registry.repo_index(url)
            REPOSITORIES.write_text(json.dumps({**known, name: url}))
        case ["push", chart, remote, *rest]:
            registry.push(chart, remote, client=client(rest), plain_http="--plain-http" in rest)
        case ["registry", "login", *rest]:
            (host,) = [word for word in rest if ":" in word]
            user, password = option(rest, "--username"), option(rest, "--password")
            client(rest).login(host, user, password, plain_http="--plain-http" in rest)
        case ["pull", chart, *rest] if chart.startswith("oci://"):
            registry.pull(chart, version=option(rest, "--version"), plain_http="--plain-http" in rest)
        case ["pull", chart, *rest]:
            name, chart = chart.split("/", 1)
            registry.pull(chart, version=option(rest, "--version"), repo_url=known[name])
        case _:
            sys.exit(f"helm.py knows no {words}")


main(sys.argv[1:])
