"""BLAKE3 (its paper, section 2) with its tree in reach, and the bao encoding in groups of 16 KiB."""

import struct

IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
ORDER = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
COLUMNS = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15))
DIAGONALS = ((0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))
START, END, PARENT, ROOT = 1, 2, 4, 8
CHUNK, GROUP = 1024, 16 * 1024
MASK = 0xFFFFFFFF


def _compress(cv, block, counter, length, flags):
    v = [*cv, *IV[:4], counter & MASK, counter >> 32, length, flags]
    words = struct.unpack("<16I", block)
    for _ in range(7):
        for n, (a, b, c, d) in enumerate(COLUMNS + DIAGONALS):
            for word, left, right in ((words[2 * n], 16, 12), (words[2 * n + 1], 8, 7)):
                v[a] = v[a] + v[b] + word & MASK
                x = v[d] ^ v[a]
                v[d] = (x >> left | x << 32 - left) & MASK
                v[c] = v[c] + v[d] & MASK
                x = v[b] ^ v[c]
                v[b] = (x >> right | x << 32 - right) & MASK
        words = [words[i] for i in ORDER]
    return [v[i] ^ v[i + 8] for i in range(8)]


def _chunk(data, counter, root):
    cv = IV
    blocks = max(1, (len(data) + 63) // 64)
    for n in range(blocks):
        block = data[64 * n:64 * n + 64]
        last = n == blocks - 1
        flags = (START if n == 0 else 0) | (END if last else 0) | (ROOT if last and root else 0)
        cv = _compress(cv, block.ljust(64, b"\0"), counter, len(block), flags)
    return struct.pack("<8I", *cv)


def _parent(left, right, root):
    return struct.pack("<8I", *_compress(IV, left + right, 0, 64, PARENT | (ROOT if root else 0)))


def _left(length, unit):
    """The length of the left subtree: the largest power of two of units that leaves something."""
    units = (length + unit - 1) // unit
    return (1 << (units - 1).bit_length() - 1) * unit


def subtree(data, counter=0, root=True):
    """The chaining value of the subtree over `data`, whose first chunk has the number `counter`."""
    if len(data) <= CHUNK:
        return _chunk(data, counter, root)
    cut = _left(len(data), CHUNK)
    right = subtree(data[cut:], counter + cut // CHUNK, False)
    return _parent(subtree(data[:cut], counter, False), right, root)


def digest(data):
    """The BLAKE3 of `data`, 32 bytes."""
    return subtree(data)


def encode_ranges(data, ranges):
    """The bao encoding of the `[start, end]` ranges of `data`: a parent before its children, and of
    the groups those that a range touches."""

    def wanted(start, end):
        return any(first < end and start < last for first, last in ranges)

    def walk(start, end, root):
        length = end - start
        if not wanted(start, end):
            return subtree(data[start:end], start // CHUNK, root), b""
        if length <= GROUP:
            return subtree(data[start:end], start // CHUNK, root), data[start:end]
        middle = start + _left(length, GROUP)
        left, left_bytes = walk(start, middle, False)
        right, right_bytes = walk(middle, end, False)
        return _parent(left, right, root), left + right + left_bytes + right_bytes

    return walk(0, len(data), True)[1]


def decode(read, size, expected):
    """Reads the bao encoding of a whole blob of `size` bytes by `read(n)`, and checks each part
    against `expected` before it uses it."""

    def walk(length, counter, want, root):
        if length <= GROUP:
            data = read(length)
            if subtree(data, counter, root) != want:
                raise ValueError("a group of the blob does not have its hash")
            return data
        pair = read(64)
        if _parent(pair[:32], pair[32:], root) != want:
            raise ValueError("a parent of the blob does not have its hash")
        cut = _left(length, GROUP)
        left = walk(cut, counter, pair[:32], False)
        return left + walk(length - cut, counter + cut // CHUNK, pair[32:], False)

    return walk(size, 0, expected, True)
