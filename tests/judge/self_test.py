#!/usr/bin/env python3
"""Shows that the judge can say no: runs it against a stand-in for the binary, honest and corrupting.

    self_test.py            the stand-in is this file too, called as `self_test.py strip …` through a script it writes

The stand-in treats a few made-up letters by plain search; each corruption has to draw exactly the complaint that is there for it, and the
honest run has to pass. Then the browser itself: that nothing is missed and nothing leaves, that colours, sizes and variations are what
`browser.py` says. It judges the judge and says nothing about pixelgate.
"""

import contextlib
import io
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import ablation  # noqa: E402
import cases  # noqa: E402
import clients  # noqa: E402
import judge  # noqa: E402
from browser import Answers, Browser, Options, bare, png, program  # noqa: E402
from clients_test import Amp, Every, Gmail, Word  # noqa: E402, F401

TRACKER = b"https://open.shop.example/p/4f1c9a"
PICTURE = b"https://images.shop.example/blanket-300x200.jpg"
PERSON = b"e=8bec8aa4da2b0dbb782905c3e0bc917e"
BLANK = b"data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
PAGE = '<!DOCTYPE html><body><p>Hello</p><img src="https://images.shop.example/blanket-300x200.jpg" width="300" height="200" alt="x">{}<p>Bye</p>'
PIXEL = '<img src="https://open.shop.example/p/4f1c9a" width="1" height="1" alt="">'
LIVE = '<img src="https://live.shop.example/hero-300x200.jpg?e=8bec8aa4da2b0dbb782905c3e0bc917e&amp;w=3" width="300" height="200" alt="">'
LIVE_URL = "https://live.shop.example/hero-300x200.jpg?e=8bec8aa4da2b0dbb782905c3e0bc917e&w=3"
CONTENT = "content: https://images.shop.example/blanket-300x200.jpg\n"
CASES = {
    "tracker": f"vector: img\ntracker: {TRACKER.decode()}\nclient: browser gmail word\n{CONTENT}\n" + PAGE.format(f"<div>{PIXEL}</div>"),
    "benign": f"vector: img\nunchanged: yes\n{CONTENT}\n" + PAGE.format(""),
    "live": f"vector: img\ntracker: {LIVE_URL}\nverdict: individual_content(deidentify)\n{CONTENT}\n" + PAGE.format(LIVE),
    "blank": f"vector: img\ntracker: {LIVE_URL}\nverdict: individual_content(blank)\nclient: browser gmail\n{CONTENT}\n" + PAGE.format(LIVE),
    "ticket": f"vector: img\ntracker: {LIVE_URL}\nverdict: individual_content(report)\nunchanged: yes\n{CONTENT}\n" + PAGE.format(LIVE),
    "cold": f"vector: img\ntracker: {LIVE_URL}\nverdict: unknown_cold\n{CONTENT}\n" + PAGE.format(LIVE),
    "lie": f"vector: text\ntracker: {TRACKER.decode()}\n\n" + PAGE.format(f"<!-- {PIXEL} -->"),
    "dark": f"vector: css\ntracker: {TRACKER.decode()}\n\n"
    + PAGE.format(f"<style>@media (prefers-color-scheme: dark) {{ p {{ background: url({TRACKER.decode()}) }} }}</style>"),
}
# What the stand-in does wrong: what the judge has to say, of which case. The honest one has to draw nothing.
CORRUPTIONS = {
    "honest": {},
    "pass-through": {"tracker": "missed", "live": "missed", "blank": "missed", "dark": "missed"},
    "remove-all-images": {"tracker": "lost", "benign": "altered", "live": "lost", "blank": "lost", "ticket": "altered", "cold": "lost", "dark": "missed"},
    "move-by-a-pixel": {"tracker": "moved", "benign": "altered", "live": "moved", "blank": "moved", "ticket": "altered", "cold": "moved", "dark": "moved"},
    "an-octet-outside": {name: "outside" for name in ("tracker", "benign", "live", "blank", "ticket", "cold", "dark")},
    "cut-the-pixel": {"tracker": "moved"},
    "another-load": {name: "new load" for name in ("tracker", "benign", "live", "blank", "ticket", "cold", "dark")},
    "spare-the-dark": {"dark": "missed"},
    "say-nothing": {"ticket": "missed"},
    "keep-the-person": {"live": "missed"},
    "blank-the-live": {"live": "lost"},
    "shrink-the-blank": {"blank": "moved"},
    "refuse": {name: "refused" for name in ("tracker", "benign", "live", "blank", "ticket", "cold", "dark")},
    "crash": {name: "broken" for name in ("tracker", "benign", "live", "blank", "ticket", "cold", "dark")},
    "misread-other-envelopes": {"tracker@envelope": "missed", "live@envelope": "missed", "blank@envelope": "missed", "dark@envelope": "missed"},
}


# --- the stand-in ----------------------------------------------------------------------------------------------------


def edits(html, mode, name):
    """[(pattern, replacement)] of this stand-in for the decoded HTML."""
    if mode == "pass-through":
        return []
    made = [(re.escape(TRACKER), BLANK)]
    if mode == "spare-the-dark" and b"prefers" in html:
        made = []
    if name == "live" and mode == "blank-the-live":
        made.append((rb"https://live\.shop\.example/[^\"]*", BLANK))
    elif name == "live" and mode != "keep-the-person":
        made.append((PERSON + b"&amp;", b""))
    elif name == "blank":
        made.append((rb"https://live\.shop\.example/[^\"]*", BLANK))
    if mode == "shrink-the-blank" and name == "blank":
        made.append((b'width="300" height="200" alt=""', b'width="1" height="1" alt=""'))
    if mode == "remove-all-images":
        made = [(rb"<img\b[^>]*>", b"")]
    if mode == "move-by-a-pixel":
        made.append((b"<p>Bye", b'<p style="padding-left:1px">Bye'))
    if mode == "cut-the-pixel":
        made = [(re.escape(PIXEL.encode()), b""), *made]
    if mode == "another-load":
        made.append((b"<p>Bye", b'<img hidden src="https://else.shop.example/y"><p>Bye'))
    return made


def stand_in(arguments, mode):
    """`strip`, for the identity encodings only, which is all that most of these cases need; others are decoded by force."""
    message = sys.stdin.buffer.read()
    name = re.search(rb"X-Case: (\w+)", message)[1].decode()
    if mode == "refuse":
        print("pixelgate: rejected (550): no", file=sys.stderr)
        return 65
    if mode == "crash":
        return 101
    envelope = re.search(rb"Content-Transfer-Encoding: (base64|quoted-printable)|charset=utf-16|multipart", message)
    # Everything but the plain envelope is built anew around the edited HTML: only lengths count there, so one range covers the message's body.
    if envelope:
        return rebuilt(message, mode, name)
    head = message.index(b"\r\n\r\n") + 4
    spans = sorted((m.start(), m.end(), m.expand(new.replace(b"\\", b"\\\\"))) for p, new in edits(message, mode, name) for m in re.finditer(p, message[:]))
    spans = [span for span in spans if span[0] >= head]
    out, at = [], 0
    for start, end, new in spans:
        out += [message[at:start], new]
        at = end
    out = b"".join([*out, message[at:]])
    if mode == "an-octet-outside":
        out = out.replace(b"Hello", b"Hallo")
    explain(spans, name, mode)
    sys.stdout.buffer.write(out)
    return 0


def rebuilt(message, mode, name):
    html_part = next(p for p in cases.email.parser.BytesParser().parsebytes(message).walk() if p.get_content_type() == "text/html")
    raw = html_part.get_payload().encode("ascii", "surrogateescape")
    start = message.index(raw)
    charset, encoding = html_part.get_content_charset(), html_part["Content-Transfer-Encoding"]
    html = html_part.get_payload(decode=True).decode(charset).encode()
    for pattern, new in [] if mode == "misread-other-envelopes" else edits(html, mode, name):
        html = re.sub(pattern, new.replace(b"\\", b"\\\\"), html)
    octets = html.decode().encode(charset)
    if encoding == "base64":
        octets = cases.encodebytes(octets).replace(b"\n", b"\r\n")
    elif encoding == "quoted-printable":
        octets = cases.encodestring(octets.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")
    octets = octets[: len(octets) - len(octets.rstrip(b"\r\n"))] if not octets.strip() else octets.rstrip(b"\r\n") + raw[len(raw.rstrip(b"\r\n")) :]
    same = octets == raw
    explain([] if same else [(start, start + len(raw), octets)], name, mode)
    sys.stdout.buffer.write(message if same else message[:start] + octets + message[start + len(raw) :])
    return 0


def explain(spans, name, mode):
    if spans or (name == "ticket" and mode != "say-nothing"):
        print(json.dumps({"action": "stripped" if spans else "kept", "evidence": ["made-up"]}), file=sys.stderr)
    for start, end, new in spans:
        print(json.dumps({"range": [start, end], "octets": len(new)}), file=sys.stderr)


# --- the judge against it --------------------------------------------------------------------------------------------


class Corruptions(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.browser, cls.seen = Browser(), {}

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()

    def judged(self, mode, expected=None):
        with tempfile.TemporaryDirectory() as work:
            binary = os.path.join(work, "pixelgate")
            with open(binary, "w", encoding="utf-8") as script:
                script.write(f'#!/bin/sh\nexec "{sys.executable}" "{os.path.abspath(__file__)}" --stand-in {mode} "$@"\n')
            os.chmod(binary, 0o755)
            read = [cases.parse(f"self/cases/{name}", text) for name, text in CASES.items()]
            for case in read:
                case.headers.append(f"X-Case: {case.name.rpartition('/')[2]}")
            said = io.StringIO()
            with contextlib.redirect_stdout(said):
                judged, counted = judge.run(binary, read, self.browser, expected=expected or {}, scores=True, seen=self.seen)
            return judged, counted, said.getvalue()

    def test_each_is_caught_and_nothing_else(self):
        for mode, wanted in CORRUPTIONS.items():
            with self.subTest(mode):
                judged, counted, said = self.judged(mode)
                failed = {one.name.rpartition("/")[2]: one for one in judged if one.failed}
                self.assertEqual(set(failed), set(wanted), said)
                for name, complaint in wanted.items():
                    words = [failed[name].state, *failed[name].complaints]
                    self.assertTrue(any(word.startswith(complaint) for word in words), f"{name}: {words}")
                # The lie is a comment, which no browser loads: no tracker, whatever its file says.
                self.assertEqual([one.state for one in judged if one.name.endswith("/lie")], ["not requested"])
                self.assertEqual(counted[1:], (len(wanted), 1))

    def test_expected_misses_are_honest(self):
        _, counted, said = self.judged("pass-through", {"self/cases/tracker": "not looked at yet"})
        self.assertEqual(counted[1], 3, said)
        self.assertIn("expected self/cases/tracker: missed: not looked at yet", said)
        _, counted, said = self.judged("honest", {"self/cases/tracker": "not looked at yet"})
        self.assertEqual(counted[1], 1, said)
        self.assertIn("is listed as an expected miss and passes", said)
        _, counted, said = self.judged("honest", {"self/cases/gone": "of old"})
        self.assertEqual(counted[1], 1, said)
        self.assertIn("is listed as an expected miss and is no case", said)

    def test_score(self):
        _, _, said = self.judged("pass-through")
        self.assertIn("score: trackers found 0 of 2 (0.0 %)", said)
        self.assertIn("score: not requested by Chromium, so not counted: 1", said)
        _, _, said = self.judged("honest")
        self.assertIn("score: trackers found 2 of 2 (100.0 %)", said)
        self.assertIn("score: individual_content(deidentify) treated 1 of 1", said)


# --- browser, cases --------------------------------------------------------------------------------------------------


class TheBrowser(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.browser = Browser()

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()

    def urls(self, html, **options):
        return {bare(url) for url in self.browser.render(html, Options(**options)).urls()}

    def test_nothing_is_left_behind(self):
        browser = Browser()
        browser.render("<p>x")
        inside = os.listdir(browser.directory)
        browser.close()
        self.assertTrue(any(name.startswith("org.chromium.") for name in inside), inside)
        self.assertFalse(os.path.exists(browser.directory))

    def test_variations_load_what_they_should(self):
        html = """<style>@media print { p { background: url(//h.example/print) } }
        @media (prefers-color-scheme: dark) { p { background: url(//h.example/dark) } }
        @media (max-width: 400px) { p { background: url(//h.example/narrow) } } i:hover { background: url(//h.example/hover) }</style>
        <p>x <i>y</i></p><img srcset="//h.example/one 1x, //h.example/two 2x"><noscript><img src="//h.example/noscript"></noscript>
        <script>new Image().src = "//h.example/script"</script>"""
        base = {"//h.example/one", "//h.example/noscript"}
        for options, more in [
            ({}, set()),
            ({"print": True}, {"//h.example/print"}),
            ({"dark": True}, {"//h.example/dark"}),
            ({"width": 320}, {"//h.example/narrow"}),
            ({"hover": True}, {"//h.example/hover"}),
        ]:
            self.assertEqual(self.urls(html, **options), base | more, options)
        self.assertEqual(self.urls(html, dpr=2), {"//h.example/two", "//h.example/noscript"})
        self.assertEqual(self.urls(html, scripts=True), {"//h.example/one", "//h.example/script"})

    def test_what_the_fetch_domain_cannot_see(self):
        html = """<link rel="dns-prefetch" href="//a.example"><link rel="preconnect stylesheet" href="//b.example/s">
        <link rel="icon" href="//c.example/i"><meta http-equiv="Refresh" content="30; URL='//d.example/r'"><link rel="canonical" href="//e.example/">"""
        kinds = {(request.type, bare(request.url)) for request in self.browser.render(html).requests}
        kinds.discard(("Other", "//c.example/i"))  # Some Chromiums fetch the icon of a page that nobody sees.
        hints = {("hint:dns-prefetch", "//a.example/"), ("hint:preconnect", "//b.example/s"), ("Stylesheet", "//b.example/s")}
        self.assertEqual(kinds, hints | {("hint:icon", "//c.example/i"), ("hint:refresh", "//d.example/r")})

    def test_frames_and_late_requests_are_seen(self):
        html = """<iframe srcdoc="<img src=//h.example/srcdoc>"></iframe><iframe src="data:text/html,<img src=http://h.example/data>"></iframe>
        <div style="height:5000px"></div><img loading="lazy" src="//h.example/lazy"><script>setTimeout(() => new Image().src = "//h.example/soon", 1)</script>"""
        # What stands below everything that is looked at may stay lazy.
        self.assertLessEqual({"//h.example/srcdoc", "//h.example/data", "//h.example/soon"}, self.urls(html, scripts=True))
        self.assertEqual(self.urls('<meta http-equiv=refresh content="0;url=//h.example/away"><p>x'), {"//h.example/away"})

    def test_nothing_is_taken_from_the_document_before(self):
        narrow = '<picture><source media="(max-width: 400px)" srcset="//h.example/narrow"><img src="//h.example/wide"></picture>'
        for _ in range(3):
            self.assertEqual(self.urls(narrow), {"//h.example/wide"})
            self.assertEqual(self.urls("<p>nothing", width=320), set())
            self.assertEqual(self.urls("<p><img src=//h.example/wide>"), {"//h.example/wide"})

    def test_nothing_leaves(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            address = f"127.0.0.1:{server.getsockname()[1]}"
            server.settimeout(1)
            arrived = []

            def listen():
                with contextlib.suppress(OSError):
                    arrived.append(server.accept())

            listening = threading.Thread(target=listen)
            listening.start()
            html = f"""<link rel=preconnect href=http://{address}><img src=http://{address}/i><iframe src=http://{address}/f></iframe>
            <script>new WebSocket("ws://{address}/w"); fetch("http://{address}/x"); navigator.sendBeacon("http://{address}/b");
            new RTCPeerConnection({{iceServers: [{{urls: "stun:{address}"}}]}}).createOffer()</script>"""
            self.assertIn(f"//{address}/i", self.urls(html, scripts=True))
            listening.join()
            self.assertEqual(arrived, [])

    def test_pictures(self):
        html = '<body style="margin:0"><img src="//h.example/a-50x20.png" style="display:block">'
        one = self.browser.render(html)
        self.assertEqual(one.picture, self.browser.render(html).picture)
        self.assertNotEqual(one.picture, self.browser.render(html.replace("a-50", "b-50")).picture)
        same = Answers(without_query=True)
        first, second = (self.browser.render(html.replace(".png", f".png?{q}"), answers=same).picture for q in "xy")
        self.assertEqual(first, second)
        empty = self.browser.render('<body style="margin:0"><div style="height:20px">')
        clear = self.browser.render(html, answers=Answers(clear=frozenset({"//h.example/a-50x20.png"})))
        self.assertEqual(empty.picture, clear.picture)
        self.assertEqual(judge.difference(empty.png, one.png), "50x20 pixels at 0,0 of 600x800 differ")

    def test_difference_reads_every_filter(self):
        before, after = png(3, 2, (9, 8, 7, 255)), png(3, 2, (9, 8, 6, 255))
        self.assertIsNone(judge.difference(before, before))
        self.assertEqual(judge.difference(before, after), "3x2 pixels at 0,0 of 3x2 differ")
        self.assertIn("instead of", judge.difference(before, png(3, 3, (9, 8, 7, 255))))
        for how, rows in {1: b"\x01\x02", 2: b"\x01\x03", 3: b"\x01\x02", 4: b"\x01\x02"}.items():
            row = bytearray(rows)
            judge.unfilter(how, row, bytearray(b"\x05\x06"), 1)
            wanted = {1: b"\x01\x03", 2: b"\x06\x09", 3: b"\x03\x06", 4: b"\x06\x08"}[how]
            self.assertEqual(bytes(row), wanted, how)


class TheCases(unittest.TestCase):
    def test_every_envelope_gives_back_the_html(self):
        case = cases.parse("a/b/c", "vector: img\n\n<p>caf\xe9</p>\n<p>x</p>\n")
        seen = set()
        for charset in cases.CHARSETS:
            for encoding in cases.TRANSFER:
                for shape in (*cases.SHAPES, "amp"):
                    envelope = cases.Envelope(charset, encoding, shape)
                    if cases.fits(case.html, envelope):
                        self.assertEqual(cases.html_of(cases.message(case, envelope), envelope), case.html, envelope)
                        seen.add(charset)
        self.assertEqual(seen, {"utf-8", "iso-8859-1", "windows-1252", "utf-16"})

    def test_what_breaks_the_format_is_said(self):
        for text in ("vector: img\n<p>", "vektor: img\n\n<p>", "vector: a\nvector: b\n\n", "client: lynx\n\n", "verdict: maybe\n\n"):
            self.assertRaises(cases.CaseError, cases.parse, "a/b/c", text)

    def test_a_broken_file_does_not_stop_the_others(self):
        with tempfile.TemporaryDirectory() as place:
            for name, text in (("a.case", "vector: img\n\n<p>"), ("b.case", "no blank line")):
                with open(os.path.join(place, name), "w", encoding="utf-8") as case:
                    case.write(text)
            broken = []
            self.assertEqual(len(cases.read([place], broken)), 1)
            self.assertEqual(len(broken), 1)
            self.assertRaises(cases.CaseError, cases.read, [place])

    def test_what_an_operator_declares_is_configured(self):
        case = cases.parse("a/b/c", "operator-host: t.example\noperator-marker: pixel\nclient: browser, word\n\n<p>x")
        self.assertEqual(judge.own(case), 'endpoints = ["t.example"]\nmarkers = ["pixel"]')
        self.assertEqual(case.clients, ["browser", "word"])
        self.assertEqual(judge.own(ablation.no_operator(case)), "")

    def test_an_amp_part_travels_as_one(self):
        case = cases.parse("a/b/c", "part: text/x-amp-html\n\n<p>x\n")
        self.assertEqual((cases.plain(case).shape, cases.rotated(case).shape), ("amp", "amp"))

    def test_every_file_of_the_held_out_set_is_read(self):
        broken = []
        read = cases.read([os.path.join(HERE, "..", "heldout")], broken)
        self.assertEqual((broken, len(read) > 400), ([], True))

    def test_the_computed_corpus_is_what_the_generator_writes(self):
        ran = subprocess.run([sys.executable, os.path.join(HERE, "generate.py"), "--check"], capture_output=True, check=False)
        self.assertEqual((ran.returncode, ran.stdout), (0, b""))

    def test_the_corpus_is_large_enough(self):
        read = cases.read([os.path.join(HERE, "cases")])
        trackers = [case for case in read if not case.benign]
        self.assertGreaterEqual(len(trackers), 80)
        self.assertGreaterEqual(len(read) - len(trackers), 80)
        self.assertGreaterEqual(len({case.get("vector") for case in trackers}), 40)
        self.assertTrue(all(client in clients.MODELS for case in read for client in case.clients))


class TheArms(unittest.TestCase):
    """What `ablation.py` does to a letter."""

    def test_sizes_are_falsified_and_nothing_else(self):
        html = '<img src="//h.example/1?width=1" width="1" height=\'1\' style="width: 1px; height:2px"><td width=100 height="1%"><i style="line-height:1">'
        false = ablation.false_sizes(cases.parse("a/b/c", "vector: img\n\n" + html)).html
        # A size that stands in a URL is changed, too: then that URL is not requested, and counts nowhere.
        wanted = '<img src="//h.example/1?width=11" width="11" height=\'5\' style="width: 11px; height:5px"><td width=100 height="1%"><i style="line-height:5">'
        self.assertEqual(false, wanted)

    def test_other_readers_have_other_tokens_and_the_same_content(self):
        url, logo = "https://t.example/o/a8f3k2c97d41?e=nadia%40example.net", "https://t.example/logo-a8f3.png"
        case = cases.parse("a/b/c", f"tracker: {url}\ncontent: {logo}\nreverse-path: b-a8f3k2c97d41@m.example\n\n<img src='{url}'><img src='{logo}'>\n")
        letters = [ablation.letter_to(case, reader, "s") for reader in range(3)]
        self.assertEqual(len({octets for _, _, octets in letters}), 3)
        for reverse_path, address, octets in letters:
            self.assertIn(address.replace("@", "%40").encode(), octets)
            self.assertIn(logo.encode(), octets)
            self.assertNotIn(b"a8f3k2c97d41", octets)
            self.assertNotIn("a8f3k2c97d41", reverse_path)
            self.assertIn(reverse_path[2:14].encode(), octets)
            self.assertIn(b"Pixelgate-Stream: s\r\n", octets)

    def test_a_letter_whose_tokens_cannot_be_replaced_teaches_nothing(self):
        case = cases.parse("a/b/c", "tracker: https://t.example/o/a8f3k2c97d41\n\n<img src='https://t.example/o/a8f3k2&#99;97d41'>")
        self.assertIsNone(ablation.letter_to(case, 1, "s"))

    def test_what_rests_on_invisibility_alone_is_missed(self):
        case = cases.parse("a/b/c", f"tracker: {TRACKER.decode()}\n\n<p>")
        one = judge.Judged(case.name, case, None, "found")
        for evidence, state in ((["tiny:1x1"], "missed"), (["unseen:hidden"], "missed"), (["tiny:1x1", "recipient:md5"], "found")):
            explanation = judge.Explanation(json.dumps({"action": "stripped", "evidence": evidence}).encode())
            self.assertEqual(ablation.without_invisibility([one], {case.name: explanation})[0].state, state)


def main():
    if sys.argv[1:2] == ["--stand-in"]:
        return stand_in(sys.argv[3:], sys.argv[2])
    if not program():
        print("the judge needs Chromium (Debian: chromium)", file=sys.stderr)
        return 69
    result = unittest.TextTestRunner(stream=sys.stderr, verbosity=1).run(unittest.defaultTestLoader.loadTestsFromModule(sys.modules[__name__]))
    failed = len(result.failures) + len(result.errors)
    print(f"judgment: {result.testsRun - min(failed, result.testsRun)} passed, {failed} failed, {len(result.skipped)} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
