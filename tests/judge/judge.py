#!/usr/bin/env python3
"""The judge of detection: Chromium says what a document requests and how it looks, before and after `pixelgate strip`.

    judge.py --binary PATH [--cases DIR]... [--expected FILE] [--quick] [--score] [--only TEXT] [--pictures DIR] [--pages N]

For each case (`cases.py`) a message is built around its HTML, twice: plainly, and in another charset, transfer encoding and shape. The binary
strips it for somebody who consented to nothing. Both documents are shown in the client models that the case names (`clients.py`), in several
widths, densities and media (`browser.py`). Judged:

    truth       the original requests the tracker's address in some variation. Where it does not, the case is `not requested`: counted as
                skipped, and no word of the case file makes it a tracker
    found       no request of the stripped document is to a tracker's address, in no variation (addresses are compared without scheme)
    lost        every `content` address that the original requests is requested by the stripped one too
    new load    the stripped document requests nothing that the original does not
    undeclared  said, not counted: a benign case that requests what it does not list as content
    moved       the screenshots are equal, pixel for pixel; trackers are answered with a transparent 1x1 GIF, content with a colour
                made from its address. An individual picture that the relay blanked is compared with itself transparent; one whose parameter it dropped, by
                path. In the gmail and word models the place of a blanked picture may show its `alt`: there only the page's size counts
    outside     the message is unchanged, octet for octet, outside the ranges that `--explain` reports
    altered     a case with `unchanged: yes` comes out as it went in
    refused     the message was not stripped but refused: the tracker goes nowhere, and neither does the letter

`verdict: unknown_cold` says that one message alone cannot show it: found or not, only the rest is judged.
`--expected` (default `expected_misses.txt` beside this file): `NAME: reason` a line. A listed case that fails counts as passed and is
listed; a listed case that passes, or does not exist, has failed. The judge shares no code with the relay and knows none of its rules.
"""

import argparse
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "realmail")]
import cases as case_files  # noqa: E402
import clients  # noqa: E402
from browser import Answers, Browser, BrowserFailure, Options, bare, program  # noqa: E402
from check import Explanation, difference_outside, too_much  # noqa: E402

FIRST = Options()
OTHERS = (
    Options(scripts=True, width=320, dpr=2),
    Options(width=1280, print=True),
    Options(scripts=True, dark=True),
    Options(hover=True),
    Options(width=320),
)
# Documents with one of these may look or load otherwise in another variation: they are shown in all of them.
VARIABLE = re.compile(r"@media|@container|@supports|srcset|image-set|<noscript|<script|:hover|:focus|prefers-|media\s*=|<picture", re.I)
STRIP_TIMEOUT = 60
CONFIG = """[[listener]]
address = "127.0.0.1:2525"
[[next_hop]]
address = "maildir:{work}/outbox"
[[stream]]
name = "{stream}"
controller = "shop"
kind = "{kind}"
{own}
withdrawal_link = {{ elsewhere = "nothing is kept here" }}
[[stream.tracker]]
hosts = ["*"]
purposes = ["campaign_performance"]
[consent]
register = "sqlite:{work}/consent.db"
[keys]
directory = "{work}/keys"
[spool]
directory = "{work}/spool"
[ledger]
directory = "{work}/ledger"
[learn]
directory = "{work}/learn"
{more}
"""


# --- the binary ------------------------------------------------------------------------------------------------------


class Strip:
    """`pixelgate strip`, with a configuration and a directory for each kind of stream and each operator's own.

    `more`: text that ends each configuration. What a case says of its operator stands in the configuration.
    """

    def __init__(self, binary, work, more=""):
        self.binary, self.work, self.more, self.lock = os.path.abspath(binary), work, more, threading.Lock()
        self.configs, self.locks = {}, {}

    def stream(self, case):
        """Name of the stream that the case is sent by."""
        return "judged"

    def arguments(self, case):
        """More words for the command."""
        return []

    def _config(self, case):
        wanted = (case.get("kind", "marketing"), own(case), self.stream(case))
        with self.lock:
            if wanted not in self.configs:
                place = os.path.join(self.work, str(len(self.configs)))
                os.makedirs(place)
                self.configs[wanted] = os.path.join(place, "pixelgate.toml")
                self.locks[wanted] = threading.Lock()
                kind, operator, stream = wanted
                with open(self.configs[wanted], "w", encoding="utf-8") as config:
                    config.write(CONFIG.format(work=place, kind=kind, own=operator, stream=stream, more=self.more))
            return self.configs[wanted], self.locks[wanted]

    def __call__(self, case, octets):
        """(stripped message or None where it was refused, what --explain said, the last line of standard error)."""
        config, lock = self._config(case)
        command = [self.binary, "strip", "-c", config, "--to", case.get("recipient", "nadia@example.net"), "--explain"]
        command += ["--from", case.get("reverse-path", "letter@shop.example"), *self.arguments(case)]
        with lock:
            ran = subprocess.run(command, input=octets, capture_output=True, timeout=STRIP_TIMEOUT, check=False)
        said = ran.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        if ran.returncode == 0:
            return ran.stdout, Explanation(ran.stderr), said
        if ran.returncode == 65 and re.search(r"(rejected|held|refused)", said):
            return None, Explanation(ran.stderr), said
        raise RuntimeError(f"strip ended with {ran.returncode}: {said[:200]}")


def own(case):
    """Lines of a stream's configuration: what its operator says of the tracker."""
    endpoints = [case.get(key) for key in ("operator-host", "operator-path") if case.get(key)]
    markers = [case.get("operator-marker")] if case.get("operator-marker") else []
    lines = [f"{key} = {json.dumps(values)}" for key, values in (("endpoints", endpoints), ("markers", markers)) if values]
    return "\n".join(lines)


# --- pictures --------------------------------------------------------------------------------------------------------


def pixels(png):
    """(width, height, rows) of a PNG as Chromium writes it: 8 bits, RGB or RGBA, not interlaced."""
    at, data, width, height, channels = 8, [], 0, 0, 4
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        kind, body = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            width, height, _, colour = struct.unpack_from(">IIBB", body)
            channels = {2: 3, 6: 4}[colour]
        elif kind == b"IDAT":
            data.append(body)
        at += 12 + length
    raw, stride = zlib.decompress(b"".join(data)), width * channels
    rows, above = [], bytearray(stride)
    for y in range(height):
        start = y * (stride + 1)
        row = bytearray(raw[start + 1 : start + 1 + stride])
        unfilter(raw[start], row, above, channels)
        rows.append(row)
        above = row
    return width, height, channels, rows


def unfilter(how, row, above, channels):
    if how == 2:
        row[:] = bytes((a + b) & 255 for a, b in zip(row, above))
    elif how:
        for x, value in enumerate(row):
            left, up = (row[x - channels] if x >= channels else 0), above[x]
            corner = above[x - channels] if x >= channels else 0
            guess = {1: left, 3: (left + up) // 2}.get(how)
            if guess is None:
                base = left + up - corner
                guess = min((left, up, corner), key=lambda near: abs(base - near))
            row[x] = (value + guess) & 255


def difference(before, after):
    """What differs between two screenshots, in words; None where nothing does."""
    if before == after:
        return None
    (width, height, channels, rows), (width2, height2, channels2, rows2) = pixels(before), pixels(after)
    if (width, height) != (width2, height2):
        return f"the page is {width2}x{height2} instead of {width}x{height}"
    if channels != channels2:
        rows = [bytearray(v for x in range(width) for v in row[x * channels : x * channels + 3]) for row in rows]
        rows2 = [bytearray(v for x in range(width) for v in row[x * channels2 : x * channels2 + 3]) for row in rows2]
        channels = 3
    differ = [y for y in range(height) if rows[y] != rows2[y]]
    if not differ:
        return None
    columns = [x for x in range(width) for c in [slice(x * channels, (x + 1) * channels)] if any(rows[y][c] != rows2[y][c] for y in differ)]
    return (
        f"{columns[-1] - columns[0] + 1}x{differ[-1] - differ[0] + 1} pixels at {columns[0]},{differ[0]}"
        f" of {width}x{height} differ"
    )


def size(png):
    return struct.unpack_from(">II", png, 16)


# --- one case --------------------------------------------------------------------------------------------------------


@dataclass
class Judged:
    """What came out for one case in one envelope. `state`: found, missed, refused, kept, not requested, broken."""

    name: str
    case: object
    envelope: object
    state: str = "kept"
    requested: bool = True
    complaints: list = field(default_factory=list)
    evidence: str = ""
    undeclared: list = field(default_factory=list)

    @property
    def failed(self):
        wrong = {"missed", "refused", "broken"} - ({"missed"} if self.case.verdict == "unknown_cold" else set())
        return self.state in wrong or bool(self.complaints)


INDIVIDUAL = "individual_content"
INDIVIDUAL_REPORT = "individual_content(report)"


class Judge:
    """`seen`: reports of originals that are known already, to be added to; without it each is forgotten with its case."""

    def __init__(self, browser, strip, quick=False, pictures=None, seen=None):
        self.browser, self.strip, self.quick, self.pictures = browser, strip, quick, pictures
        self.forgets, self.seen = seen is None, {} if seen is None else seen
        self.renders, self.lock = 0, threading.Lock()

    def render(self, shown, options, answers, original=True, drawn=True):
        key = (shown, options, answers, drawn)
        with self.lock:
            if key in self.seen:
                return self.seen[key]
        report = self.browser.render(shown, options, answers, drawn)
        with self.lock:
            self.renders += 1
            if original:
                self.seen[key] = report
        return report

    def variations(self, case):
        """Models and options, the fullest set where the document could depend on them, else the first and one more."""
        number = zlib.crc32(case.name.encode())
        some = (FIRST,) if self.quick else (FIRST, *OTHERS) if VARIABLE.search(case.html) else (FIRST, OTHERS[number % len(OTHERS)])
        models = case.clients
        return [(models[0], options) for options in some] + [(model, FIRST) for model in models[1:]]

    def everything(self, case):
        return [(model, options) for model in case.clients for options in (FIRST, *OTHERS)]

    def addresses(self, case):
        written = self.browser.canonical([*case.trackers, *case.contents])
        written = [bare(url) for url in written]
        return frozenset(written[: len(case.trackers)]), frozenset(written[len(case.trackers) :])

    def judge(self, case):
        """One or two `Judged`: the plain envelope, and, where that went well, the other."""
        judged = []
        for envelope, mark in ((case_files.plain(case), ""), (case_files.rotated(case), "@envelope")):
            one = Judged(case.name + mark, case, envelope)
            judged.append(one)
            try:
                self._judge(one, first=not mark)
            except (BrowserFailure, RuntimeError, subprocess.TimeoutExpired, LookupError, ValueError) as why:
                one.state = "broken"
                one.complaints.append(f"{type(why).__name__}: {why}")
            if one.failed or self.quick or one.state == "not requested":
                break
        if self.forgets:
            own = {clients.show(model, case_files.lines(case.html).replace("\r\n", "\n")) for model in case.clients}
            with self.lock:
                for key in [key for key in self.seen if key[0] in own]:
                    del self.seen[key]
        return judged

    def _judge(self, one, first):
        case = one.case
        octets = case_files.message(case, one.envelope)
        original = case_files.html_of(octets, one.envelope)
        trackers, contents = self.addresses(case)
        variations = self.variations(case) if first else self.variations(case)[:1]
        failure = stripped = after = None
        try:
            stripped, explanation, said = self.strip(case, octets)
            after = case_files.html_of(stripped, one.envelope) if stripped is not None else None
        except (RuntimeError, subprocess.TimeoutExpired) as why:
            failure = why
        # Only what was changed can look otherwise: the rest is not drawn.
        drawn = after is not None and after != original
        if first and not self._truth(one, original, trackers, contents, variations, drawn):
            return
        if failure:
            raise failure
        if stripped is None:
            one.state = "refused"
            one.complaints.append(said[:200])
            return
        one.evidence = "; ".join(sorted({",".join(f.get("evidence") or ()) for f in explanation.findings}))
        self._octets(one, octets, stripped, explanation)
        if case.trackers:
            one.state = "found"
        if after == original:
            # Nothing changed, so the same is requested and the same is seen.
            one.state = "missed" if case.trackers else "kept"
            if case.verdict == INDIVIDUAL_REPORT and explanation.findings:
                one.state = "found"
            return
        if after is None:
            one.complaints.append("lost: the HTML part is gone")
            return
        for model, options in variations:
            self._compare(one, model, options, original, after, trackers, contents, explanation)

    def _answers(self, case, trackers):
        if case.verdict.startswith(INDIVIDUAL):
            return Answers(without_query=True)
        return Answers(blank=trackers)

    def _truth(self, one, original, trackers, contents, variations, drawn):
        """Whether the original requests what the case says it does, in some variation."""
        answers = self._answers(one.case, trackers)
        wanted = set(trackers) | set(contents)
        tried, seen = set(), set()
        for model, options in [*variations, *self.everything(one.case)]:
            if tried and not wanted:
                break
            if (model, options) not in tried:
                tried.add((model, options))
                report = self.render(clients.show(model, original), options, answers, drawn=drawn)
                seen |= {bare(url) for url in report.urls()}
                wanted -= seen
        one.undeclared = sorted(seen - trackers - contents)
        if wanted:
            one.state = "not requested"
            one.requested = not trackers & wanted
            one.evidence = "never requested: " + ", ".join(sorted(wanted))
        return not wanted

    def _octets(self, one, before, after, explanation):
        complaint = too_much(before, explanation.splices) or difference_outside(before, explanation.splices, after)
        if complaint:
            one.complaints.append(f"outside: {complaint}")
        if one.case.unchanged and before != after:
            one.complaints.append("altered: it should have come out as it went in")

    def _compare(self, one, model, options, original, after, trackers, contents, explanation):
        case, where = one.case, f"in {model} {options}"
        answers = self._answers(case, trackers)
        was = self.render(clients.show(model, original), options, answers)
        now = self.render(clients.show(model, after), options, answers, original=False)
        were, are = {bare(url) for url in was.urls()}, {bare(url) for url in now.urls()}
        if case.verdict == INDIVIDUAL_REPORT:
            one.state = "found" if explanation.findings else "missed"
        elif trackers & are:
            one.state = "missed"
        for url in sorted(contents & were - are):
            one.complaints.append(f"lost: {url} is not requested any more {where}")
        paths = {url.partition("?")[0] for url in trackers} if case.verdict.startswith(INDIVIDUAL) else set()
        declared = {bare(url) for url in case.deidentified}
        reduced = {url for url in are - were if url.partition("?")[0] in paths or url in declared}
        for url in sorted(are - were - reduced):
            one.complaints.append(f"new load: {url} {where}")
        if case.verdict == "individual_content(deidentify)" and trackers & were and not trackers & are and not reduced:
            one.complaints.append(f"lost: the picture is not requested in any form {where}")
        if was.picture == now.picture or any(complaint.startswith("moved") for complaint in one.complaints):
            return
        blanked = case.verdict.startswith(INDIVIDUAL) and not reduced
        if blanked:
            answers = Answers(clear=trackers, without_query=True)
            was = self.render(clients.show(model, original), options, answers)
            if was.picture == now.picture or (model != "browser" and size(was.png) == size(now.png)):
                return
        # Once more, in case the machine and not the message moved it.
        was = self.browser.render(clients.show(model, original), options, answers)
        now = self.browser.render(clients.show(model, after), options, answers)
        moved = difference(was.png, now.png)
        if moved:
            one.complaints.append(f"moved: {moved} {where}")
            self._keep(case, f"{model} {options}", was, now)

    def _keep(self, case, variation, was, now):
        if self.pictures:
            stem = os.path.join(self.pictures, f"{case.name} {variation}".replace("/", "_").replace(" ", "_"))
            for suffix, report in (("before", was), ("after", now)):
                with open(f"{stem}_{suffix}.png", "wb") as picture:
                    picture.write(report.png)


# --- the account -----------------------------------------------------------------------------------------------------


def table(judged, key):
    """Lines of a table: cases by one of their keys, and what became of them. Plain envelopes only."""
    columns = "cases found missed refused cold altered moved skipped".split()
    rows = defaultdict(Counter)
    for one in judged:
        if one.name != one.case.name:
            continue
        row = rows[one.case.get(key) or "-"]
        row["cases"] += 1
        if one.state == "not requested":
            row["skipped"] += 1
            continue
        if not one.case.benign:
            cold = one.case.verdict == "unknown_cold" and one.state == "missed"
            row["cold" if cold else one.state] += 1
        row["altered"] += any(re.match("altered|lost|new load|outside", c) for c in one.complaints) or (
            one.case.benign and one.state == "refused"
        )
        row["moved"] += any(c.startswith("moved") for c in one.complaints)
    width = max(len(key), *(len(name) for name in rows), 5)
    lines = [f"{key:<{width}} " + " ".join(f"{c:>7}" for c in columns)]
    total = Counter()
    for name in sorted(rows):
        total.update(rows[name])
        lines.append(f"{name:<{width}} " + " ".join(f"{rows[name][c] or '.':>7}" for c in columns))
    lines.append(f"{'all':<{width}} " + " ".join(f"{total[c]:>7}" for c in columns))
    return lines


def score(judged):
    """Recall and false alterations, plain envelopes only; `not requested` counts nowhere."""
    plain = [one for one in judged if one.name == one.case.name and one.state != "not requested"]
    lines = []

    def share(name, ones, good):
        lines.append(f"score: {name} {sum(map(good, ones))} of {len(ones)}" + (f" ({100 * sum(map(good, ones)) / len(ones):.1f} %)" if ones else ""))

    verdicts = defaultdict(list)
    for one in plain:
        verdicts["benign" if one.case.benign else one.case.verdict].append(one)
    trackers = verdicts.pop("stripped", []) + verdicts.pop("aggregate", [])
    benign = verdicts.pop("benign", [])
    share("trackers found", trackers, lambda one: one.state == "found")
    for verdict in sorted(verdicts):
        share(f"{verdict} treated", verdicts[verdict], lambda one: one.state == "found")
    share("benign letters altered, refused or moved", benign, lambda one: one.failed)
    share("letters with trackers in which something else was lost or moved", [o for o in plain if not o.case.benign], lambda one: one.state != "refused" and bool(one.complaints))
    skipped = sum(one.name == one.case.name and one.state == "not requested" for one in judged)
    return lines + [f"score: not requested by Chromium, so not counted: {skipped}"]


def expectations(path):
    expected = {}
    if path and os.path.exists(path):
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                if line.strip() and not line.startswith("#"):
                    name, _, reason = line.strip().partition(": ")
                    expected[name] = reason
    return expected


def account(judged, expected, prefixes):
    """Prints each failure; returns (passed, failed, skipped)."""
    passed = failed = skipped = 0
    for one in judged:
        what = "; ".join([one.state, *one.complaints[:4]]) + (f" (evidence: {one.evidence})" if one.evidence else "")
        if one.undeclared and one.case.benign:
            print(f"undeclared {one.name}: requests also {', '.join(one.undeclared)}")
        if one.state == "not requested":
            print(f"not requested {one.name}: {one.evidence}")
            skipped += 1
        elif one.failed and one.name in expected:
            print(f"expected {one.name}: {what}: {expected[one.name]}")
            passed += 1
        elif one.failed:
            print(f"FAIL {one.name} [{one.envelope}]: {what}")
            failed += 1
        elif one.name in expected:
            print(f"FAIL {one.name}: is listed as an expected miss and passes: take it off the list")
            failed += 1
        else:
            passed += 1
    known = {one.name for one in judged}
    for name in expected:
        # `NAME@envelope` is judged only where NAME passes.
        if name not in known and name.split("@")[0] not in known and any(name.startswith(p) for p in prefixes):
            print(f"FAIL {name}: is listed as an expected miss and is no case")
            failed += 1
    return passed, failed, skipped


def run(binary, cases, browser, *, expected, quick=False, pages=3, pictures=None, tables=True, scores=False, whole=True, seen=None, broken=()):
    """Judges `cases` and prints what came out: (every `Judged`, (passed, failed, skipped))."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="pixelgate-judge-") as work:
        judge = Judge(browser, Strip(binary, work), quick, pictures, seen)
        with ThreadPoolExecutor(pages) as pool:
            judged = [one for some in pool.map(judge.judge, cases) for one in some]
        version, renders = browser.version, judge.renders
    prefixes = {case.name.rpartition("/")[0] + "/" for case in cases} if whole else set()
    counted = account(judged, expected, prefixes)
    for why in broken:
        print(f"FAIL {why}")
    counted = (counted[0], counted[1] + len(broken), counted[2])
    if tables:
        for key in ("vector", "hiding", "evidence"):
            print("\n" + "\n".join(table(judged, key)))
        print("\n" + "\n".join(envelopes(judged)))
    if scores:
        print("\n" + "\n".join(score(judged)))
    print(f"\n{len(cases)} cases, {renders} pages shown by {version} in {time.monotonic() - began:.0f} s")
    print(f"judge: {counted[0]} passed, {counted[1]} failed, {counted[2]} skipped", flush=True)
    return judged, counted


def envelopes(judged):
    """How the second envelopes went, by charset and transfer encoding."""
    rows = defaultdict(Counter)
    for one in judged:
        if one.name != one.case.name:
            rows[f"{one.envelope.charset} {one.envelope.encoding}"]["failed" if one.failed else "passed"] += 1
    return [f"{name}: {rows[name]['passed']} passed, {rows[name]['failed']} failed".replace(" passed, 0 failed", "") for name in sorted(rows)]


def main():
    parser = argparse.ArgumentParser(description="Chromium judges what `pixelgate strip` does to HTML.")
    parser.add_argument("--binary", required=True)
    parser.add_argument("--cases", action="append", metavar="DIR", help="default: cases beside this file")
    parser.add_argument("--expected", default=os.path.join(HERE, "expected_misses.txt"))
    parser.add_argument("--quick", action="store_true", help="one variation, one envelope")
    parser.add_argument("--score", action="store_true")
    parser.add_argument("--only", metavar="TEXT", help="only cases whose name contains it")
    parser.add_argument("--pictures", metavar="DIR", help="keep the two screenshots of each page that moved")
    parser.add_argument("--pages", type=int, default=3, help="shown at the same time")
    arguments = parser.parse_args()
    if not program():
        print("the judge needs Chromium (Debian: chromium)", file=sys.stderr)
        return 69
    broken = []
    cases = case_files.read(arguments.cases or [os.path.join(HERE, "cases")], broken)
    cases = [case for case in cases if not arguments.only or arguments.only in case.name]
    if not cases:
        print("no cases", file=sys.stderr)
        return 64
    if arguments.pictures:
        os.makedirs(arguments.pictures, exist_ok=True)
    with Browser() as browser:
        _, (_, failed, _) = run(
            arguments.binary,
            cases,
            browser,
            expected=expectations(arguments.expected),
            quick=arguments.quick,
            pages=arguments.pages,
            pictures=arguments.pictures,
            scores=arguments.score,
            whole=not arguments.only and not arguments.quick,
            broken=broken,
        )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
