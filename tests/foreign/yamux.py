"""Streams over one connection: yamux, version 0 (github.com/hashicorp/yamux, spec.md)."""

import struct
import threading

DATA, WINDOW, PING, GO_AWAY = range(4)
SYN, ACK, FIN, RST = 1, 2, 4, 8
CREDIT = 256 * 1024


class Stream:
    """One stream: reads exactly as much as is asked for, writes as much as the other side permits."""

    def __init__(self, session, number):
        self.session, self.number = session, number
        self.buffer, self.ended, self.credit = bytearray(), False, CREDIT

    def read(self, n):
        with self.session.changed:
            while len(self.buffer) < n:
                if self.ended:
                    raise EOFError("the stream ended")
                self.session.changed.wait()
            data = bytes(self.buffer[:n])
            del self.buffer[:n]
        self.session.send(WINDOW, 0, self.number, len(data))
        return data

    def write(self, data):
        while data:
            with self.session.changed:
                while not self.credit and not self.session.closed:
                    self.session.changed.wait()
                if self.session.closed:
                    raise EOFError("the connection ended")
                piece = data[:min(self.credit, 16384)]
                self.credit -= len(piece)
            data = data[len(piece):]
            self.session.send(DATA, 0, self.number, len(piece), piece)

    def close(self):
        """Says that nothing more will be written."""
        self.session.send(DATA, FIN, self.number, 0)


class Session:
    """A connection with streams. `serve(stream)` runs in a thread for each stream of the other side."""

    def __init__(self, connection, dialing, serve):
        self.connection, self.serve = connection, serve
        self.streams, self.next = {}, 1 if dialing else 2
        self.closed, self.sending, self.changed = False, threading.Lock(), threading.Condition()
        threading.Thread(target=self._run, daemon=True).start()

    def open(self):
        """Opens a stream."""
        with self.changed:
            stream = self.streams[self.next] = Stream(self, self.next)
            self.next += 2
        self.send(WINDOW, SYN, stream.number, 0)
        return stream

    def send(self, kind, flags, number, length, data=b""):
        with self.sending:
            self.connection.write(struct.pack(">BBHII", 0, kind, flags, number, length) + data)

    def _run(self):
        try:
            while True:
                self._frame()
        except (EOFError, OSError):
            pass
        with self.changed:
            self.closed = True
            for stream in self.streams.values():
                stream.ended = True
            self.changed.notify_all()

    def _frame(self):
        _, kind, flags, number, length = struct.unpack(">BBHII", self.connection.read(12))
        if kind == PING and flags & SYN:
            return self.send(PING, ACK, 0, length)
        if kind in (PING, GO_AWAY):
            return None
        data = self.connection.read(length) if kind == DATA else b""
        if flags & SYN:
            with self.changed:
                stream = self.streams[number] = Stream(self, number)
            self.send(WINDOW, ACK, number, 0)
            threading.Thread(target=self.serve, args=(stream,), daemon=True).start()
        with self.changed:
            stream = self.streams.get(number)
            if stream:
                stream.buffer += data
                stream.credit += length if kind == WINDOW else 0
                stream.ended |= bool(flags & (FIN | RST))
                self.changed.notify_all()
        return None
