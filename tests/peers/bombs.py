"""Messages and clients that are built to exhaust a relay, small for a test and large for a measurement."""

import re
import socket

CONFIG = """\
[[listener]]
address = "127.0.0.1:{smtp}"
protocol = "smtp"
trusted_networks = ["127.0.0.0/8"]
[[next_hop]]
address = "127.0.0.1:{next_hop}"
[consent]
register = "sqlite:{base}/consent.db"
[keys]
directory = "{base}/keys"
[spool]
directory = "{base}/spool"
[ledger]
directory = "{base}/ledger"
[log]
level = "warn"
{more}
"""

# As deploy/pixelgate.service has it.
ENVIRONMENT = {"MALLOC_ARENA_MAX": "2"}

# Less room than by default, so that a few small messages fill it.
SMALL = """\
[limits]
session_memory_octets = 65536
reading_memory_octets = 8388608
"""

# What a reply says that tells its reader which bound was passed: the key of the limit, or the reason why a message cannot
# be inspected.
NAMES = re.compile(
    r"(line|header|message|memory)_octets = \d|recipients = \d|Received fields|"
    r"\b(depth|size|token_limit|readings_differ|cte|charset|encoded_message)\b"
)


def is_clear(reply):
    return reply[0] in "45" and NAMES.search(reply) is not None


def short(reply):
    """The code of a reply, and what it names."""
    named = NAMES.search(reply)
    return reply[:3] + (f" {named[0]}" if named else "")


class Connection:
    """A client that reads each reply before it goes on."""

    def __init__(self, port, source="127.0.0.1", timeout=120):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout, (source, 0))
        self.stream = self.socket.makefile("rb")

    def read(self):
        reply = self.stream.readline()
        while reply[3:4] == b"-":
            reply = self.stream.readline()
        return reply.decode(errors="replace").strip() or "000 closed"

    def ask(self, octets):
        self.socket.sendall(octets)
        return self.read()

    def begin(self, rcpts, sender="news@shop.example"):
        """Greeting to 354; the first reply that is not a good one, or the last."""
        commands = [b"", b"EHLO client.test\r\n", b"MAIL FROM:<%s> BODY=8BITMIME\r\n" % sender.encode()]
        commands += [b"RCPT TO:<%s>\r\n" % rcpt.encode() for rcpt in rcpts]
        for command in [*commands, b"DATA\r\n"]:
            reply = self.ask(command)
            if reply[0] not in "23":
                break
        return reply

    def close(self):
        self.stream.close()
        self.socket.close()


def send(port, rcpts, message, source="127.0.0.1"):
    """One message on a connection of its own; the reply that decided."""
    client = Connection(port, source)
    try:
        reply = client.begin(rcpts)
        if reply[0] == "3":
            reply = client.ask(message.replace(b"\r\n.", b"\r\n..") + b".\r\n")
        return reply
    finally:
        client.close()


class SlowClients:
    """Many clients, each in the midst of a large message."""

    def __init__(self, port, count, octets, sources=("127.0.0.1",)):
        line = b"x" * 998 + b"\r\n"
        self.head = b"From: news@shop.example\r\nSubject: slow %d\r\n\r\n"
        self.half = line * (octets // len(line))
        self.clients = [Connection(port, sources[number % len(sources)]) for number in range(count)]

    def begin(self):
        """All of them up to DATA; the replies."""
        return [client.begin(["nobody@example.net"]) for client in self.clients]

    def go_on(self):
        """Each sends what it has, a little at a time, all in turn; the last line stays open."""
        for number, client in enumerate(self.clients):
            client.socket.sendall(self.head % number)
        for at in range(0, len(self.half), 256 << 10):
            for client in self.clients:
                client.socket.sendall(self.half[at : at + (256 << 10)])

    def finish(self):
        """The dots, and what they are answered."""
        for client in self.clients:
            client.socket.sendall(b"the end\r\n.\r\n")
        return [client.read() for client in self.clients]

    def message(self, number):
        return self.head % number + self.half + b"the end\r\n"

    def close(self):
        for client in self.clients:
            client.close()


def crowd(port, count):
    """So many recipients in one transaction: how many are taken, and how many are told 452 with the limit."""
    client = Connection(port)
    try:
        for command in (b"", b"EHLO client.test\r\n", b"MAIL FROM:<news@shop.example>\r\n"):
            client.ask(command)
        taken = full = 0
        for first in range(0, count, 100):
            group = range(first, min(first + 100, count))
            client.socket.sendall(b"".join(b"RCPT TO:<r%d@example.net>\r\n" % number for number in group))
            for _ in group:
                reply = client.read()
                taken += reply[0] == "2"
                full += reply.startswith("452") and is_clear(reply)
        return taken, full
    finally:
        client.close()


def mail(content_type, body, header=b"", encoding=b"8bit"):
    """One message with a body."""
    return (
        b"From: Shop <news@shop.example>\r\nTo: list@shop.example\r\nSubject: bomb\r\nMIME-Version: 1.0\r\n"
        + header
        + b"Content-Type: "
        + content_type
        + b"\r\nContent-Transfer-Encoding: "
        + encoding
        + b"\r\n\r\n"
        + body
    )


def html(body, encoding=b"8bit"):
    return mail(b"text/html; charset=utf-8", b"<html><body>\r\n" + body + b"\r\n</body></html>\r\n", encoding=encoding)


def nested(depth):
    opened = b"".join(
        b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (level, level) for level in range(depth)
    )
    closed = b"".join(b"--b%d--\r\n" % level for level in reversed(range(depth)))
    return b"Subject: nested\r\nMIME-Version: 1.0\r\n" + opened + b"\r\n<p>inside</p>\r\n" + closed


def enclosed(depth):
    return b"Subject: enclosed\r\nMIME-Version: 1.0\r\n" + b"Content-Type: message/rfc822\r\n\r\n" * depth + b"the end\r\n"


def parts(count):
    part = b"--b\r\nContent-Type: text/html\r\n\r\n<p>x</p>\r\n"
    return mail(b'multipart/mixed; boundary="b"', part * count + b"--b--\r\n")


def lines_of(piece, octets):
    """Pieces in lines that are not too long, together so many octets."""
    line = piece * max(1, 900 // len(piece)) + b"\r\n"
    return line * (octets // len(line))


def images(count):
    return b"".join(
        b'<img src="https://click.news.example.com/wf/open?upn=u%08d" width="1" height="1">\r\n' % number
        for number in range(count)
    )


def bombs(small):
    """Names and messages."""
    million = 1 << 20
    size = million + million // 2 if small else 5 * million
    few = 1 if small else 10
    yield "parts within parts", nested(1000 * few)
    yield "messages within messages", enclosed(1000 * few)
    yield "many small parts", parts(10_500 if small else 100_000)
    yield "a line without an end", mail(b"text/plain", b"x" * (2 * million if small else 50_000_000) + b"\r\n")
    header = b"".join(b"X-Field-%06d: %s\r\n" % (n, b"y" * 80) for n in range(8_000 if small else 200_000))
    yield "a large header", mail(b"text/plain", b"text\r\n", header)
    folded = b"X-Folded:\r\n" + lines_of(b" z", million if small else 20_000_000).replace(b"\r\n", b"\r\n ") + b"z\r\n"
    yield "one field without an end", mail(b"text/plain", b"text\r\n", folded)
    parameters = b"text/html" + b"".join(b";\r\n p%d*%d*=us-ascii''%%41" % (n, n) for n in range(8_000 * few))
    yield "a type with many parameters", mail(parameters, b"<p>text</p>\r\n")
    yield "many Received fields", mail(b"text/plain", b"text\r\n", b"Received: from a by b; today\r\n" * 5_000)
    yield "elements within elements", html(lines_of(b"<div>", size))
    yield "tables within tables", html(lines_of(b"<table><tr><td>", size))
    yield "foreign elements", html(lines_of(b"<svg><foreignObject>", size))
    yield "links within links", html(lines_of(b"<a><b><i>", size))
    yield "one tag with many attributes", html(b"<p " + b"".join(b"a%d=1\r\n" % n for n in range(200_000 * few)) + b">")
    yield "one attribute without an end", html(b'<p title="' + lines_of(b"t", size) + b'">')
    yield "many tags with many attributes", html(lines_of(b"<p " + b"a=1 " * 200 + b">", size))
    yield "a large style sheet", html(b"<style>" + lines_of(b".a{color:red}", size) + b"</style>")
    rules = b"".join(b".c%d{width:1px;height:1px}\r\n" % n for n in range(15_000 * few))
    yield "rules for many classes", html(b"<style>" + rules + b"</style>" + b'<p class="c1 c2 c3">x</p>\r\n' * 5000 * few)
    yield "braces within braces", html(b"<style>" + lines_of(b"{", min(size, million)) + b"</style>")
    yield "brackets within brackets", html(b"<style>a{width:" + lines_of(b"calc(", million // 2) + b"}</style>")
    yield "many style attributes", html(lines_of(b'<p style="width:1px;background:url(x.gif)">', size))
    yield "entities in text", html(lines_of(b"&amp;", size))
    yield "entities in an attribute", html(b'<img alt="' + lines_of(b"&amp;", million * 3 // 4) + b'" src="x.gif">')
    yield "one entity without an end", html(b"&#" + lines_of(b"0", size).replace(b"\r\n", b"0") + b"65;")
    yield "comments within comments", html(lines_of(b"<!--", size))
    yield "Outlook's comments", html(lines_of(b"<!--[if mso]><p><![endif]-->", size))
    yield "many trackers", html(images(10_500 if small else 60_000))
    yield "soft line breaks", html(b"=\r\n" * (size // (12 if small else 3)), b"quoted-printable")
    yield "base64 with junk", html(lines_of(b"PHA+!?", size), b"base64")
    yield "no dot in sight", mail(b"text/plain", lines_of(b"x", 51 * million)) if not small else html(b"<p>x</p>")
