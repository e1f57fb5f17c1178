#!/usr/bin/env python3
"""The judge on real mail: sends every message of the real set through the binary and compares what comes out.

    check.py --binary PATH --realmail DIR [--work DIR] [--templates] [--verbose]

Each message goes by SMTP to somebody without and to somebody with consent; the copies are read from the
`maildir:` next hop. Judged, one counter each:

    250        the served copy lies in the maildir when the 250 is read, with its envelope beside it
    trace      exactly one `Received:` field was added at the top, without `for` clause
    granted    with consent: the same octets, that field and `Pixelgate-*` fields aside
    outside    without consent: outside the ranges that `strip --explain` reports, every octet is equal, in order
    strip      `strip` writes what `serve` sends
    both       one transaction to both of them: each gets the copy it got alone
    known      listed `k`: gone, all of them            tiny   listed `t`: gone, at least TINY_SHARE of them
    told       what is gone is what `--explain` reports as taken out, no more and no less
    stays      every other load is still there as often as before, and no load is new
    untouched  where nothing is listed, the copy of the one without consent is the message itself
    legit      nothing of the group `legit` is refused  listed the message is on the hand-made list at all
    readable   no part of a message of the group `legit` is uninspectable, and no finding in it. Of every group it is said how many are, and why

A message with LF line ends is brought to CRLF first, and one with mixed ends too; the last line gets the CRLF
that SMTP cannot do without. That form is sent and compared. The judge shares no code with the relay and
knows none of its rules; what it holds to be a tracker stands in `list.tsv` (see `loads.py`).
The default output names messages by file and URLs by the first 12 digits of their SHA-256.
"""

import argparse
import json
import os
import quopri
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import loads  # noqa: E402
from served import GRANTED, NOBODY, Refused, Relay  # noqa: E402

TINY_SHARE = 0.9
# A reported range licenses change, so it must be small: octets of raw message one splice may cover,
# base64 parts (re-encoded to their end where they must) excepted; octets a replacement may add to it.
RANGE_OCTETS = 8 * 1024
GROWTH_OCTETS = 512
UNINSPECTABLE = ("cte", "charset", "readings_differ", "depth", "size", "encoded_message", "token_limit", "signed")

# --- the seams with `strip --explain`: field names are looked at here and nowhere else -------------------


class Explanation:
    """What `--explain` says: one object per finding x recipient, then one per splice; log lines are passed over."""

    def __init__(self, stderr):
        self.findings, self.splices = [], []
        for line in stderr.decode("utf-8", "replace").splitlines():
            try:
                said = json.loads(line) if line.startswith("{") else None
            except ValueError:
                said = None
            if isinstance(said, dict) and "range" in said:
                start, end = said["range"]
                self.splices.append((start, end, said["octets"]))
            elif isinstance(said, dict) and "action" in said:
                self.findings.append(said)

    def stripped(self):
        """Keys of the URLs that it says were taken out."""
        return {f["url_sha256"] for f in self.findings if f["action"] in ("stripped", "deidentified") and "url_sha256" in f}

    def uninspectable(self):
        """Why something in it could not be read or taken out."""
        return {f["uninspectable"] for f in self.findings if f.get("uninspectable")}

    def about(self, key):
        """Why a listed URL is still there, in the relay's own words, where it says so."""
        said = {
            "/".join(str(f[n]) for n in ("action", "basis", "reason", "verdict", "evidence") if f.get(n))
            for f in self.findings
            if f.get("url_sha256") == key
        }
        return ", ".join(sorted(said)) or "no finding reported"


# --- comparison ---------------------------------------------------------------------------------------


def wire_form(octets):
    octets = re.sub(rb"\r?\n", b"\r\n", octets)
    return octets if octets.endswith(b"\r\n") else octets + b"\r\n"


def header_fields(message):
    """(name in lower case, start, end) of every field of the message's header."""
    fields, at = [], 0
    while at < len(message) and not message.startswith(b"\r\n", at):
        end = message.find(b"\r\n", at)
        end = len(message) if end < 0 else end + 2
        if message[at : at + 1] in (b" ", b"\t") and fields:
            fields[-1] = (fields[-1][0], fields[-1][1], end)
        else:
            fields.append((message[at:end].partition(b":")[0].strip().lower(), at, end))
        at = end
    return fields


def own_field_ranges(message):
    return [(start, end) for name, start, end in header_fields(message) if name.startswith(b"pixelgate-")]


def cut(message, ranges):
    kept, at = [], 0
    for start, end in sorted(ranges):
        kept.append(message[at:start])
        at = end
    return b"".join(kept + [message[at:]])


def without_trace(copy, original):
    """(copy less our one Received field, complaint or None)."""
    before = sum(name == b"received" for name, _, _ in header_fields(original))
    fields = header_fields(copy)
    received = [f for f in fields if f[0] == b"received"]
    if not fields or fields[0][0] != b"received":
        return copy, "the first field is not Received"
    if len(received) != before + 1:
        return copy, f"{len(received) - before} Received fields were added"
    field = copy[: fields[0][2]]
    if re.search(rb"\sfor\s+<?[^\s;]+@", field):
        return copy[fields[0][2] :], "our Received field has a `for` clause"
    if any(len(line) > 998 for line in field.split(b"\r\n")):
        return copy[fields[0][2] :], "our Received field has a line over 998 octets"
    return copy[fields[0][2] :], None


def difference_outside(original, splices, variant):
    """None where `variant` is `original` with each reported range replaced by so many octets as reported.

    Walks both: every octet outside the ranges equal, at the place where the lengths put it, and nothing over.
    """
    at = there = 0
    for number, (start, end, octets) in enumerate(sorted(splices), 1):
        if not at <= start <= end <= len(original) or octets < 0:
            return f"reported range {start}..{end} overlaps another or is outside the message of {len(original)} octets"
        fixed = original[at:start]
        if variant[there : there + len(fixed)] != fixed:
            where = at + first_difference(fixed, variant[there : there + len(fixed)])
            return f"differs at octet {where} of the message, before reported range {number}"
        at, there = end, there + len(fixed) + octets
    if variant[there:] != original[at:]:
        where = at + first_difference(original[at:], variant[there:])
        return f"differs at octet {where} of the message, after {len(splices)} reported ranges"
    return None


def first_difference(a, b):
    return next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))


def too_much(original, splices):
    """A complaint where what is reported licenses more than a finding can need."""
    header = original.find(b"\r\n\r\n") + 4
    base64 = re.search(rb"(?im)^content-transfer-encoding:\s*base64", original)
    for start, end, octets in splices:
        if start < header:
            return "a finding reports octets of the message header as its own"
        if end - start > RANGE_OCTETS and not base64:
            return f"a finding reports {end - start} octets as its own (limit {RANGE_OCTETS})"
        if octets > end - start + GROWTH_OCTETS:
            return f"a finding puts {octets} octets in the place of {end - start}"
    return None


# --- judging ------------------------------------------------------------------------------------------


class Verdicts:
    def __init__(self, verbose):
        self.verbose = verbose
        self.counts = defaultdict(Counter)
        self.failed_messages = set()
        self.refused = Counter()
        self.uninspectable = Counter()

    def check(self, name, file, complaint, tolerated=False):
        self.counts[name]["failed" if complaint else "passed"] += 1
        if complaint:
            print(f"{'miss' if tolerated else 'FAIL'} {name}: {file}: {complaint}")
            if not tolerated:
                self.failed_messages.add(file)

    def url(self, load):
        return f"{load.key[:12]} in {load.vector}" + (f" {load.url}" if self.verbose else "")


def reason_of(text):
    """The reason in a refusal, without anything a message may have put into it."""
    code = re.match(r"\d{3}(?: \d\.\d{1,3}\.\d{1,3})?", text)
    named = [word for word in UNINSPECTABLE if re.search(rf"\b{word}\b", text)]
    return " ".join([code.group(0) if code else "?"] + named)


def judge_loads(verdicts, file, listed, original, variant, explanation):
    before, after = loads.message_loads(original), loads.message_loads(variant)
    was, still = Counter(load.key for load in before), Counter(load.key for load in after)
    first = {load.key: load for load in reversed(before + after)}
    for key, kind in listed.items():
        if kind in ("k", "t"):
            if not was[key]:
                verdicts.check("listed", file, f"{key[:12]} ({kind}) is listed but the judge does not find it")
                continue
            left = next((load for load in after if load.key == key), None)
            complaint = left and f"class {kind}, {verdicts.url(left)} still loads; spared by: {explanation.about(key)}"
            verdicts.check("known" if kind == "k" else "tiny", file, complaint, tolerated=kind == "t")
        elif still[key] < was[key]:
            verdicts.counts[kind]["gone"] += 1
        else:
            verdicts.counts[kind]["there"] += 1
    odd = [key for key in was if still[key] != was[key] and key not in listed] + [key for key in still if not was[key]]
    for key in odd:
        verdicts.check("stays", file, f"{verdicts.url(first[key])}: {was[key]} loads before, {still[key]} after, not listed")
    if not odd:
        verdicts.check("stays", file, None)
    untold = {key for key in was if still[key] < was[key]} ^ explanation.stripped()
    verdicts.check("told", file, f"{', '.join(sorted(k[:12] for k in untold))}: gone or reported, not both" if untold else None)


def judge_message(verdicts, relay, file, group, octets, listed):
    original = wire_form(octets)
    path = os.path.join(relay.work, "message.eml")
    with open(path, "wb") as message:
        message.write(original)
    own_fields = own_field_ranges(original)
    verdicts.check("listed", file, None if listed is not None else "not on the list: read it and add it")
    granted = judge_granted(verdicts, relay, file, original)
    stripped = relay.strip(path)
    explanation = Explanation(stripped.stderr)
    unread = explanation.uninspectable()
    for reason in unread:
        verdicts.uninspectable[f"{group}: {reason}"] += 1
    verdicts.check("readable", file, ", ".join(sorted(unread)) if unread and group == "legit" else None)
    try:
        copies, complaint = relay.serve([NOBODY], original)
        verdicts.check("250", file, complaint and f"to nobody: {complaint}")
    except Refused as why:
        reason = reason_of(str(why))
        verdicts.refused[f"{group}: {reason}"] += 1
        print(f"refused: {file} ({group}): {reason}")
        verdicts.check("legit", file, f"refused: {reason}" if group == "legit" else None)
        verdicts.check("strip", file, None if stripped.returncode else "`serve` refuses it, `strip` does not")
        return
    verdicts.check("legit", file, None)
    if NOBODY not in copies:
        return
    copy, complaint = without_trace(copies[NOBODY], original)
    verdicts.check("trace", file, complaint)
    judge_strip(verdicts, file, stripped, copy)
    own = [(start, end, 0) for start, end in own_field_ranges(original)]
    complaint = too_much(original, explanation.splices) or difference_outside(original, explanation.splices + own, copy)
    verdicts.check("outside", file, complaint)
    if not listed and copy != cut(original, own_field_ranges(original)):
        verdicts.check("untouched", file, "changed, although nothing in it is listed")
    elif not listed:
        verdicts.check("untouched", file, None)
    judge_loads(verdicts, file, listed or {}, original, copy, explanation)
    judge_both(verdicts, relay, file, original, {GRANTED: granted, NOBODY: copy})


def judge_granted(verdicts, relay, file, original):
    """The copy of the one who consents to everything, less our trace field; None where there is none."""
    try:
        copies, complaint = relay.serve([GRANTED], original)
    except Refused as why:
        verdicts.check("granted", file, f"refused although everything is consented to: {reason_of(str(why))}")
        return None
    verdicts.check("250", file, complaint and f"to the granted: {complaint}")
    if GRANTED not in copies:
        return None
    copy, complaint = without_trace(copies[GRANTED], original)
    verdicts.check("trace", file, complaint)
    expected = cut(original, own_field_ranges(original))
    same = copy == expected
    verdicts.check("granted", file, None if same else f"differs at octet {first_difference(copy, expected)}")
    return copy


def judge_strip(verdicts, file, stripped, copy):
    if stripped.returncode != 0:
        said = stripped.stderr.decode(errors="replace")[-400:] if verdicts.verbose else "(--verbose shows what it said)"
        verdicts.check("strip", file, f"exit {stripped.returncode} {said}")
        return
    same = stripped.stdout == copy
    where = f"`serve` and `strip` differ at octet {first_difference(stripped.stdout, copy)}"
    verdicts.check("strip", file, None if same else where)


def judge_both(verdicts, relay, file, original, alone):
    try:
        copies, complaint = relay.serve([NOBODY, GRANTED], original)
    except Refused as why:
        verdicts.check("both", file, f"refused together, though neither is alone: {reason_of(str(why))}")
        return
    for path, copy in copies.items():
        if without_trace(copy, original)[0] != alone.get(path):
            complaint = complaint or f"{path} gets another copy than alone"
    verdicts.check("both", file, complaint)


def template_mail(octets):
    body = quopri.encodestring(octets.replace(b"\r\n", b"\n"))
    return (
        b"From: Shop <s@example.org>\nTo: nobody@example.net\nSubject: template\nDate: Sun, 22 Nov 2026 10:00:00 +0000\n"
        b"Message-ID: <template@example.org>\nMIME-Version: 1.0\nContent-Type: text/html; charset=utf-8\n"
        b"Content-Transfer-Encoding: quoted-printable\n\n" + body
    )


def corpus(directory, templates):
    """(file, group, octets as they lie, octets to send) of every entry of the index."""
    with open(os.path.join(directory, "index.json"), encoding="utf-8") as file:
        index = json.load(file)
    for entry in index:
        if (entry["group"] == "template") != templates:
            continue
        try:
            with open(os.path.join(directory, entry["file"]), "rb") as file:
                octets = file.read()
        except OSError:
            octets = None
        sent = template_mail(octets) if templates and octets is not None else octets
        yield os.path.basename(entry["file"]), entry["group"], octets, sent


def report(verdicts, judged, skipped):
    for name in ("250", "trace", "granted", "outside", "strip", "both", "known", "tiny", "told", "stays", "untouched", "legit", "readable", "listed"):
        count = verdicts.counts[name]
        print(f"{name:9} {count['passed']} passed, {count['failed']} failed")
    for name in ("spacer", "beyond"):
        print(f"{name:9} {verdicts.counts[name]['gone']} gone, {verdicts.counts[name]['there']} there (either is right)")
    print(f"refused   {sum(verdicts.refused.values())}" + "".join(f"; {n} x {why}" for why, n in sorted(verdicts.refused.items())))
    unread = sorted(verdicts.uninspectable.items())
    print(f"uninspectable {sum(n for _, n in unread)}" + "".join(f"; {n} x {why}" for why, n in unread))
    tiny = verdicts.counts["tiny"]
    total = tiny["passed"] + tiny["failed"]
    few = total and tiny["passed"] < TINY_SHARE * total
    if few:
        print(f"FAIL tiny: {tiny['passed']} of {total} gone, wanted {TINY_SHARE:.0%}")
    failed = len(verdicts.failed_messages)
    print(f"realmail: {judged - failed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or few or not judged else 0


def main():
    parser = argparse.ArgumentParser(description="judge pixelgate on real mail")
    parser.add_argument("--binary", required=True)
    parser.add_argument("--realmail", required=True)
    parser.add_argument("--work", help="directory to work in, kept; default: a temporary one, removed")
    parser.add_argument("--list", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "list.tsv"))
    parser.add_argument("--templates", action="store_true", help="judge the HTML templates instead of the messages")
    parser.add_argument("--only", default="", help="only files whose name contains this")
    parser.add_argument("--verbose", action="store_true", help="prints URLs of real mail: not for a log that is kept")
    options = parser.parse_args()

    listed = loads.read_list(options.list)
    if not os.path.isfile(os.path.join(options.realmail, "index.json")):
        print(f"realmail: NOT RUN: no real mail at {options.realmail}")
        print(f"realmail: 0 passed, 0 failed, {len(listed)} skipped")
        return 0
    if not os.access(options.binary, os.X_OK):
        sys.exit(f"realmail: no binary at {options.binary}")
    work = os.path.abspath(options.work) if options.work else tempfile.mkdtemp(prefix="pixelgate-realmail-")
    os.makedirs(work, exist_ok=True)
    relay, verdicts, judged, skipped = Relay(options.binary, work), Verdicts(options.verbose), 0, 0
    try:
        relay.grant()
        relay.start()
        for file, group, octets, sent in corpus(options.realmail, options.templates):
            if options.only not in file:
                continue
            if octets is None:
                print(f"skipped: {file}: named by the index, not there")
                skipped += 1
                continue
            judged += 1
            try:
                judge_message(verdicts, relay, file, group, sent, listed.get(loads.sha256(octets)))
            except (OSError, subprocess.TimeoutExpired, KeyError, TypeError, ValueError) as why:
                verdicts.check("250", file, f"the run broke: {type(why).__name__}: {why if options.verbose else ''}")
    finally:
        relay.stop()
        if not options.work:
            shutil.rmtree(work, ignore_errors=True)
    return report(verdicts, judged, skipped)


if __name__ == "__main__":
    sys.exit(main())
