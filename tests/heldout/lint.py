#!/usr/bin/env python3
"""Checks that the held-out corpus is well formed. It judges the corpus, never the detector, and runs nothing of pixelgate.

    tests/heldout/lint.py             one line for each complaint, then `heldout: N passed, N failed, N skipped`
    tests/heldout/lint.py --counts    the tables of README.md as well

One check a case file, and one for the corpus as a whole (numbers, uniqueness, vocabulary). Exit code 1 when one failed.
"""

import base64
import binascii
import hashlib
import html
import re
import sys
import urllib.parse
import zlib
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent

VECTORS = """
    img img-srcset picture-source image-alias input-image lowsrc dynsrc
    video-poster video-src video-source audio-src audio-source track embed object bgsound
    iframe iframe-srcdoc iframe-data frame script meta-refresh base-href background-attribute noscript
    link-stylesheet link-preload link-prefetch link-modulepreload link-prerender link-icon link-apple-touch-icon
    link-manifest link-dns-prefetch link-preconnect link-other
    svg-image svg-use svg-feimage svg-filter svg-mask svg-style svg-foreignobject svg-animate svg-title data-svg
    css-background css-content css-list-style css-cursor css-border-image css-mask css-filter css-clip-path
    css-shape-outside css-image-set css-cross-fade css-import css-font-face css-custom-property
    conditional-comment vml-image vml-fill amp-pixel amp-img amp-anim amp-list
    img-ambiguous comment textarea escaped-code form none
""".split()
HIDING = """
    none tiny attribute-zero display-none visibility opacity off-screen clip ancestor class zero-parent one-sided
    false-size unsized visible not-an-image
""".split()
EVIDENCE = """
    known_endpoint recipient_plain recipient_hash recipient_encoded recurring_id tiny operator learned none
""".split()
KINDS = "marketing prospecting consent_request requested authentication".split()
CLIENTS = "browser word gmail amp".split()
VERDICTS = """
    stripped individual_content(deidentify) individual_content(blank) individual_content(report) aggregate unknown_cold
""".split()
PARTS = ["text/html", "text/x-amp-html"]

REPEATABLE = {"header", "tracker", "content", "deidentified"}
SHARED_KEYS = {"vector", "hiding", "kind", "recipient", "reverse-path", "list-unsubscribe", "header", "part", "client",
               "content", "computed", "note"}
KEYS = {
    "trackers": SHARED_KEYS | {"evidence", "tracker", "deidentified", "verdict", "operator-host", "operator-path",
                               "operator-marker"},
    "benign": SHARED_KEYS | {"unchanged"},
}
DEFAULTS = {"kind": "marketing", "recipient": "nadia@example.net", "part": "text/html", "reverse-path": "",
            "list-unsubscribe": "", "computed": "no"}

RESERVED = re.compile(r"(?:^|\.)(?:example|test|example\.(?:com|net|org))$")
# The runtime every AMP document must name, and the namespaces and document types of markup, which are never loaded.
NAMED_BY_STANDARDS = {"cdn.ampproject.org", "www.w3.org", "schema.org"}
MOST_VARIANTS = 400


class Case:
    """One case file: its keys as lists of values, and its document."""

    def __init__(self, path):
        self.path = path
        self.side = path.parent.name
        self.name = path.stem
        self.complaints = []
        raw = path.read_bytes()
        self.keys = {}
        self.document = ""
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            self.complain(f"not UTF-8: {error}")
            return
        if "\r" in text:
            self.complain("a carriage return; line ends are LF")
        head, blank, self.document = text.partition("\n\n")
        if not blank or not self.document:
            self.complain("no blank line between header and document, or no document")
        for line in head.split("\n"):
            key, colon, value = line.partition(": ")
            if not colon or not value or value != value.strip():
                self.complain(f"not a `key: value` line: {line!r}")
            elif key in self.keys and key not in REPEATABLE:
                self.complain(f"{key} stands twice")
            else:
                self.keys.setdefault(key, []).append(value)

    def complain(self, text):
        self.complaints.append(text)

    def one(self, key):
        return self.keys.get(key, [DEFAULTS.get(key, "")])[0]

    def all(self, key):
        return self.keys.get(key, [])

    def urls(self):
        return self.all("tracker") + self.all("content")


def check_keys(case):
    for key in case.keys:
        if key not in KEYS[case.side]:
            case.complain(f"unknown key {key}")
    words = [("vector", VECTORS), ("hiding", HIDING), ("kind", KINDS), ("part", PARTS), ("computed", ["yes", "no"])]
    if case.side == "trackers":
        words += [("evidence", EVIDENCE), ("verdict", VERDICTS)]
        if not case.all("tracker"):
            case.complain("no tracker")
        if case.one("evidence") == "operator" and not any(key.startswith("operator-") for key in case.keys):
            case.complain("operator evidence without an operator key")
        if case.all("deidentified") and case.one("verdict") != "individual_content(deidentify)":
            case.complain("deidentified needs that verdict")
    elif case.one("unchanged") not in ("yes", ""):
        case.complain("unchanged is yes or absent")
    elif not case.all("content") and case.one("unchanged") != "yes":
        case.complain("nothing is asked of this case")
    for key, allowed in words:
        if case.one(key) not in allowed:
            case.complain(f"{key} is {case.one(key)!r}")
    clients = [client.strip() for client in case.one("client").split(",")]
    if not set(clients) <= set(CLIENTS):
        case.complain(f"client is {case.one('client')!r}")
    if ("amp" in clients) != (case.one("part") == "text/x-amp-html"):
        case.complain("an AMP part and the client amp go together")
    if not case.one("note").endswith((".", "?")):
        case.complain("the note is not a sentence")
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", case.name):
        case.complain("the name is not words-with-hyphens")


def host_of(url):
    return (urllib.parse.urlsplit(url).hostname or "").rstrip(".")


def check_urls(case):
    for url in case.urls() + case.all("deidentified"):
        if not re.fullmatch(r"https?://[\x21-\x7e]+", url):
            case.complain(f"not an absolute URL as requested: {url}")
        elif not RESERVED.search(host_of(url)):
            case.complain(f"host is not reserved: {url}")
    for host in re.findall(r"https?://([a-z0-9.-]+)", case.document, re.IGNORECASE):
        if not RESERVED.search(host.lower()) and host.lower() not in NAMED_BY_STANDARDS and "." in host:
            case.complain(f"host in the document is not reserved: {host}")
    listed = case.urls()
    if len(set(listed)) != len(listed):
        case.complain("a URL is listed twice")


# Can the URLs be derived from the document?

def css_unescaped(text):
    text = re.sub(r"\\\n", "", text)
    return re.sub(r"\\([0-9a-fA-F]{1,6})[ \n\t]?", lambda found: chr(min(int(found[1], 16), 0x10FFFF)), text)


def data_opened(text):
    def opened(found):
        try:
            return base64.b64decode(found[1] + "=" * (-len(found[1]) % 4)).decode("utf-8", "replace")
        except (binascii.Error, ValueError):
            return found[0]
    return re.sub(r";base64,([A-Za-z0-9+/=]+)", opened, text)


DECODERS = [
    html.unescape,
    lambda text: re.sub(r"[\t\n]", "", text),
    lambda text: text.replace("\0", ""),
    lambda text: text.replace("\\", "/"),
    css_unescaped,
    data_opened,
    urllib.parse.unquote,
]


def variants(document):
    """The document and everything that up to three simple decodings make of it."""
    seen, latest = {document}, {document}
    for _ in range(3):
        latest = {decoder(text) for text in latest for decoder in DECODERS} - seen
        seen |= latest
        if len(seen) > MOST_VARIANTS:
            break
    return seen


def spellings(url, document):
    """The URL as it may stand in the document: absolute, without its scheme, or relative to a base there."""
    yield url
    yield url.split(":", 1)[1]
    if url.endswith("/"):
        yield url[:-1]
    for base in re.findall(r"<base\b[^>]*href=\"?([^\" >]+)", document, re.IGNORECASE):
        folder = base[: base.rindex("/") + 1]
        if url.startswith(folder):
            yield url[len(folder):]
        origin = "/".join(base.split("/")[:3])
        if url.startswith(origin):
            yield url[len(origin):]


def check_derivable(case):
    if case.one("computed") == "yes":
        return
    texts = [text.lower() for text in variants(case.document)]
    for url in case.urls():
        found = [spelling for spelling in spellings(url, case.document) if any(spelling.lower() in text for text in texts)]
        if not found:
            case.complain(f"cannot be derived from the document: {url}")


# Does the URL hold the evidence that the case claims?

def needles(recipient):
    """The recipient as written and as decided equal: lower case, without +tag, the domain in both spellings."""
    local, _, domain = recipient.rpartition("@")
    domains = {domain}
    try:
        domains.add(domain.encode("ascii").decode("idna"))
    except UnicodeError:
        pass
    addresses = {f"{name}@{one}" for name in (local, local.split("+")[0]) for one in domains}
    return {address.lower() for address in addresses} | addresses


def hashes(recipient):
    found = set()
    for needle in needles(recipient):
        for name in ("md5", "sha1", "sha256", "sha512"):
            digest = hashlib.new(name, needle.encode()).digest()
            found.add(digest.hex())
            found.add(base64.b64encode(digest).decode().rstrip("=").lower())
            found.add(base64.urlsafe_b64encode(digest).decode().rstrip("=").lower())
    return found


def opened(token):
    """What one decoding makes of a token: base64, base64url, base32, hex, and each of them inflated."""
    raw = set()
    padded = token + "=" * (-len(token) % 4)
    attempts = [(base64.b64decode, padded), (base64.urlsafe_b64decode, padded), (bytes.fromhex, token),
                (base64.b32decode, token.upper() + "=" * (-len(token) % 8))]
    for decode, text in attempts:
        try:
            raw.add(decode(text))
        except (binascii.Error, ValueError):
            continue
    for data in list(raw):
        try:
            raw.add(zlib.decompressobj().decompress(data, 8192))
        except zlib.error:
            continue
    return {data.decode("utf-8", "replace") for data in raw}


def readings(url):
    """The URL percent-decoded up to three times, and what its tokens hold, three levels deep."""
    levels = {url}
    for _ in range(3):
        levels |= {urllib.parse.unquote(text) for text in levels}
    plain, encoded, latest = set(levels), set(), set(levels)
    for _ in range(3):
        tokens = {token for text in latest for shape in (r"[A-Za-z0-9+_=-]{6,}", r"[A-Za-z0-9+/_=-]{6,}")
                  for token in re.findall(shape, text)}
        tokens |= {part for token in tokens for part in token.split("=") if len(part) >= 6}
        latest = {text for token in tokens for text in opened(token)} - encoded
        encoded |= latest
    return plain, encoded


def check_evidence(case):
    recipient = case.one("recipient")
    evidence = case.one("evidence")
    local = recipient.rpartition("@")[0].lower()
    for url in case.all("tracker"):
        plain, encoded = readings(url)
        lower = [text.lower() for text in plain]
        unfolded = lower + [text.lower() for text in encoded]
        in_clear = any(needle.lower() in text for needle in needles(recipient) for text in lower)
        hashed = any(value in text for value in hashes(recipient) for text in unfolded)
        in_token = any(needle.lower() in text or value in text.lower()
                       for text in encoded for needle in needles(recipient) for value in hashes(recipient))
        holds = {
            "recipient_plain": in_clear or (len(local) >= 6 and any(local in text for text in lower)),
            "recipient_hash": hashed,
            "recipient_encoded": in_token and not in_clear,
        }
        if evidence in holds and not holds[evidence]:
            case.complain(f"{evidence} is not in {url}")
        if evidence not in holds and (in_clear or hashed or in_token):
            case.complain(f"the recipient is in {url}, the evidence is said to be {evidence}")
        if evidence == "recurring_id":
            places = case.one("reverse-path") + case.one("list-unsubscribe") + " ".join(case.all("header"))
            shared = [token for text in plain | encoded for token in re.findall(r"[A-Za-z0-9]{12,}", text) if token in places]
            if not shared:
                case.complain(f"no identifier of the envelope or header recurs in {url}")
    if case.side == "benign" and case.one("kind") not in ("requested", "authentication"):
        for url in case.all("content"):
            plain, encoded = readings(url)
            if any(needle.lower() in text.lower() for text in plain | encoded for needle in needles(recipient) | hashes(recipient)):
                case.complain(f"the recipient is in {url}, which would not be benign")


def corpus_complaints(cases):
    complaints = []
    sides = {side: [case for case in cases if case.side == side] for side in KEYS}
    for side, found in sides.items():
        if len(found) < 60:
            complaints.append(f"{len(found)} {side} cases; at least 60")
    combinations = {(case.one("vector"), case.one("hiding")) for case in sides["trackers"]}
    if len(combinations) < 40:
        complaints.append(f"{len(combinations)} combinations of vector and hiding; at least 40")
    trackers = Counter(url for case in cases for url in case.all("tracker"))
    contents = {url for case in cases for url in case.all("content")}
    complaints += [f"a tracker of two cases: {url}" for url, number in trackers.items() if number > 1]
    complaints += [f"tracker and content at once: {url}" for url in trackers if url in contents]
    names = Counter(case.name for case in cases)
    complaints += [f"two cases of one name: {name}" for name, number in names.items() if number > 1]
    documents = Counter(case.document for case in cases)
    complaints += [f"two cases of one document, {number} times" for _, number in documents.items() if number > 1]
    used = {case.one("vector") for case in cases}
    complaints += [f"a vector without a case: {vector}" for vector in VECTORS if vector not in used]
    readme = (HERE / "README.md").read_text(encoding="utf-8")
    for word in VECTORS + HIDING + EVIDENCE + VERDICTS:
        if f"`{word}`" not in readme:
            complaints.append(f"README.md does not explain `{word}`")
    numbers = f"{len(sides['trackers'])} tracker cases, {len(sides['benign'])} benign cases, {len(combinations)} combinations"
    if numbers not in readme:
        complaints.append(f"README.md does not say: {numbers}")
    return complaints


def print_counts(cases):
    for side in KEYS:
        found = [case for case in cases if case.side == side]
        print(f"{side}: {len(found)} cases")
        for key in ("vector", "hiding", "evidence", "verdict", "client", "kind"):
            counts = Counter(case.one(key) for case in found if case.one(key))
            if counts:
                print(f"  {key}: " + ", ".join(f"{word} {number}" for word, number in counts.most_common()))


def main():
    files = sorted(path for side in KEYS for path in (HERE / side).iterdir())
    cases, failed = [], 0
    for path in files:
        case = Case(path)
        if path.suffix != ".case":
            case.complain("not a .case file")
        for check in (check_keys, check_urls, check_derivable, check_evidence):
            check(case)
        cases.append(case)
        failed += bool(case.complaints)
        for complaint in case.complaints:
            print(f"{case.side}/{case.name}: {complaint}")
    complaints = corpus_complaints(cases)
    failed += bool(complaints)
    for complaint in complaints:
        print(f"corpus: {complaint}")
    if "--counts" in sys.argv[1:]:
        print_counts(cases)
    print(f"heldout: {len(cases) + 1 - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
