#!/usr/bin/env python3
"""A peer in another language, written from crates/protocol/PROTOCOL.md and crates/manifest/FORMAT.md.

    peer.py copy ADDRESS SELECTOR DIR    finds a release at a node, fetches it, checks it, writes it
    peer.py serve DIR [--lie]            serves what `copy` wrote, and prints its address

`--lie` flips one bit of every blob over one group that it serves.
"""

import hashlib
import json
import pathlib
import socket
import struct
import sys
import threading

import blake3
import dag_cbor
import noise
import yamux
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

REQUEST, BLOB = "/perennial/request/1", "/perennial/blob/1"
MAX_REQUEST, MAX_RESPONSE = 512 * 1024, 8 * 1024 * 1024


def connect(connection, dialing, serve):
    """Secures a TCP connection and lays yamux over it."""
    agree = noise.propose if dialing else lambda stream, name: noise.accept(stream, [name])
    connection = noise.Socket(connection)
    agree(connection, "/noise")
    connection = noise.Noise(connection, Ed25519PrivateKey.generate(), dialing)
    agree(connection, "/yamux/1.0.0")
    return yamux.Session(connection, dialing, serve)


def frame(message):
    """PROTOCOL.md, "Frames"."""
    body = dag_cbor.encode(message)
    return struct.pack("<I", len(body)) + body


def read_frame(stream, limit):
    length = struct.unpack("<I", stream.read(4))[0]
    if length > limit:
        raise ValueError(f"a message of {length} bytes is longer than {limit}")
    return dag_cbor.decode(stream.read(length))


def ask(session, message):
    """Sends a request, and returns the response's name and fields."""
    stream = session.open()
    noise.propose(stream, REQUEST)
    stream.write(frame(message))
    stream.close()
    ((name, fields),) = read_frame(stream, MAX_RESPONSE).items()
    return name, fields


def fetch(session, blob, size):
    """Fetches a whole blob, and checks every group as it arrives."""
    if size == 0:
        return b""
    stream = session.open()
    noise.propose(stream, BLOB)
    stream.write(frame({"items": [{"blob": blob, "ranges": [[0, size]]}]}))
    stream.close()
    status = stream.read(1)[0]
    if status != 0:
        raise ValueError(f"blob {blob.hex()}: status {status}")
    told = struct.unpack("<Q", stream.read(8))[0]
    if told != size:
        raise ValueError(f"blob {blob.hex()} has {told} bytes, not {size}")
    return blake3.decode(stream.read, size, blob)


def verified(envelope):
    """Checks the signature of an entry, and returns its id and payload (FORMAT.md, "Entry")."""
    entry = dag_cbor.decode(envelope)
    payload = entry["payload"]
    fields = dag_cbor.decode(payload)
    signed = b"perennial/entry/1" + struct.pack("<Q", len(payload)) + payload
    Ed25519PublicKey.from_public_bytes(fields["publisher"]).verify(entry["sigs"][0], signed)
    return blake3.digest(payload), fields


def ancestors(session, missing):
    """Fetches entries and all that precede them in their feed, by id."""
    entries = {}
    while missing:
        name, answer = ask(session, {"entries": {"ids": missing[:512]}})
        if name != "entries" or not answer["entries"]:
            raise ValueError(f"the node does not give the entry {missing[0].hex()}: {name}")
        before = set(missing)
        for entry in answer["entries"]:
            found, fields = verified(entry)
            entries[found] = entry
            before.update(fields["prevs"])
        missing = sorted(before - entries.keys())
    return entries


def copy(address, selector, folder):
    host, port = address.rsplit(":", 1)
    session = connect(socket.create_connection((host, int(port)), 10), True, lambda stream: None)
    name, found = ask(session, {"find": {"selector": selector, "publisher": None, "limit": 16}})
    if name != "found" or len(found["entries"]) != 1:
        sys.exit(f"{selector}: expected one entry, the node answers {name} {found}")
    entry = found["entries"][0]
    release, fields = verified(entry)
    entries = {release: entry, **ancestors(session, fields["prevs"])}
    name, held = ask(session, {"have": {"releases": [release], "blobs": []}})
    if (name, held["releases"]) != ("have", ["held"]):
        sys.exit(f"{selector}: expected a held release, the node answers {name} {held}")
    listed = fields["body"]["artifacts"]
    blobs = {listed["blob"]: fetch(session, listed["blob"], listed["size"])}
    artifacts = dag_cbor.decode(blobs[listed["blob"]])
    for artifact in artifacts:
        data = blobs[artifact["blake3"]] = fetch(session, artifact["blake3"], artifact["size"])
        if hashlib.sha256(data).digest() != artifact["sha256"]:
            sys.exit(f"{artifact['path']}: the list has another SHA-256")
    folder = pathlib.Path(folder)
    folder.mkdir()
    for name, pieces in (("entries", entries), ("blobs", blobs)):
        (folder / name).mkdir()
        for piece, data in pieces.items():
            (folder / name / piece.hex()).write_bytes(data)
    print(json.dumps({"release": release.hex(), "files": [a["path"] for a in artifacts]}))


class Server:
    """Serves one release and the feed before it. It has nothing else, so it reads no selector."""

    def __init__(self, folder, lie):
        self.entries, self.blobs = (
            {bytes.fromhex(file.name): file.read_bytes() for file in (folder / name).iterdir()}
            for name in ("entries", "blobs")
        )
        statements = {one: verified(entry)[1] for one, entry in self.entries.items()}
        (self.release,) = (one for one, said in statements.items() if said["kind"] == "release")
        self.lie = lie

    def __call__(self, stream):
        try:
            protocol = noise.accept(stream, [REQUEST, BLOB])
            if protocol == REQUEST:
                stream.write(frame(self.answer(read_frame(stream, MAX_REQUEST))))
            elif protocol == BLOB:
                for item in read_frame(stream, MAX_REQUEST)["items"]:
                    stream.write(self.ranges(item))
            stream.close()
        except EOFError:
            pass

    def answer(self, request):
        ((name, fields),) = request.items()
        if name == "find":
            return {"found": {"entries": [self.entries[self.release]]}}
        if name == "entries":
            return {"entries": {"entries": [self.entries[one] for one in fields["ids"]
                                            if one in self.entries]}}
        if name == "reconcile":
            # One range without an end, and the list of all ids in it.
            message = bytes([0x61, 0, 0, 2, len(self.entries)]) + b"".join(sorted(self.entries))
            return {"reconcile": {"message": message}}
        if name == "have":
            releases = ["held" if one == self.release else "none" for one in fields["releases"]]
            blobs = [len(self.blobs[one]) if one in self.blobs else None for one in fields["blobs"]]
            return {"have": {"releases": releases, "blobs": blobs}}
        if name == "resolve_sha256":
            for blob, data in self.blobs.items():
                if hashlib.sha256(data).digest() == fields["digest"]:
                    return {"sha256": {"blob": {"blob": blob, "size": len(data)}}}
            return {"sha256": {"blob": None}}
        return {"refused": {"reason": "malformed"}}

    def ranges(self, item):
        data = self.blobs.get(item["blob"])
        if data is None:
            return b"\x01"
        encoding = blake3.encode_ranges(data, item["ranges"])
        if self.lie and len(data) > blake3.GROUP:
            encoding = encoding[:-1] + bytes([encoding[-1] ^ 1])
        return b"\x00" + struct.pack("<Q", len(data)) + encoding


def serve(folder, lie):
    server = Server(folder, lie)
    listener = socket.create_server(("127.0.0.1", 0))
    print("listening 127.0.0.1:%d" % listener.getsockname()[1], flush=True)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=connect, args=(connection, False, server), daemon=True).start()


if __name__ == "__main__":
    if sys.argv[1:2] == ["copy"] and len(sys.argv) == 5:
        copy(*sys.argv[2:])
    elif sys.argv[1:2] == ["serve"] and len(sys.argv) in (3, 4):
        serve(pathlib.Path(sys.argv[2]), sys.argv[3:] == ["--lie"])
    else:
        sys.exit(__doc__)
