#!/usr/bin/env python3
"""Numbers every remote resource of a message, and checks the hand-made verdicts against the messages.

    resources.py FILE                          number, vector, size, URL (shortened), one line each
    resources.py --around FILE                 the same with the tag, and the styles of what stands around it
    resources.py --check verdicts.tsv DIR      every verdict stands for one resource, every resource has one

A remote resource is what some mail client would fetch by showing the HTML or AMP parts of a message: images,
candidates of `srcset`, backgrounds, `url()` in style attributes and style elements, VML, style sheets and
fonts, frames, media; in conditional comments and `noscript` too. Links, forms and comments that never render
are none. Resources are numbered from 1 in the order in which they stand: by part, then by place in the decoded
text; of one tag in the order of its attributes. A URL that stands twice is two resources. The number is the key
of `verdicts.tsv`, so the numbering may only change together with that file.

It must never know what the relay found: no code of the relay's is used, no rule of its is known here. What it
cannot read it says by raising; nothing is passed over in silence.
"""

import argparse
import json
import os
import re
import sys
from collections import Counter, defaultdict, namedtuple

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from loads import ATTRIBUTE, CSS_ESCAPE, RAW_TEXT, REMOTE, TAG, clean, html_parts, references, sha256  # noqa: E402

# vector: what loads, `mso:` before it inside a conditional comment. size: width x height as declared, in
# attributes and, after a slash, in the style attribute. around: styles of the elements around, outermost first.
Resource = namedtuple("Resource", "number vector size url tag around")

VERDICTS = ("tracker", "individual", "content", "aggregate", "unsure")
PAIR = ("-", "same", "differs")
VECTOR = re.compile(r"[a-z0-9:@()<>\[\]-]+")
REASON = re.compile(r"[a-z0-9-]+")

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"}
# Elements that fetch what their `src` names; with them everything called v:… (VML) and amp-….
LOADING_SRC = {
    "img", "image", "video", "audio", "source", "track", "embed", "iframe", "frame", "script", "bgsound", "input",
}
LOADING_REL = {
    "stylesheet", "icon", "apple-touch-icon", "apple-touch-icon-precomposed", "mask-icon", "preload", "prefetch",
    "modulepreload", "prerender", "preconnect", "dns-prefetch", "manifest",
}
LOADING_HREF = {"image", "use", "feimage", "v:fill", "v:image", "v:imagedata"}
CSS_TOKEN = re.compile(
    r"/\*.*?(?:\*/|\Z)"
    r"|(?P<url>[uU](?:[rR]|\\0{0,4}[57]2\s?)(?:[lL]|\\0{0,4}[46][cC]\s?)\(\s*"
    r"(?:\"(?P<double>(?:[^\"\\]|\\.)*)\"|'(?P<single>(?:[^'\\]|\\.)*)'|(?P<bare>(?:[^)\"'\\]|\\.)*))\s*\)?)"
    r"|\"(?P<string>(?:[^\"\\]|\\.)*)\"|'(?P<string1>(?:[^'\\]|\\.)*)'"
    r"|(?P<function>(?:-webkit-)?image-set\()"
    r"|(?P<at>@[A-Za-z-]+)|(?P<name>[-A-Za-z_][-\w]*)|(?P<mark>[{};:()])|(?:\\.)",
    re.S | re.I,
)


def unescaped(text):
    return CSS_ESCAPE.sub(lambda e: chr(min(int(e[1], 16), 0x10FFFF)) if e[1] else e[2], text)


def css_resources(text):
    """(what, URL) in order: `url` with the property that holds it, `@import`, `@font-face`, `image-set`."""
    rules, prelude, property_name, expect_name = [], "", "", True
    depth_of_set, depth = None, 0
    for token in CSS_TOKEN.finditer(text):
        if token["at"]:
            prelude, expect_name = token["at"].lower(), False
        elif token["name"] and expect_name:
            property_name, expect_name = token["name"].lower(), False
        elif token["function"]:
            depth += 1
            depth_of_set = depth if depth_of_set is None else depth_of_set
        elif token["mark"]:
            mark = token["mark"]
            if mark == "{":
                rules.append(prelude)
                prelude, expect_name = "", True
            elif mark == "}":
                rules = rules[:-1]
                prelude, expect_name = "", True
            elif mark == ";":
                prelude, expect_name = "", True
            elif mark == "(":
                depth += 1
            elif mark == ")":
                if depth == depth_of_set:
                    depth_of_set = None
                depth = max(0, depth - 1)
        elif token["url"] is not None:
            url = next((g for g in (token["double"], token["single"], token["bare"]) if g is not None), "")
            if prelude == "@import":
                what = "@import"
            else:
                what = "@font-face" if "@font-face" in rules else property_name or "url"
            yield what, unescaped(url)
        else:
            string = token["string"] if token["string"] is not None else token["string1"]
            if string is not None and prelude == "@import":
                yield "@import", unescaped(string)
            elif string is not None and depth_of_set is not None:
                yield "image-set", unescaped(string)


def candidates(srcset):
    """The URLs of a `srcset`, by the algorithm of the HTML standard without its size computations."""
    at = 0
    while match := re.compile(r"[\s,]*([^\s,]\S*)").match(srcset, at):
        url, at = match[1], match.end()
        if url.endswith(","):
            yield url.rstrip(",")
            continue
        yield url
        descriptors = re.compile(r"(?:\([^)]*\)|[^,(])*").match(srcset, at)
        at = descriptors.end()


def attributes_of(document, at):
    """([(name, value)] in source order, the first of equal names only; place after the tag)."""
    found, seen = [], set()
    while (match := ATTRIBUTE.match(document, at)) and match.end() > at:
        name = match[1].lower()
        if name not in seen:
            seen.add(name)
            found.append((name, references(next((g for g in match.groups()[1:] if g is not None), ""))))
        at = match.end()
    close = document.find(">", at)
    return found, len(document) if close < 0 else close + 1


def tags(document, inside="", around=()):
    """(name, attributes, raw text, `mso:` or nothing, styles around, source) of every start tag, in order."""
    at, open_elements = 0, []
    while (at := document.find("<", at)) >= 0:
        if document.startswith("<!--", at):
            if document.startswith(("<!-->", "<!--->"), at):
                at = document.find(">", at) + 1
                continue
            end = document.find("-->", at + 4)
            end = len(document) if end < 0 else end
            inner = document[at + 4 : end]
            if condition := re.match(r"\s*\[if[^\]]*\]>", inner, re.I):
                styles = around + tuple(style for _, style in open_elements if style)
                yield from tags(inner[condition.end() :], "mso:", styles)
            at = end + 3
            continue
        tag = TAG.match(document, at)
        if not tag:
            at += 1
            continue
        name, start = tag[2].lower(), at
        attributes, at = attributes_of(document, tag.end())
        if tag[1]:
            for index in range(len(open_elements) - 1, -1, -1):
                if open_elements[index][0] == name:
                    del open_elements[index:]
                    break
            continue
        source, raw = document[start:at], None
        if name in RAW_TEXT:
            end = re.compile(r"</" + name, re.I).search(document, at)
            stop = end.start() if end else len(document)
            raw, at = document[at:stop], stop
        yield name, attributes, raw, inside, around + tuple(style for _, style in open_elements if style), source
        if name not in VOID and name not in RAW_TEXT:
            shaping = ("style", "class", "width", "height", "hidden")
            open_elements.append((name, " ".join(f"{k}={v}" for k, v in attributes if k in shaping)))


def declared_size(attributes):
    def side(name):
        return attributes.get(name, "").strip() or "-"

    css = {}
    for declaration in attributes.get("style", "").split(";"):
        name, _, value = declaration.partition(":")
        if name.strip().lower() in ("width", "height", "max-width", "max-height") and value.strip():
            css[name.strip().lower()] = value.strip()
    size = f"{side('width')}x{side('height')}"
    return size + ("/" + ",".join(f"{k}:{v}" for k, v in css.items()) if css else "")


def of_tag(name, attributes, raw):
    """(vector, URL) of everything this start tag, or the style sheet in it, fetches."""
    held = dict(attributes)
    for attribute, value in attributes:
        if attribute == "src" and (name in LOADING_SRC or name.startswith(("v:", "amp-"))):
            if name != "input" or held.get("type", "").strip().lower() == "image":
                yield f"{name}[src]", value
        elif attribute in ("srcset", "imagesrcset"):
            for url in candidates(value):
                yield f"{name}[{attribute}]", url
        elif attribute in ("background", "poster", "lowsrc", "dynsrc"):
            yield f"{name}[{attribute}]", value
        elif attribute == "data" and name == "object":
            yield "object[data]", value
        elif attribute in ("href", "xlink:href") and name in LOADING_HREF:
            yield f"{name}[{attribute}]", value
        elif attribute == "href" and name == "link":
            rels = set(held.get("rel", "").lower().split())
            if rels & LOADING_REL:
                yield f"link[{'-'.join(sorted(rels & LOADING_REL))}]", value
        elif attribute == "content" and name == "meta" and held.get("http-equiv", "").strip().lower() == "refresh":
            if target := re.search(r"url\s*=\s*['\"]?([^'\"]+)", value, re.I):
                yield "meta[refresh]", target[1]
        elif attribute == "srcdoc" and name == "iframe":
            for resource in document_resources(value):
                yield f"srcdoc:{resource.vector}", resource.url
        elif attribute == "style":
            for what, url in css_resources(value):
                yield f"{name}[style:{what}]", url
    if name == "style" and raw:
        for what, url in css_resources(raw):
            yield f"<style>:{what}", url


def document_resources(document):
    base = None
    found = []
    for name, attributes, raw, inside, around, source in tags(document):
        held = dict(attributes)
        if name == "base" and base is None and REMOTE.match(clean(held.get("href", ""))):
            base = clean(held["href"])
        for vector, url in of_tag(name, attributes, raw):
            url = clean(url)
            # With a remote base every address that names no scheme of its own is remote.
            relative = base is not None and url and not re.match(r"[A-Za-z][A-Za-z0-9+.-]*:|#", url)
            if REMOTE.match(url) or relative:
                found.append(Resource(0, inside + vector, declared_size(held), url, source, around))
    return found


def message_resources(message):
    everything = [found for document in html_parts(message) for found in document_resources(document)]
    return [resource._replace(number=number) for number, resource in enumerate(everything, 1)]


def shortened(url, room):
    return url if len(url) <= room else url[: room * 2 // 3] + "…" + url[-(room // 3) :]


# --- verdicts -------------------------------------------------------------------------------------------

Verdict = namedtuple("Verdict", "message number vector verdict reason pair")


def read_verdicts(path):
    """Rows of `verdicts.tsv`; a malformed one raises."""
    with open(path, encoding="ascii") as rows:
        for at, row in enumerate(rows, 1):
            if row.startswith("#"):
                continue
            fields = row.rstrip("\n").split("\t")
            good = (
                len(fields) == 6
                and re.fullmatch(r"[0-9a-f]{64}", fields[0])
                and re.fullmatch(r"[1-9][0-9]*", fields[1])
                and VECTOR.fullmatch(fields[2])
                and fields[3] in VERDICTS
                and REASON.fullmatch(fields[4])
                and fields[5] in PAIR
            )
            if not good:
                raise ValueError(f"{path}:{at}: want MESSAGE<TAB>NUMBER<TAB>VECTOR<TAB>VERDICT<TAB>REASON<TAB>PAIR")
            yield Verdict(fields[0], int(fields[1]), *fields[2:])


def failures_of(resources, twin, verdicts):
    """What is wrong with the verdicts of one message, one sentence each."""
    given = defaultdict(list)
    for verdict in verdicts:
        given[verdict.number].append(verdict)
    for resource in resources:
        rows = given.pop(resource.number, [])
        if len(rows) != 1:
            yield f"resource {resource.number}: {len(rows)} verdicts, want one"
            continue
        if rows[0].vector != resource.vector:
            yield f"resource {resource.number}: vector is {resource.vector}, verdict says {rows[0].vector}"
        if twin is None:
            pair = "-"
        else:
            other = next((t for t in twin if t.number == resource.number), None)
            pair = "same" if other is not None and other.url == resource.url else "differs"
        if rows[0].pair != pair:
            yield f"resource {resource.number}: pair is {pair}, verdict says {rows[0].pair}"
    for number in given:
        yield f"verdict for resource {number}, which does not exist"


def check(path, directory):
    by_message = defaultdict(list)
    for verdict in read_verdicts(path):
        by_message[verdict.message].append(verdict)
    index = os.path.join(directory, "index.json")
    if not os.path.isfile(index):
        print(f"SKIPPED: no real mail at {directory}, no verdict was checked", file=sys.stderr)
        print(f"verdicts: 0 passed, 0 failed, {len(by_message)} skipped")
        return 0
    with open(index, encoding="utf-8") as entries:
        files = {entry["sha256"]: entry for entry in json.load(entries)}
    passed = failed = 0
    for message, verdicts in by_message.items():
        entry = files.get(message)
        if entry is None or entry["group"] != "legit":
            wrong = ["no legit message with this hash in index.json"]
        else:
            with open(os.path.join(directory, entry["file"]), "rb") as octets:
                raw = octets.read()
            if sha256(raw) != message:
                wrong = ["the file is not what its hash in index.json says"]
            else:
                twin = None
                if "pair" in entry:
                    with open(os.path.join(directory, entry["pair"]), "rb") as octets:
                        twin = message_resources(octets.read())
                wrong = list(failures_of(message_resources(raw), twin, verdicts))
        for sentence in wrong:
            print(f"FAILED {message[:12]} {sentence}", file=sys.stderr)
        passed, failed = passed + (not wrong), failed + bool(wrong)
    senders = {files[message]["sender"] for message in by_message if message in files}
    print(f"messages: {len(by_message)} from {len(senders)} senders")
    counts = Counter(verdict.verdict for verdicts in by_message.values() for verdict in verdicts)
    print("resources: " + ", ".join(f"{counts[name]} {name}" for name in VERDICTS))
    print(f"verdicts: {passed} passed, {failed} failed, 0 skipped")
    return 1 if failed or not by_message else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", metavar="VERDICTS", help="check this file against the messages in DIR")
    parser.add_argument("--around", action="store_true", help="print each tag and the styles around it as well")
    parser.add_argument("--width", type=int, default=110, help="characters of a URL that are printed")
    parser.add_argument("path", metavar="FILE|DIR")
    said = parser.parse_args()
    if said.check:
        return check(said.check, said.path)
    with open(said.path, "rb") as octets:
        message = octets.read()
    for resource in message_resources(message):
        print(resource.number, resource.vector, resource.size, shortened(resource.url, said.width), sep="\t")
        if said.around:
            print("\t" + re.sub(r"\s+", " ", resource.tag if len(resource.tag) < 2000 else resource.tag[:2000]))
            print("\t" + " > ".join(resource.around[-6:]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
