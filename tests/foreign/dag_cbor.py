"""DAG-CBOR as crates/manifest/FORMAT.md, "Encoding", specifies it: what a peer needs of RFC 8949."""

import struct


def _head(major, n):
    if n < 24:
        return bytes([major << 5 | n])
    for extra, form in ((24, ">B"), (25, ">H"), (26, ">I"), (27, ">Q")):
        if n < 1 << 8 * struct.calcsize(form):
            return bytes([major << 5 | extra]) + struct.pack(form, n)
    raise ValueError(f"{n} does not fit 64 bits")


def encode(value):
    """Encodes None, booleans, integers that are not negative, bytes, text, lists and maps of text."""
    if value is None or isinstance(value, bool):
        return {False: b"\xf4", True: b"\xf5", None: b"\xf6"}[value]
    if isinstance(value, int):
        return _head(0, value)
    if isinstance(value, bytes):
        return _head(2, len(value)) + value
    if isinstance(value, str):
        return _head(3, len(value.encode())) + value.encode()
    if isinstance(value, list):
        return _head(4, len(value)) + b"".join(map(encode, value))
    keys = sorted(value, key=lambda key: (len(key.encode()), key.encode()))
    return _head(5, len(keys)) + b"".join(encode(key) + encode(value[key]) for key in keys)


def decode(data):
    """Decodes one value, and refuses bytes that it would encode differently."""
    value, end = _item(data, 0)
    if end != len(data) or encode(value) != data:
        raise ValueError("not canonical DAG-CBOR")
    return value


def _item(data, at):
    major, n = data[at] >> 5, data[at] & 31
    at += 1
    if major == 7:
        return {20: False, 21: True, 22: None}[n], at
    if n >= 24:
        size = 1 << (n - 24)
        n = int.from_bytes(data[at:at + size], "big")
        at += size
    if major == 0:
        return n, at
    if major in (2, 3):
        piece = data[at:at + n]
        if len(piece) != n:
            raise ValueError("a string is cut off")
        return (bytes(piece) if major == 2 else piece.decode()), at + n
    if major == 4:
        items = []
        for _ in range(n):
            item, at = _item(data, at)
            items.append(item)
        return items, at
    if major == 5:
        pairs = {}
        for _ in range(n):
            key, at = _item(data, at)
            pairs[key], at = _item(data, at)
        return pairs, at
    raise ValueError(f"major type {major} has no place in a message")
