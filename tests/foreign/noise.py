"""A libp2p connection as far as its encryption: multistream-select 1.0 and noise XX (libp2p specs)."""

import hashlib
import hmac
import socket
import struct

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

MULTISTREAM = "/multistream/1.0.0"
NOISE = b"Noise_XX_25519_ChaChaPoly_SHA256"
SIGNED = b"noise-libp2p-static-key:"


def raw(key):
    """The 32 bytes of a public key."""
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def send_name(stream, name):
    """Sends a protocol's name as a line with its length before it."""
    line = name.encode() + b"\n"
    length = bytearray()
    n = len(line)
    while n > 127:
        length.append(n & 127 | 128)
        n >>= 7
    stream.write(bytes([*length, n]) + line)


def read_name(stream):
    """Reads a protocol's name."""
    n = shift = 0
    while True:
        byte = stream.read(1)[0]
        n |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            break
        if shift > 14:
            raise ValueError("the name of a protocol is too long")
    return stream.read(n)[:-1].decode()


def propose(stream, protocol):
    """Agrees on `protocol` as the one who begins."""
    send_name(stream, MULTISTREAM)
    send_name(stream, protocol)
    for expected in (MULTISTREAM, protocol):
        answer = read_name(stream)
        if answer != expected:
            raise ValueError(f"{protocol}: the other side answers {answer!r}")


def accept(stream, protocols):
    """Agrees on the first of `protocols` that the other side proposes; None if it gives up."""
    if read_name(stream) != MULTISTREAM:
        raise ValueError("the other side does not speak multistream")
    send_name(stream, MULTISTREAM)
    while True:
        try:
            proposed = read_name(stream)
        except EOFError:
            return None
        known = proposed in protocols
        send_name(stream, proposed if known else "na")
        if known:
            return proposed


class Socket:
    """A TCP socket that reads exactly as much as is asked for."""

    def __init__(self, connection):
        self.socket = connection
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def read(self, n):
        data = bytearray()
        while len(data) < n:
            piece = self.socket.recv(n - len(data))
            if not piece:
                raise EOFError("the connection ended")
            data += piece
        return bytes(data)

    def write(self, data):
        self.socket.sendall(data)


class _State:
    """The symmetric state of the Noise framework, section 5.2."""

    def __init__(self):
        self.h = self.ck = NOISE
        self.cipher = None
        self.mix(b"")

    def mix(self, data):
        self.h = hashlib.sha256(self.h + data).digest()

    def derive(self, secret):
        mac = lambda key, data: hmac.new(key, data, hashlib.sha256).digest()
        root = mac(self.ck, secret)
        first = mac(root, b"\1")
        return first, mac(root, first + b"\2")

    def mix_key(self, own, other):
        self.ck, key = self.derive(own.exchange(X25519PublicKey.from_public_bytes(other)))
        self.cipher = _Cipher(key)

    def seal(self, data):
        out = self.cipher.seal(data, self.h) if self.cipher else data
        self.mix(out)
        return out

    def open(self, data):
        out = self.cipher.open(data, self.h) if self.cipher else data
        self.mix(data)
        return out


class _Cipher:
    def __init__(self, key):
        self.aead, self.n = ChaCha20Poly1305(key), 0

    def _nonce(self):
        self.n += 1
        return struct.pack("<IQ", 0, self.n - 1)

    def seal(self, data, extra=b""):
        return self.aead.encrypt(self._nonce(), data, extra)

    def open(self, data, extra=b""):
        return self.aead.decrypt(self._nonce(), data, extra)


class Noise:
    """An encrypted connection. `peer` is the Ed25519 key that the other side has proved, 32 bytes."""

    def __init__(self, connection, identity, dialing):
        self.socket, self.buffer = connection, b""
        state, static, ephemeral = _State(), X25519PrivateKey.generate(), X25519PrivateKey.generate()
        own = raw(static.public_key())
        proof = identity.sign(SIGNED + own)
        public = b"\x08\x01\x12\x20" + raw(identity.public_key())
        payload = b"\x0a" + bytes([len(public)]) + public + b"\x12" + bytes([len(proof)]) + proof
        e = raw(ephemeral.public_key())
        if dialing:
            state.mix(e)
            self._send(e + state.seal(b""))
            answer = self._receive()
            re, sealed, rest = answer[:32], answer[32:80], answer[80:]
            state.mix(re)
            state.mix_key(ephemeral, re)
            rs = state.open(sealed)
            state.mix_key(ephemeral, rs)
            self.peer = self._proved(state.open(rest), rs)
            message = state.seal(own)
            state.mix_key(static, re)
            self._send(message + state.seal(payload))
        else:
            first = self._receive()
            re = first[:32]
            state.mix(re)
            state.open(first[32:])
            state.mix(e)
            state.mix_key(ephemeral, re)
            message = e + state.seal(own)
            state.mix_key(static, re)
            self._send(message + state.seal(payload))
            last = self._receive()
            rs = state.open(last[:48])
            state.mix_key(ephemeral, rs)
            self.peer = self._proved(state.open(last[48:]), rs)
        ends = [_Cipher(key) for key in state.derive(b"")]
        self.outward, self.inward = ends if dialing else ends[::-1]

    @staticmethod
    def _proved(payload, static):
        fields = {}
        while payload:
            tag, length = payload[0] >> 3, payload[1]
            fields[tag], payload = payload[2:2 + length], payload[2 + length:]
        key = fields[1][4:]
        Ed25519PublicKey.from_public_bytes(key).verify(fields[2], SIGNED + static)
        return key

    def _send(self, message):
        self.socket.write(struct.pack(">H", len(message)) + message)

    def _receive(self):
        return self.socket.read(struct.unpack(">H", self.socket.read(2))[0])

    def read(self, n):
        while len(self.buffer) < n:
            self.buffer += self.inward.open(self._receive())
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def write(self, data):
        for at in range(0, len(data), 65000):
            self._send(self.outward.seal(data[at:at + 65000]))
