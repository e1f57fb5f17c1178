"""A sink that takes mail and remembers it octet for octet, and free ports. Loopback only."""

import socket
import threading
import time


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port, seconds=20.0):
    """Waits until somebody greets on a port; False when nobody does in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            with socket.create_connection(("127.0.0.1", port), 2) as probe:
                if probe.makefile("rb").readline()[:3] in (b"220", b"421"):
                    return True
        except OSError:
            pass
        time.sleep(0.05)
    return False


def wait_until_open(port, seconds=20.0):
    """Waits until a port takes connections, whatever it says; False when it does not in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), 2).close()
            return True
        except OSError:
            time.sleep(0.05)
    return False


class Copy:
    """One transaction the sink took."""

    def __init__(self, mail, rcpts, octets):
        self.mail, self.rcpts, self.octets = mail, rcpts, octets

    def below_trace(self):
        """The octets without the Received: fields on top."""
        lines = self.octets.split(b"\r\n")
        at, inside = 0, False
        while at < len(lines):
            if lines[at][:9].lower() == b"received:":
                inside = True
            elif not (inside and lines[at][:1] in (b" ", b"\t")):
                break
            at += 1
        return b"\r\n".join(lines[at:])

    def received(self):
        """How many Received: fields stand on top."""
        trace = self.octets[: len(self.octets) - len(self.below_trace())]
        return sum(line[:9].lower() == b"received:" for line in trace.split(b"\r\n"))


def path_of(argument):
    """The text between the brackets of a MAIL or RCPT argument."""
    return argument[argument.index("<") + 1 : argument.rindex(">")]


def parameters_of(argument):
    """The parameters behind the path, as a dictionary with upper-case keywords."""
    words = argument[argument.rindex(">") + 1 :].split()
    pairs = [word.partition("=") for word in words]
    return {keyword.upper(): value for keyword, _, value in pairs}


class Sink:
    """An SMTP server that takes everything, unless `verdict` says otherwise."""

    EXTENSIONS = ["PIPELINING", "SIZE 20000000", "8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES"]

    def __init__(self, port=0):
        self.copies = []
        self._lock = threading.Condition()
        self.port = port
        self.listen()

    def listen(self):
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=512)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def close(self):
        # A thread that waits in accept() would keep the port open.
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()

    def verdict(self, copy):
        """The reply to a dot; the copy is remembered when it is 2xx."""
        return "250 2.0.0 taken"

    def answered(self, copy):
        """The reply to a copy that is remembered went out."""

    def forget(self):
        with self._lock:
            self.copies = []

    def wait(self, recipients, seconds=30.0, linger=0.5):
        """All copies, once so many recipients were served and nothing more came for `linger` seconds."""
        until = time.monotonic() + seconds
        with self._lock:
            while sum(len(copy.rcpts) for copy in self.copies) < recipients:
                left = until - time.monotonic()
                if left <= 0 or not self._lock.wait(left):
                    break
        time.sleep(linger)
        with self._lock:
            return list(self.copies)

    def _accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        connection.settimeout(60)
        try:
            with connection, connection.makefile("rwb") as stream:
                self._dialog(stream)
        except OSError:
            pass

    def _dialog(self, stream):
        def say(text):
            stream.write(text.encode() + b"\r\n")
            stream.flush()

        mail, rcpts = None, []
        say("220 sink.test ESMTP")
        for raw in stream:
            line = raw.rstrip(b"\r\n").decode("utf-8", "surrogateescape")
            verb = line[:4].upper()
            if verb == "EHLO":
                say("250-sink.test")
                for extension in self.EXTENSIONS[:-1]:
                    say("250-" + extension)
                say("250 " + self.EXTENSIONS[-1])
            elif verb == "MAIL":
                mail, rcpts = line[10:], []
                say("250 2.1.0 ok")
            elif verb == "RCPT":
                rcpts.append(line[8:])
                say("250 2.1.5 ok")
            elif verb == "DATA":
                say("354 go on")
                octets = bytearray()
                while (part := stream.readline()) != b".\r\n":
                    if not part:
                        return
                    octets += part[1:] if part[:1] == b"." else part
                copy = Copy(mail, rcpts, bytes(octets))
                reply = self.verdict(copy)
                if reply[0] == "2":
                    with self._lock:
                        self.copies.append(copy)
                        self._lock.notify_all()
                mail, rcpts = None, []
                say(reply)
                if reply[0] == "2":
                    self.answered(copy)
            elif verb == "QUIT":
                say("221 2.0.0 bye")
                return
            elif verb in ("HELO", "RSET", "NOOP"):
                mail, rcpts = None, []
                say("250 2.0.0 ok")
            else:
                say("502 5.5.1 what?")
