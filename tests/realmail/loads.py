"""What a mail's HTML would load from the network, read without any code of pixelgate's.

The judge (`check.py`) and the hand-made list (`list.tsv`) both name a URL by the SHA-256 of `url_key`:
the URL as it stands in the decoded HTML, after character references (in attributes) or CSS escapes (in
style sheets) are decoded, blanks at both ends taken off, TAB, CR and LF inside taken out, as UTF-8.
A message is named by the SHA-256 of its file as it lies there.

It must never know what the relay found. Where it cannot decode it says so by raising; nothing is skipped.
"""

import email
import email.policy
import hashlib
import html
import html.entities
import re
from collections import namedtuple

Load = namedtuple("Load", "key vector url")

HTML_TYPES = ("text/html", "application/xhtml+xml", "text/x-amp-html")
TAG = re.compile(r"<(/?)([A-Za-z][^\s/>]*)")
ATTRIBUTE = re.compile(
    r"[\s/]*([^\s/>=][^\s/>=]*|=[^\s/>=]*)"
    r"(?:\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s>\"'][^\s>]*)))?"
)
REFERENCE = re.compile(r"&(#[xX][0-9A-Fa-f]+;?|#[0-9]+;?|[A-Za-z][A-Za-z0-9]*;?)(?=(.?))", re.S)
CSS_URL = re.compile(r"url\(\s*(?:\"([^\"]*)\"|'([^']*)'|([^)\"']*))\s*\)", re.I)
CSS_IMPORT = re.compile(r"@import\s+(?:\"([^\"]*)\"|'([^']*)')", re.I)
CSS_ESCAPE = re.compile(r"\\(?:([0-9A-Fa-f]{1,6})\s?|(.))", re.S)
REMOTE = re.compile(r"(?:https?:|//|\\\\)", re.I)
# Elements whose content a browser reads as text, not as markup. `noscript` is not among them: mail is
# shown without scripts, so what stands in it is loaded.
RAW_TEXT = {"script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes"}
LOADING_ATTRIBUTES = ("src", "background", "poster", "lowsrc", "dynsrc")
LOADING_HREF = {"link", "image", "use", "feimage", "v:fill", "v:image", "v:imagedata"}


def sha256(octets):
    return hashlib.sha256(octets).hexdigest()


def url_key(url):
    return sha256(clean(url).encode("utf-8", "surrogatepass"))


def clean(url):
    return re.sub(r"[\t\r\n]", "", url.strip(" \t\r\n\f"))


def references(value):
    """Character references in an attribute value: `&copy=1` is a parameter, `&copy;` is a sign."""

    def one(match):
        name, after = match.group(1), match.group(2)
        if not name.startswith("#") and not name.endswith(";"):
            if after == "=" or after.isalnum() or name not in html.entities.html5:
                return match.group(0)
        return html.unescape("&" + name)

    return REFERENCE.sub(one, value)


def css_urls(text):
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
    unescape = lambda e: chr(min(int(e[1], 16), 0x10FFFF)) if e[1] else e[2]
    # Once as it stands and once with escapes decoded, since the word `url` itself may be escaped.
    decoded = CSS_ESCAPE.sub(unescape, text)
    seen = []
    for pattern, source in ((CSS_URL, text), (CSS_IMPORT, text), (CSS_URL, decoded)):
        for match in pattern.finditer(source):
            url = next(g for g in match.groups() if g is not None)
            url = url if source is decoded else CSS_ESCAPE.sub(unescape, url)
            if source is not decoded or url not in seen:
                seen.append(url)
                yield url


def elements(document, where=""):
    """(name, attributes, raw text or None, 'mso' inside a conditional comment) of every start tag."""
    at = 0
    while (at := document.find("<", at)) >= 0:
        if document.startswith("<!--", at):
            end = document.find("-->", at + 4)
            end = len(document) if end < 0 else end
            inner = document[at + 4 : end]
            if condition := re.match(r"\s*\[if[^\]]*\]>", inner, re.I):
                yield from elements(inner[condition.end() :], "mso ")
            # `<!-->` and `<!--->` are whole comments: what follows is shown.
            at = at + 5 if document.startswith(("<!-->", "<!--->"), at) else end + 3
            continue
        tag = TAG.match(document, at)
        if not tag:
            at += 1
            continue
        name, position, attributes = tag[2].lower(), tag.end(), {}
        while (match := ATTRIBUTE.match(document, position)) and match.end() > position:
            value = next((g for g in match.groups()[1:] if g is not None), "")
            attributes.setdefault(match[1].lower(), references(value))
            position = match.end()
        close = document.find(">", position)
        at = len(document) if close < 0 else close + 1
        raw = None
        if not tag[1] and name in RAW_TEXT:
            end = re.compile(r"</" + name, re.I).search(document, at)
            stop = end.start() if end else len(document)
            raw, at = document[at:stop], stop
        if not tag[1]:
            yield name, attributes, raw, where


def document_loads(document):
    found = []

    def add(url, vector):
        if REMOTE.match(clean(url)):
            found.append(Load(url_key(url), vector, clean(url)))

    for name, attributes, raw, where in elements(document):
        for attribute in LOADING_ATTRIBUTES:
            if attribute in attributes and name != "script":
                add(attributes[attribute], f"{where}{name}[{attribute}]")
        for attribute in ("srcset", "imagesrcset"):
            for candidate in re.split(r",\s+|,$", attributes.get(attribute, "")):
                if candidate.strip():
                    add(candidate.split()[0], f"{where}{name}[{attribute}]")
        if name == "object":
            add(attributes.get("data", ""), f"{where}object[data]")
        if name in LOADING_HREF:
            for attribute in ("href", "xlink:href"):
                add(attributes.get(attribute, ""), f"{where}{name}[{attribute}]")
        for url in css_urls(attributes.get("style", "")):
            add(url, f"{where}{name}[style]")
        if name == "style" and raw:
            for url in css_urls(raw):
                add(url, f"{where}<style>")
    return found


def html_parts(message):
    """Every HTML part, decoded by Python's email package, nested messages included."""
    for part in email.message_from_bytes(message, policy=email.policy.compat32).walk():
        if part.get_content_type() in HTML_TYPES:
            octets = part.get_payload(decode=True) or b""
            try:
                yield octets.decode(part.get_content_charset() or "utf-8", "replace")
            except LookupError:
                yield octets.decode("utf-8", "replace")


def message_loads(message):
    return [load for document in html_parts(message) for load in document_loads(document)]


def read_list(path):
    """{message sha: {url sha: class}}; a message in which nothing is listed has one row `-  none`."""
    listed = {}
    with open(path, encoding="ascii") as rows:
        for number, row in enumerate(rows, 1):
            if row.startswith("#"):
                continue
            fields = row.rstrip("\n").split("\t")
            if len(fields) != 3 or fields[2] not in ("k", "t", "spacer", "beyond", "none"):
                raise ValueError(f"{path}:{number}: want MESSAGE<TAB>URL<TAB>k|t|spacer|beyond|none")
            urls = listed.setdefault(fields[0], {})
            if fields[2] != "none":
                urls[fields[1]] = fields[2]
    return listed
