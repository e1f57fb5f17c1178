#!/usr/bin/env python3
"""A pass-through in the relay's place: same command line, same dialogs, strips nothing.

`tests/peers/scenarios.py --binary tests/peers/stand_in.py` shows two things: that the Postfix side of every recipe
works, and that each check on stripping does fail when nothing is stripped. Those are the failures it must report, and
the only ones.
"""

import signal
import socket
import sys
import threading
import tomllib

EXTENSIONS = ["PIPELINING", "SIZE 20000000", "8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES"]
XFORWARD = "XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE"


class Upstream:
    """One connection to the next hop, lock-step."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.stream = self.socket.makefile("rwb")
        self.read()
        self.ask(b"EHLO stand-in.test\r\n")

    def read(self):
        reply = b""
        while True:
            line = self.stream.readline()
            if not line:
                raise OSError("upstream closed")
            reply += line
            if line[3:4] != b"-":
                return reply

    def ask(self, octets):
        self.stream.write(octets)
        self.stream.flush()
        return self.read()

    def close(self):
        self.stream.close()
        self.socket.close()


class Session:
    def __init__(self, connection, lmtp, next_hop):
        self.stream = connection.makefile("rwb")
        self.lmtp, self.next_hop = lmtp, next_hop
        self.upstream, self.accepted, self.xforward = None, 0, []

    def say(self, octets):
        self.stream.write(octets)
        self.stream.flush()

    def pass_on(self, line):
        if self.upstream is None:
            try:
                self.upstream = Upstream(self.next_hop)
            except OSError:
                return b"451 4.4.1 next hop not reached\r\n"
        try:
            return self.upstream.ask(line)
        except OSError:
            self.drop()
            return b"451 4.4.2 next hop lost\r\n"

    def drop(self):
        if self.upstream is not None:
            self.upstream.close()
        self.upstream, self.accepted = None, 0

    def data(self):
        if not self.accepted:
            return b"554 5.5.1 no valid recipients\r\n"
        self.say(b"354 go on\r\n")
        body = b""
        while (line := self.stream.readline()) != b".\r\n":
            if not line:
                raise OSError("client closed")
            body += line
        reply = self.pass_on(b"DATA\r\n")
        if reply.startswith(b"354"):
            trace = b"Received: from client (client [127.0.0.1])\r\n\tby stand-in.test with pixelgate; today\r\n"
            reply = self.pass_on(trace + body + b".\r\n")
        times = self.accepted if self.lmtp else 1
        self.accepted = 0
        return reply * times

    def run(self):
        self.say(b"220 stand-in.test ESMTP\r\n")
        for line in self.stream:
            verb = line[:4].upper()
            if verb in (b"EHLO", b"LHLO"):
                lines = ["stand-in.test", *EXTENSIONS, XFORWARD]
                marks = ["-"] * (len(lines) - 1) + [" "]
                self.say("".join(f"250{mark}{text}\r\n" for mark, text in zip(marks, lines)).encode())
            elif verb == b"DATA":
                self.say(self.data())
            elif verb == b"QUIT":
                self.say(b"221 2.0.0 bye\r\n")
                return
            else:
                reply = self.pass_on(line)
                if verb == b"RCPT" and reply.startswith(b"250"):
                    self.accepted += 1
                self.say(reply)


def serve(config):
    next_hop = int(config["next_hop"][0]["address"].rpartition(":")[2])

    def accept(listener, lmtp):
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=one, args=(connection, lmtp), daemon=True).start()

    def one(connection, lmtp):
        session = Session(connection, lmtp, next_hop)
        try:
            with connection:
                session.run()
        except OSError:
            pass
        session.drop()

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    for listener in config["listener"]:
        port = int(listener["address"].rpartition(":")[2])
        bound = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=accept, args=(bound, listener["protocol"] == "lmtp"), daemon=True).start()
    signal.pause()


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        with open(sys.argv[sys.argv.index("-c") + 1], "rb") as file:
            serve(tomllib.load(file))
