"""Cases for the judge: the file format, and a real message around each.

A case is one file: `key: value` lines, a blank line, then the HTML (UTF-8). Keys:

    vector hiding evidence note   words for the tables and for people
    kind             of the stream (default marketing)      recipient     default nadia@example.net
    reverse-path     default letter@shop.example            list-unsubscribe, header   fields of the message; header may repeat
    client           browser, gmail, word, amp; several with blanks or commas between (default browser)
    part             text/html (default) or text/x-amp-html
    operator-host, operator-path, operator-marker    what the operator declares as the tracker's: a host, a host with a path, a text before it
    tracker          an address that reports the reader; may repeat. None: a benign case
    content          an address that has to be requested afterwards as before; may repeat
    deidentified     an address that is requested instead of a tracker's; may repeat
    verdict          stripped (default where there is a tracker), individual_content(deidentify | blank | report), aggregate, unknown_cold
    unchanged        yes: the message has to come out as it went in
    computed         yes: the document was computed, not written down by hand

Words like `tracker` in a case are claims: what counts is whether Chromium requests the address (see judge.py). A file that cannot be
read is a `CaseError` that names it.
"""

import email.parser
import os
import re
import zlib
from base64 import encodebytes
from dataclasses import dataclass, field
from quopri import encodestring

MANY = ("tracker", "content", "header", "deidentified")
ONE = (
    "vector hiding evidence note kind recipient reverse-path list-unsubscribe client part verdict unchanged computed"
    " operator-host operator-path operator-marker"
).split()
VERDICTS = (
    "stripped aggregate unknown_cold individual_content(deidentify) individual_content(blank) individual_content(report)".split()
)
CLIENTS = ("browser", "gmail", "word", "amp")
# RFC 5322: octets of a line without its end.
LINE = 998
CHARSETS = ("utf-8", "iso-8859-1", "windows-1252", "utf-16", "iso-2022-jp")
TRANSFER = ("quoted-printable", "base64", "8bit", "7bit")
SHAPES = ("alternative", "related", "html", "mixed")
TEXT = "Good morning,\n\nthis letter is prettier in HTML.\n"


class CaseError(Exception):
    """A case file that breaks the format."""


@dataclass
class Case:
    name: str
    html: str
    keys: dict = field(default_factory=dict)
    trackers: list = field(default_factory=list)
    contents: list = field(default_factory=list)
    headers: list = field(default_factory=list)
    deidentified: list = field(default_factory=list)

    def get(self, key, otherwise=""):
        return self.keys.get(key, otherwise)

    @property
    def clients(self):
        return self.get("client", "browser").replace(",", " ").split()

    @property
    def amp(self):
        return "amp" in self.clients or self.get("part") == "text/x-amp-html"

    @property
    def benign(self):
        return not self.trackers

    @property
    def verdict(self):
        return self.get("verdict", "" if self.benign else "stripped")

    @property
    def unchanged(self):
        return self.get("unchanged") == "yes"


def parse(name, text):
    head, blank, html = text.partition("\n\n")
    if not blank:
        raise CaseError(f"{name}: no blank line between the keys and the HTML")
    case = Case(name, html)
    into = {"tracker": case.trackers, "content": case.contents, "header": case.headers, "deidentified": case.deidentified}
    for line in head.split("\n"):
        key, colon, value = line.partition(":")
        key, value = key.strip(), value.strip()
        if not colon or key not in (*ONE, *MANY):
            raise CaseError(f"{name}: unknown key in `{line[:60]}`")
        if key in into:
            into[key].append(value)
        elif key in case.keys:
            raise CaseError(f"{name}: {key} stands twice")
        else:
            case.keys[key] = value
    for client in case.clients:
        if client not in CLIENTS:
            raise CaseError(f"{name}: unknown client {client}")
    if case.verdict and case.verdict not in VERDICTS and case.verdict != "harmless":
        raise CaseError(f"{name}: unknown verdict {case.verdict}")
    return case


def read(directories, broken=None):
    """Every case in these directories, by name. The name is the file's, with two directories before it.

    A file that breaks the format: its `CaseError` goes into the list `broken`, or is raised where there is none.
    """
    found = []
    for directory in directories:
        for place, _, files in os.walk(directory):
            for file in files:
                if file.startswith(".") or file.endswith((".md", ".py", ".pyc", ".txt")):
                    continue
                path = os.path.join(place, file)
                parts = os.path.abspath(path).split(os.sep)[-3:]
                parts[-1] = os.path.splitext(parts[-1])[0]
                with open(path, encoding="utf-8", newline="") as case:
                    text = case.read().replace("\r\n", "\n")
                try:
                    found.append(parse("/".join(parts), text))
                except CaseError as why:
                    if broken is None:
                        raise
                    broken.append(why)
    return sorted(found, key=lambda case: case.name)


# --- messages --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Envelope:
    """How the HTML travels: its charset, its transfer encoding, the shape of the message around it."""

    charset: str = "utf-8"
    encoding: str = "8bit"
    shape: str = "html"

    def __str__(self):
        return f"{self.charset} {self.encoding} {self.shape}"


def lines(html):
    return re.sub(r"\r\n|\r|\n", "\r\n", html.rstrip("\n") + "\n")


def octets_of(html, charset):
    return lines(html).encode(charset)


def fits(html, envelope):
    try:
        octets = octets_of(html, envelope.charset)
    except UnicodeEncodeError:
        return False
    if envelope.encoding in ("quoted-printable", "base64"):
        return envelope.charset != "utf-16" or envelope.encoding == "base64"
    if b"\0" in octets or any(len(line) > LINE for line in octets.split(b"\r\n")):
        return False
    return envelope.encoding == "8bit" or not re.search(rb"[\x80-\xff]", octets)


def plain(case):
    """The envelope in which nothing is hard to read."""
    shape = "amp" if case.amp else "html"
    for encoding in ("8bit", "base64"):
        if fits(case.html, Envelope("utf-8", encoding, shape)):
            return Envelope("utf-8", encoding, shape)
    raise CaseError(f"{case.name}: the HTML cannot be encoded")


def rotated(case):
    """Another envelope, always the same for this case, spread evenly over the cases."""
    all_of_them = [Envelope(c, e, s) for s in SHAPES for c in CHARSETS for e in TRANSFER]
    if case.amp:
        all_of_them = [Envelope(c, e, "amp") for c in CHARSETS for e in TRANSFER]
    if re.search(r"charset\s*=", case.html, re.I):
        all_of_them = [e for e in all_of_them if e.charset == "utf-8"]
    fitting = [e for e in all_of_them if e != plain(case) and fits(case.html, e)]
    return fitting[zlib.crc32(case.name.encode()) % len(fitting)]


def part(content_type, charset, encoding, octets, more=()):
    fields = [f"Content-Type: {content_type}; charset={charset}" if charset else f"Content-Type: {content_type}"]
    fields += [f"Content-Transfer-Encoding: {encoding}", *more]
    if encoding == "base64":
        octets = encodebytes(octets).replace(b"\n", b"\r\n")
    elif encoding == "quoted-printable":
        octets = encodestring(octets.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")
    return "\r\n".join(fields).encode() + b"\r\n\r\n" + octets


def several(kind, parts, more=""):
    boundary = f"=_judge_{kind}"
    body = b"".join(f"--{boundary}\r\n".encode() + inner + b"\r\n" for inner in parts)
    return f'Content-Type: multipart/{kind}; boundary="{boundary}"{more}\r\n\r\n'.encode() + body + f"--{boundary}--\r\n".encode()


def message(case, envelope):
    """The whole message, CRLF."""
    html = part("text/html", envelope.charset, envelope.encoding, octets_of(case.html, envelope.charset))
    text = part("text/plain", "us-ascii", "7bit", lines(TEXT).encode())
    picture = part("image/png", "", "base64", b"\x89PNG\r\n\x1a\n" + b"\0" * 40, ["Content-ID: <logo@shop.example>"])
    body = html
    if envelope.shape == "alternative":
        body = several("alternative", [text, html])
    elif envelope.shape == "related":
        body = several("related", [html, picture], '; type="text/html"')
    elif envelope.shape == "mixed":
        inner = several("alternative", [text, several("related", [html, picture])])
        body = several("mixed", [inner, part("text/calendar", "utf-8", "7bit", b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n")])
    elif envelope.shape == "amp":
        amp = part("text/x-amp-html", envelope.charset, envelope.encoding, octets_of(case.html, envelope.charset))
        body = several("alternative", [text, amp, part("text/html", "utf-8", "7bit", b"<p>Good morning.</p>\r\n")])
    fields = [
        "From: The Shop <letter@shop.example>",
        f"To: <{case.get('recipient', 'nadia@example.net')}>",
        "Subject: Three things for October",
        "Date: Sun, 22 Nov 2026 08:00:00 +0100",
        "Message-ID: <2026-11-22.1@shop.example>",
        *([f"List-Unsubscribe: {case.get('list-unsubscribe')}"] if case.get("list-unsubscribe") else []),
        *case.headers,
        "MIME-Version: 1.0",
    ]
    return "\r\n".join(fields).encode() + b"\r\n" + body


def html_of(octets, envelope):
    """The HTML (or AMP) part of a message as text with LF; None where there is none."""
    wanted = "text/x-amp-html" if envelope.shape == "amp" else "text/html"
    for piece in email.parser.BytesParser().parsebytes(octets).walk():
        if piece.get_content_type() == wanted:
            text = piece.get_payload(decode=True).decode(piece.get_content_charset("utf-8"), "replace")
            return text.replace("\r\n", "\n").removeprefix("\ufeff")
    return None
