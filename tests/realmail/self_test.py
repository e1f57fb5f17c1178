#!/usr/bin/env python3
"""Shows that the judge can say no: runs `check.py` against a stand-in for the binary, honest and corrupting.

    self_test.py

The stand-in serves a few made-up mails with a made-up list; each corruption has to fail exactly the counter
that is there for it, and the honest run has to pass. It judges the judge and says nothing about pixelgate.
No real mail, no network but loopback; every process started is ended by its process object.
"""

import json
import os
import re
import socketserver
import stat
import subprocess
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import check  # noqa: E402
import loads  # noqa: E402
import pairs  # noqa: E402

KNOWN = "https://vendor.example/open?u=1&m=2"
TINY = "http://pix.example/i/Zm9vYmFyYmF6cXV4Zm9vYmFy"
SPACER = "https://cdn.example/spacer.gif"
VISIBLE = "https://cdn.example/hero.jpg"
BLANK = b"data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
HEADER = "From: Shop <s@example.org>\nTo: you@example.net\nSubject: {}\nMIME-Version: 1.0\n"
MODES = {  # corruption: the counter that has to fail
    "honest": None,
    "flip-one-octet": "outside",
    "drop-a-line": "outside",
    "eat-the-tail": "outside",
    "report-too-little": "outside",
    "report-other-lengths": "outside",
    "report-another-url": "told",
    "report-everything": "outside",
    "report-the-body": "outside",
    "change-the-granted": "granted",
    "two-received": "trace",
    "received-for": "trace",
    "no-received": "trace",
    "spare-known": "known",
    "spare-known-in-css": "known",
    "spare-known-in-mso": "known",
    "spare-tiny": "tiny",
    "eat-a-visible-image": "stays",
    "add-a-load": "stays",
    "strip-differs": "strip",
    "strip-fails": "strip",
    "edit-the-unlisted": "untouched",
    "swap-both": "both",
    "refuse-both": "both",
    "refuse-legit": "legit",
    "refuse-granted": "granted",
    "lose-the-copy": "250",
    "no-envelope": "250",
    "wrong-envelope": "250",
}


# --- the stand-in ---------------------------------------------------------------------------------------


def reading(message, mode):
    """[(start, end, replacement)] that this stand-in makes of a message, by plain search in raw text."""
    wanted = [TINY.encode(), KNOWN.encode(), KNOWN.replace("&", "&amp;").encode()]
    if mode == "spare-known":
        wanted = wanted[:1]
    if mode == "spare-tiny":
        wanted = wanted[1:]
    if mode == "eat-a-visible-image":
        wanted.append(VISIBLE.encode())
    if mode == "edit-the-unlisted" and b"Subject: three" in message:
        wanted.append(b"Kind regards")
    edits = [(m.start(), m.end(), BLANK) for url in wanted for m in re.finditer(re.escape(url), message)]
    if mode == "spare-known-in-css":
        edits = [e for e in edits if not message[: e[0]].endswith(b"url('")]
    if mode == "spare-known-in-mso":
        edits = [e for e in edits if b"[if mso]" not in message[max(0, e[0] - 40) : e[0]]]
    return sorted(edits)


def stripped(message, mode):
    out, at = [], 0
    for start, end, replacement in reading(message, mode):
        out += [message[at:start], replacement]
        at = end
    copy = b"".join(out + [message[at:]])
    if mode == "flip-one-octet":
        copy = copy.replace(b"Kind regards", b"Kind Regards", 1)
    if mode == "drop-a-line":
        copy = copy.replace(b"between the two\r\n", b"", 1)
    if mode == "eat-the-tail":
        copy = copy[:-2] + b"\r\n\r\n" if copy.endswith(b"\r\n") else copy
    if mode == "add-a-load":
        copy = copy.replace(BLANK, b"https://new.example/x.gif", 1)
    return copy


def explain(message, mode):
    edits = reading(message, mode)
    splices = [(start, end, len(replacement)) for start, end, replacement in edits]
    if mode == "report-too-little":
        splices = [(start, end - 3, octets) for start, end, octets in splices]
    if mode == "report-other-lengths":
        splices = [(start, end, octets + 1) for start, end, octets in splices]
    if mode in ("report-everything", "report-the-body") and splices:
        start = 0 if mode == "report-everything" else message.index(b"\r\n\r\n") + 4
        splices = [(start, len(message), len(stripped(message, mode)) - start)]
    for start, end, _ in edits:
        url = message[start:end].decode().replace("&amp;", "&")
        key = loads.url_key(VISIBLE if mode == "report-another-url" else url)
        print(json.dumps({"part": "1", "url_sha256": key, "action": "stripped"}), file=sys.stderr)
    for start, end, octets in splices:
        print(json.dumps({"range": [start, end], "octets": octets}), file=sys.stderr)


def other(forward_path):
    return {"granted": "nobody", "nobody": "granted"}[forward_path.split("@")[0]] + "@example.net"


def deliver(mode, treated_as, message, forward_path):
    granted = treated_as.startswith("granted")
    copy = message if granted else stripped(message, mode)
    if granted and mode == "change-the-granted":
        copy = copy.replace(b"Kind regards", b"Kind Regards", 1)
    trace = b"Received: from judge.example.org ([127.0.0.1])\r\n\tby here (pixelgate) with ESMTP id 1; now\r\n"
    if mode == "received-for":
        trace = trace.replace(b" id 1", b" id 1\r\n\tfor <nobody@example.net>")
    copy = {"two-received": trace, "no-received": b""}.get(mode, b"") + (b"" if mode == "no-received" else trace) + copy
    deliver.number += 1
    name = f"{deliver.number}.standin"
    for directory in ("new", "envelopes"):
        os.makedirs(os.path.join("var/outbox", directory), exist_ok=True)
    if mode == "wrong-envelope":
        forward_path = "other@example.net"
    if mode != "no-envelope":
        with open(f"var/outbox/envelopes/{name}.json", "w", encoding="ascii") as file:
            json.dump({"mail": "s@example.org", "rcpt": [forward_path]}, file)
    if mode != "lose-the-copy":
        with open(f"var/outbox/new/{name}", "wb") as file:
            file.write(copy)


deliver.number = 0


def serve(mode, port):
    class Session(socketserver.StreamRequestHandler):
        def handle(self):
            say = lambda text: self.wfile.write(text.encode() + b"\r\n")
            say("220 stand-in")
            paths = []
            while line := self.rfile.readline():
                verb = line.upper()
                if verb.startswith(b"EHLO"):
                    say("250-stand-in\r\n250-8BITMIME\r\n250 SIZE 1000000")
                elif verb.startswith(b"RCPT"):
                    paths.append(line.decode().split("<")[1].split(">")[0])
                    say("250 2.1.5 ok")
                elif verb.startswith(b"DATA"):
                    say("354 go on")
                    message = b""
                    while (line := self.rfile.readline()) != b".\r\n":
                        message += line[1:] if line.startswith(b".") else line
                    refused = {"refuse-legit": ["nobody@example.net"], "refuse-granted": ["granted@example.net"]}
                    if paths == refused.get(mode) or (mode == "refuse-both" and len(paths) > 1):
                        say("550 5.6.0 message refused, address valid (cte)")
                        continue
                    for path in paths:
                        deliver(mode, path if len(paths) == 1 or mode != "swap-both" else other(path), message, path)
                    say("250 2.0.0 ok")
                elif verb.startswith(b"QUIT"):
                    say("221 bye")
                    return
                else:
                    say("250 2.0.0 ok")

    socketserver.TCPServer.allow_reuse_address = True
    server = socketserver.TCPServer(("127.0.0.1", port), Session)
    server.serve_forever()


def stand_in(mode, arguments):
    if arguments[0] == "serve":
        with open(arguments[2], encoding="ascii") as file:
            serve(mode, int(re.search(r"127\.0\.0\.1:(\d+)", file.read()).group(1)))
    elif arguments[0] == "strip":
        with open(arguments[-1], "rb") as file:
            message = file.read()
        if mode in ("strip-fails", "refuse-legit"):
            sys.exit(65)
        explain(message, mode)
        sys.stdout.buffer.write(stripped(message, mode) + (b"\r\n" if mode == "strip-differs" else b""))
    else:
        with open(arguments[2], encoding="ascii") as file:
            json.loads(file.read())


# --- the made-up corpus -----------------------------------------------------------------------------------


def mails():
    html = (
        f"<p>Hello<img src=\"{VISIBLE}\" width=600 height=200><img src='{SPACER}' width=1 height=1>\n"
        f"<img width=1 height=1 src=\"{TINY}\">\nbetween the two\n"
        f"<img src=\"{KNOWN.replace('&', '&amp;')}\">\n.a line that begins with a dot\n"
        f"<!--[if mso]><img src=\"{KNOWN}\"><![endif]-->\n"
        f"<style>@media print {{ #p {{ background: url('{KNOWN}') }} }}</style>\nKind regards\n" + "<p>and so on</p>\n" * 600
    )
    plain_html = HEADER.format("one") + "Content-Type: text/html\n\n" + html
    alternative = (
        HEADER.format("two") + 'Content-Type: multipart/alternative; boundary="b"\n\n--b\nContent-Type: text/plain\n\n'
        f"Kind regards {KNOWN}\n--b\nContent-Type: text/html; charset=utf-8\n\n{html}--b--\n"
    )
    listed = {KNOWN: "k", TINY: "t", SPACER: "spacer"}
    yield "lf.eml", "legit", plain_html.encode(), listed
    yield "mixed-ends.eml", "phish", plain_html.encode().replace(b"\n", b"\r\n", 9), listed
    yield "crlf-eight-bit.eml", "legit", alternative.replace("Hello", "Grüße").encode().replace(b"\n", b"\r\n"), listed
    yield "no-last-line-end.eml", "old", (HEADER.format("three") + "\nKind regards").encode(), {}


def corpus(directory):
    os.makedirs(os.path.join(directory, "mail"))
    rows, index = [], []
    for name, group, octets, listed in mails():
        with open(os.path.join(directory, "mail", name), "wb") as file:
            file.write(octets)
        index.append({"file": f"mail/{name}", "group": group})
        rows += [f"{loads.sha256(octets)}\t{loads.url_key(url)}\t{kind}" for url, kind in listed.items()]
        rows += [] if listed else [f"{loads.sha256(octets)}\t-\tnone"]
    with open(os.path.join(directory, "index.json"), "w", encoding="ascii") as file:
        json.dump(index, file)
    with open(os.path.join(directory, "list.tsv"), "w", encoding="ascii") as file:
        file.write("\n".join(rows) + "\n")


def judged(directory, mode):
    binary = os.path.join(directory, f"stand-in-{mode}")
    with open(binary, "w", encoding="ascii") as file:
        file.write(f'#!/bin/sh\nexec "{sys.executable}" "{os.path.abspath(__file__)}" stand-in {mode} "$@"\n')
    os.chmod(binary, os.stat(binary).st_mode | stat.S_IXUSR)
    done = subprocess.run(
        [sys.executable, os.path.join(HERE, "check.py"), "--binary", binary, "--realmail", directory,
         "--list", os.path.join(directory, "list.tsv")],
        capture_output=True, text=True, timeout=120, check=False,
    )
    return done.returncode, done.stdout + done.stderr


def verdict(mode, counter, code, output):
    """None where the judge did what it had to; the complaint otherwise."""
    failed = {name for name, count in re.findall(r"^(\S+) +\d+ passed, (\d+) failed$", output, re.M) if int(count)}
    leaked = re.search(r"https?://|@example\.(?!net|org)", output)
    if leaked:
        return f"printed {leaked.group(0)!r}"
    if counter is None:
        return None if code == 0 and not failed and ", 0 skipped" in output else f"exit {code}, failed {failed}"
    if code == 0 or counter not in failed:
        return f"exit {code}, failed {failed or 'nothing'}, wanted {counter}"
    return None


# --- the functions alone ------------------------------------------------------------------------------------


def functions():
    a = b"0123456789abcdefghij"
    same = check.difference_outside
    yield "equal without ranges", same(a, [], a) is None
    yield "unequal without ranges", same(a, [], a[:-1] + b"X") is not None
    yield "replaced inside a range", same(a, [(4, 6, 2)], b"0123--6789abcdefghij") is None
    yield "replaced by nothing", same(a, [(4, 6, 0)], b"01236789abcdefghij") is None
    yield "changed before", same(a, [(4, 6, 2)], b"X123--6789abcdefghij") is not None
    yield "changed after", same(a, [(4, 6, 2)], b"0123--6789abcdefghiX") is not None
    yield "changed between", same(a, [(2, 4, 2), (12, 14, 2)], b"01--45X789ab--efghij") is not None
    yield "out of order", same(a, [(2, 4, 2), (8, 10, 2), (14, 16, 2)], b"01--abcd--4567--ghij") is not None
    yield "another length", same(a, [(4, 6, 3)], b"0123--6789abcdefghij") is not None
    yield "something over", same(a, [(4, 6, 2)], b"0123--6789abcdefghij!") is not None
    yield "cut short", same(a, [(18, 20, 2)], a[:17]) is not None
    yield "adjacent ranges", same(a, [(2, 4, 3), (4, 6, 0)], b"01XYZ6789abcdefghij") is None
    yield "overlapping ranges", same(a, [(2, 5, 3), (4, 6, 2)], a) is not None
    yield "range past the end", same(a, [(15, 25, 5)], a) is not None
    much = check.too_much
    yield "too wide a range", much(b"A: 1\r\n\r\n" + b"x" * 20000, [(8, 9008, 0)]) is not None
    yield "range in the header", much(b"A: 1\r\n\r\nx", [(4, 9, 5)]) is not None
    yield "grows without bound", much(b"A: 1\r\n\r\nxyz", [(8, 9, 2000)]) is not None
    yield "wide but base64", much(b"Content-Transfer-Encoding: base64\r\n\r\n", [(37, 9037, 9000)]) is None
    yield "mixed ends", check.wire_form(b"a\nb\r\nc") == b"a\r\nb\r\nc\r\n"
    fields = check.header_fields(b"A: 1\r\n 2\r\nB:3\r\n\r\nC: no\r\n")
    yield "folded fields", [name for name, _, _ in fields] == [b"a", b"b"] and fields[0][1:] == (0, 10)
    yield "pixelgate fields", check.own_field_ranges(b"A: 1\r\nPixelgate-Stream: x\r\n y\r\nB: 2\r\n\r\n") == [(6, 31)]
    urls = lambda text: [load.url for load in loads.document_loads(text)]
    yield "entities", urls('<img src="https://a/?x=1&amp;y=2&copy=3&#38;z">') == ["https://a/?x=1&y=2&copy=3&z"]
    yield "unquoted, upper case", urls("<IMG WIDTH=1 SRC=http://a/b>") == ["http://a/b"]
    yield "blanks and line ends", urls("<img src=' https://a/\n b\tc '>") == ["https://a/ bc"]
    yield "conditional comment", urls("<!--[if mso]><v:fill src='//a/b'><![endif]--><!-- <img src='//c'> -->") == ["//a/b"]
    yield "revealed comment", urls("<!--[if !mso]><!--><img src='//a'><!--<![endif]-->") == ["//a"]
    yield "greater-than inside a value", urls("<img alt='a>b' src='//a'>") == ["//a"]
    yield "noscript, not script", urls("<noscript><img src='//a'></noscript><script><img src='//b'></script>") == ["//a"]
    sheet = "<p style=\"background:u\\72l(//e) url('//a')\"><style>/* url(//n) */ @import '//b'; i{c:url(//c\\2f d)}</style>"
    yield "css", urls(sheet) == ["//a", "//e", "//c/d", "//b"]
    yield "srcset", urls("<img srcset='//a 1x, //b 2x'>") == ["//a", "//b"]
    yield "links are no loads", urls("<a href='https://a'>x</a>") == []
    yield from of_pairs()


def of_pairs():
    """What `pairs.py` says of a message with a pixel, a picture of somebody's own and a logo, by what came out of it."""
    pixel, own, logo = b"<img src='https://a.example/o/1'>", b"<img src='https://a.example/live/1.png'>", b"<img src='https://a.example/logo.png'>"
    head = b"Content-Type: text/html\r\n\r\n"
    octets = head + pixel + b"\r\n" + own + b"\r\n" + logo + b"\r\n"
    twin = octets.replace(b"/1", b"/2")
    judged = {1: "tracker", 2: "individual", 3: "content"}

    def complaints(out, cut=(), expected=()):
        said = "".join(json.dumps({"range": [octets.index(tag), octets.index(tag) + len(tag)], "octets": 0}) + "\n" for tag in cut)
        done = subprocess.CompletedProcess([], 0, out, said.encode())
        listed = {("name", number): "" for number in expected}
        return [text.partition(":")[0] for text in pairs.judge_pair_message(done, octets, twin, judged, listed, "name")[1]]

    right = octets.replace(pixel, b"").replace(own, b"")
    yield "pairs: honest", complaints(right, (pixel, own)) == []
    yield "pairs: pass-through", complaints(octets) == ["survives", "untreated"]
    yield "pairs: an expected miss", complaints(octets.replace(pixel, b""), (pixel,), (2,)) == []
    yield "pairs: listed, and treated", complaints(right, (pixel, own), (2,)) == ["untreated"]
    yield "pairs: the logo is gone", complaints(right.replace(logo, b""), (pixel, own, logo)) == ["touched"]
    yield "pairs: an octet outside", complaints(right.replace(b"logo", b"Logo"), (pixel, own)) == ["touched", "touched", "touched"]
    met, wrong = pairs.by_rules({"us7.list-manage.com"}, "")
    yield "pairs: a rule that nothing lists", len(wrong) == len(met - pairs.SURVEYED) and "mailchimp" in met
    yield "pairs: nothing in the survey", len(pairs.by_rules({"us7.list-manage.com"}, "nothing")[1]) >= 1


def main():
    wrong = total = 0
    for name, right in functions():
        total += 1
        wrong += not right
        if not right:
            print(f"FAIL {name}")
    with tempfile.TemporaryDirectory(prefix="pixelgate-judge-") as directory:
        corpus(directory)
        for mode, counter in MODES.items():
            complaint = verdict(mode, counter, *judged(directory, mode))
            total += 1
            wrong += bool(complaint)
            print(f"{'FAIL' if complaint else 'ok'} {mode}: {complaint or ('passes' if counter is None else counter + ' fails')}")
    print(f"judge: {total - wrong} passed, {wrong} failed, 0 skipped")
    return 1 if wrong else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["stand-in"]:
        stand_in(sys.argv[2], sys.argv[3:])
        sys.exit(0)
    sys.exit(main())
