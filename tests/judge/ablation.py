#!/usr/bin/env python3
"""What each kind of evidence is worth: the score with one of them taken away at a time, as a table for the README.

    ablation.py --binary PATH [--cases DIR]... [--only ARM]... [--pages N]        default: cases beside this file, tests/heldout

The relay has no switch for this, and needs none. An arm changes what the relay is given, or what it is told by a configuration that any
operator could write; then Chromium judges what comes out (`judge.py`, one variation and the plain envelope of each case):

    everything       as delivered, one message alone
    learned          the same behind a relay that has carried the same letter to 71 other readers before: their tokens differ where the
                     tracker's do, what is content is the same. Each case is a stream of its own
    no endpoints     every rule is in `rules.disabled`
    false sizes      each width and height of 1 to 3 pixels, in attributes and styles, is 11 and 5 instead, in the letter itself
    no reader        the letter goes to somebody whose address stands nowhere in it
    no recurrence    a reverse-path and a header without the reader's identifier: no VERP, no List-Unsubscribe
    no operator      endpoints and markers are not configured
    no invisibility  a finding counts as none where its evidence is size or visibility alone. This one is no run of the relay but a reading of
                     what `--explain` says of `everything`; whether somebody can see a load still decides what is done about it
    no endpoints, learned; no endpoints, false sizes: two at once

A tracker that Chromium does not request in an arm's own original counts nowhere in that arm. Only totals are printed, no case is named: one of
the two sets was never looked at case by case, and must not be here.
"""

import argparse
import dataclasses
import email.utils
import hashlib
import os
import re
import signal
import smtplib
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
sys.path.insert(0, HERE)
import cases as case_files  # noqa: E402
import judge  # noqa: E402
from browser import Browser, program  # noqa: E402

READERS = 71
STRANGER = "somebody.else@elsewhere.example"
START_SECONDS = 30


# --- arms ------------------------------------------------------------------------------------------------------------


def changed(case, html=None, headers=None, **keys):
    """The case with other words; a key that is None goes."""
    words = {key: value for key, value in {**case.keys, **keys}.items() if value is not None}
    return dataclasses.replace(case, html=case.html if html is None else html, keys=words, headers=case.headers if headers is None else headers)


def false_sizes(case):
    """1 to 3 pixels become 11 and 5."""

    def one(match):
        return match[1] + match[2] + {"width": "11", "height": "5"}[match[1].lower()] + (match[3] or "")

    return changed(case, re.sub(r"\b(width|height)(\s*[=:]\s*[\"']?\s*)[1-3](px)?(?![\w.%])", one, case.html, flags=re.I))


def no_reader(case):
    return changed(case, recipient=STRANGER)


def no_recurrence(case):
    headers = [field for field in case.headers if not field.lower().startswith("list-unsubscribe")]
    return changed(case, headers=headers, **{"reverse-path": None, "list-unsubscribe": None})


def no_operator(case):
    return changed(case, **{"operator-host": None, "operator-path": None, "operator-marker": None})


def same(case):
    return case


def every_rule():
    with open(os.path.join(ROOT, "src", "pixel", "rules.toml"), encoding="utf-8") as rules:
        names = re.findall(r'^name = "([^"]+)"', rules.read(), re.M)
    return f"[rules]\ndisabled = {names}\n".replace("'", '"')


# name: (what is done to the case, whether rules are off, whether it goes by what was learned)
ARMS = {
    "everything": (same, False, False),
    "learned": (same, False, True),
    "no endpoints": (same, True, False),
    "no endpoints, learned": (same, True, True),
    "false sizes": (false_sizes, False, False),
    "no endpoints, false sizes": (false_sizes, True, False),
    "no reader": (no_reader, False, False),
    "no recurrence": (no_recurrence, False, False),
    "no operator": (no_operator, False, False),
}
INVISIBILITY = ("tiny", "unseen")
# What the words of a case claim to be the evidence, in both sets.
KINDS = {
    "a known endpoint": ("endpoint", "known_endpoint"),
    "the reader in the URL": (
        *"address address-base64 address-json address-md5 address-sha256".split(),
        *"recipient_plain recipient_hash recipient_encoded".split(),
    ),
    "an identifier that recurs": ("recurring", "recurring_id"),
    "invisible, and looks individual": ("looks-individual", "tiny", "none"),
    "the operator says so": ("operator",),
    "only many readers show it": ("learned",),
}


class ArmStrip(judge.Strip):
    """`pixelgate strip` in one arm; keeps what was said of each case."""

    def __init__(self, binary, work, more, learned=None, streams=None):
        super().__init__(binary, work, more)
        self.learned, self.streams, self.said = learned, streams or {}, {}

    def stream(self, case):
        return self.streams.get(case.name) or super().stream(case)

    def arguments(self, case):
        return ["--learned", self.learned] if self.learned else []

    def __call__(self, case, octets):
        answer = super().__call__(case, octets)
        self.said[case.name] = answer[1]
        return answer


class RememberingJudge(judge.Judge):
    """Shows no document twice over all arms: most come out of one arm as of another."""

    def render(self, shown, options, answers, original=True, drawn=True):
        return super().render(shown, options, answers, True, drawn)


# --- other readers ---------------------------------------------------------------------------------------------------


def other(text, reader):
    """As long a token of the same letters."""
    digest = hashlib.sha512(f"{reader} {text}".encode()).hexdigest() * (1 + len(text) // 128)
    if re.fullmatch(r"[0-9]+", text):
        return "".join(str(int(letter, 16) % 10) for letter in digest[: len(text)])
    if re.fullmatch(r"[0-9a-f]+|[0-9A-F]+", text):
        return digest[: len(text)].upper() if text.upper() == text else digest[: len(text)]
    alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    again = hashlib.shake_256(digest.encode()).digest(len(text))
    return "".join(alphabet[octet % 62] for octet in again)


def tokens_of(case):
    """What in the tracker's addresses is one reader's: runs of 8 and more with a digit or both cases in them, and not in any content."""
    contents, own = " ".join(case.contents), case.get("recipient", "nadia@example.net")
    found = set()
    for url in case.trackers:
        rest = url.partition("://")[2].partition("/")[2]
        for at in ("@", "%40"):
            rest = rest.replace(own.replace("@", at), " ")
        runs = re.findall(r"[A-Za-z0-9_-]{8,}", rest)
        named = [run for run in runs if re.search(r"[0-9]", run) or (run.lower() != run and run.upper() != run)]
        mine = {run for run in named if run not in contents and run in case.html}
        if not mine and not re.search("@|%40", url):
            return None
        found |= mine
    return sorted(found, key=len, reverse=True)


def letter_to(case, reader, stream):
    """(reverse-path, reader's address, octets) of the same letter to another reader; None where their address would be the same."""
    address = f"reader{reader}@example.org"
    own = case.get("recipient", "nadia@example.net")
    tokens = tokens_of(case) if case.trackers else []
    if tokens is None:
        return None

    def of_other(text):
        for token in tokens:
            text = text.replace(token, other(token, reader))
        for at in ("@", "%40", "&#64;"):
            text = text.replace(own.replace("@", at), address.replace("@", at))
        return text

    keys = {key: of_other(value) for key, value in case.keys.items() if key in ("reverse-path", "list-unsubscribe")}
    one = changed(case, of_other(case.html), [f"Pixelgate-Stream: {stream}", *case.headers], recipient=address, **keys)
    octets = case_files.message(one, case_files.plain(one))
    date = email.utils.formatdate(1_760_000_000 + reader)
    return one.get("reverse-path", "letter@shop.example"), address, octets.replace(b"Message-ID: <", f"X-Sent: {date}\r\nMessage-ID: <{reader}.".encode(), 1)


SERVE = """[[listener]]
address = "127.0.0.1:{port}"
trusted_networks = ["127.0.0.1/32"]
[[next_hop]]
address = "maildir:{work}/outbox"
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
"""
STREAM = """[[stream]]
name = "{name}"
controller = "shop"
kind = "{kind}"
{own}
withdrawal_link = {{ elsewhere = "nothing is kept here" }}
[[stream.tracker]]
hosts = ["*"]
purposes = ["campaign_performance"]
"""


def learn(binary, work, cases, streams, more):
    """Sends each case to other readers through a relay and exports what it learned: (file, letters sent, cases that could not be varied)."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = os.path.join(work, "serve.toml")
    with open(config, "w", encoding="utf-8") as file:
        file.write(SERVE.format(port=port, work=work) + more)
        for case in cases:
            file.write(STREAM.format(name=streams[case.name], kind=case.get("kind", "marketing"), own=judge.own(case)))
    log = open(os.path.join(work, "serve.log"), "wb")
    relay = subprocess.Popen([binary, "serve", "-c", config], stdout=log, stderr=log)
    try:
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                smtplib.SMTP("127.0.0.1", port, timeout=5).quit()
                break
            except OSError:
                if relay.poll() is not None or time.monotonic() > until:
                    raise RuntimeError("the relay did not start") from None
                time.sleep(0.1)
        with ThreadPoolExecutor(4) as pool:
            sent = list(pool.map(lambda case: send(port, case, streams[case.name]), cases))
    finally:
        relay.send_signal(signal.SIGTERM)
        relay.wait(60)
        log.close()
    exported = os.path.join(work, "learned")
    subprocess.run([binary, "learn", "export", "-c", config, exported], check=True, capture_output=True, timeout=60)
    return exported, sum(sent), sum(not number for number in sent)


def send(port, case, stream):
    """How many letters the relay took."""
    letters = [letter for reader in range(READERS) if (letter := letter_to(case, reader, stream))]
    if not letters:
        return 0
    taken = 0
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as client:
        for reverse_path, address, octets in letters:
            try:
                client.sendmail(reverse_path, [address], octets, ["BODY=8BITMIME"])
                taken += 1
            except smtplib.SMTPDataError:
                # Refused (uninspectable): it goes nowhere and teaches nothing.
                continue
    return taken


# --- the table -------------------------------------------------------------------------------------------------------


def counted(judged):
    """(found, trackers, treated, individual images, altered, benign, disturbed, letters with trackers)."""
    ones = [one for one in judged if one.state != "not requested"]
    trackers = [one for one in ones if one.case.verdict in ("stripped", "aggregate")]
    individual = [one for one in ones if one.case.verdict.startswith(judge.INDIVIDUAL)]
    cold = [one for one in ones if one.case.verdict == "unknown_cold"]
    benign = [one for one in ones if one.case.benign]
    found = [sum(one.state == "found" for one in group) for group in (trackers, individual, cold)]
    altered = sum(one.failed for one in benign)
    # A picture that one message cannot judge, and that is blanked once it can be: that it is gone is no disturbance.
    undisturbed = {id(one) for one in cold if one.state == "found"}
    disturbed = sum(one.state != "refused" and bool(one.complaints) and id(one) not in undisturbed for one in ones if not one.case.benign)
    return [(found[0], len(trackers)), (found[1], len(individual)), (found[2], len(cold)), (altered, len(benign)), (disturbed, len(ones) - len(benign))]


def by_kind(judged):
    """Lines of a table: trackers found with everything on, by what the case says is the evidence."""
    groups = {}
    for one in judged:
        if one.state != "not requested" and one.case.verdict in ("stripped", "aggregate"):
            kind = next((kind for kind, words in KINDS.items() if one.case.get("evidence") in words), "another")
            found, of = groups.get(kind, (0, 0))
            groups[kind] = (found + (one.state == "found"), of + 1)
    refused = sum(one.state == "refused" for one in judged)
    lines = [f"| {kind} | {groups[kind][0]} of {groups[kind][1]} |" for kind in (*KINDS, "another") if kind in groups]
    return [*lines, f"| not found, because the letter was refused: it tells nobody, and reaches nobody | {refused} |"]


def without_invisibility(judged, said):
    """What is judged of `everything`, where findings that rest on size or visibility alone are none."""
    changed_ones = []
    for one in judged:
        explanation = said.get(one.case.name)
        findings = explanation.findings if explanation else []
        hashes = {hashlib.sha256(url.encode()).hexdigest() for url in one.case.trackers}
        of_tracker = [f for f in findings if f.get("url_sha256") in hashes] or findings
        alone = [f for f in of_tracker if all(e.partition(":")[0] in INVISIBILITY for e in f.get("evidence") or ())]
        state = "missed" if one.state == "found" and alone else one.state
        changed_ones.append(dataclasses.replace(one, state=state, complaints=[] if state != one.state else one.complaints))
    return changed_ones


def row(name, counts):
    cells = [f"{good} of {of}" if of else "-" for good, of in counts]
    print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def run_arm(browser, binary, cases, arm, pages, seen, learned):
    change, rules_off, uses_learned = ARMS[arm]
    more = every_rule() if rules_off else ""
    with tempfile.TemporaryDirectory(prefix="pixelgate-ablation-") as work:
        streams, exported = {}, None
        if uses_learned:
            streams = {case.name: f"case-{number}" for number, case in enumerate(cases)}
            # What is learned does not depend on rules: the first arm's table serves the second.
            if "work" not in learned:
                learned["work"] = tempfile.TemporaryDirectory(prefix="pixelgate-ablation-learned-")
                learned["is"] = learn(binary, learned["work"].name, cases, streams, "")
            exported = learned["is"][0]
        strip = ArmStrip(binary, work, more, exported, streams)
        judging = RememberingJudge(browser, strip, quick=True, seen=seen)
        with ThreadPoolExecutor(pages) as pool:
            judged = [one for some in pool.map(judging.judge, [change(case) for case in cases]) for one in some]
    broken = [one for one in judged if one.state == "broken"]
    if broken:
        print(f"{len(broken)} of {len(judged)} cases broke: {sorted({c.partition(':')[0] for one in broken for c in one.complaints})}", file=sys.stderr)
    return judged, strip.said


def main():
    parser = argparse.ArgumentParser(description="What each kind of evidence is worth.")
    parser.add_argument("--binary", required=True)
    parser.add_argument("--cases", action="append", metavar="DIR")
    parser.add_argument("--only", action="append", metavar="ARM", choices=[*ARMS, "no invisibility"])
    parser.add_argument("--pages", type=int, default=3)
    arguments = parser.parse_args()
    if not program():
        print("the judge needs Chromium (Debian: chromium)", file=sys.stderr)
        return 69
    binary = os.path.abspath(arguments.binary)
    for directory in arguments.cases or [os.path.join(HERE, "cases"), os.path.join(HERE, "..", "heldout")]:
        cases, began, seen, learned, kinds = case_files.read([directory]), time.monotonic(), {}, {}, []
        print(f"\n{os.path.relpath(directory, ROOT)}: {len(cases)} cases\n")
        print("| | trackers found | individual images treated | what one message cannot show | harmless letters altered | letters in which something else was lost or moved |")
        print("|---|---|---|---|---|---|", flush=True)
        with Browser() as browser:
            for arm in ARMS:
                wanted = not arguments.only or arm in arguments.only or (arm == "everything" and "no invisibility" in arguments.only)
                if not wanted:
                    continue
                judged, said = run_arm(browser, binary, cases, arm, arguments.pages, seen, learned)
                row(arm, counted(judged))
                if arm == "everything":
                    kinds = by_kind(judged)
                    row("no invisibility", counted(without_invisibility(judged, said)))
            version = browser.version
        if "is" in learned:
            print(f"\nlearned: {learned['is'][1]} letters to other readers; {learned['is'][2]} cases could not be varied or were refused")
            learned["work"].cleanup()
        print("\n| everything, by the evidence that the case claims | found |\n|---|---|\n" + "\n".join(kinds))
        print(f"\n{version}, {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
