#!/usr/bin/env python3
"""Five issues, each received by two people: what differs between the two copies is individual, whatever it looks like.

    pairs.py --binary PATH --realmail DIR [--notes FILE]

Each of the ten messages is stripped alone and cold, for somebody who agreed to nothing. Of every URL that differs from the other copy the
table says whether it can be seen (by the verdicts by hand), what became of it, and on which evidence. It fails where

    survives    an invisible one is still there
    untreated   a visible one is still there and not in `pairs_expected.tsv`, or stands there and is treated
    touched     anything else: an octet outside the reported ranges, a resource that is the same in both copies (but one that counts
                openings), a load that was not there before
    rule        a rule names a host of these messages that the survey of endpoints (`--notes`, its section 3) does not list; without the
                survey: that is not in SURVEYED

Messages are read in place; neither a URL nor a host is printed, but their number in `resources.py`. Without the directory all is skipped.
"""

import argparse
import email
import json
import pathlib
import re
import subprocess
import sys
import tempfile
from collections import Counter

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import check  # noqa: E402
import verdicts  # noqa: E402
from loads import sha256, url_key  # noqa: E402
from resources import message_resources, read_verdicts  # noqa: E402

RULES = HERE.parent.parent / "src" / "pixel" / "rules.toml"
# Rules by host that these messages meet, each of a vendor whose host the survey lists.
SURVEYED = {"kit", "kit-o", "mailchimp"}


def expected_misses():
    """{(message, number): reason}"""
    lines = (HERE / "pairs_expected.tsv").read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines if line and not line.startswith("#")]
    return {(message, int(number)): reason for message, number, reason in rows}


def host_rules():
    """(rule, host as the rule writes it, the same as a pattern of host names)."""
    name = None
    for line in RULES.read_text(encoding="utf-8").splitlines():
        if found := re.match(r'name = "([^"]+)"', line):
            name = found[1]
        elif line.startswith("hosts = "):
            for host in json.loads(line.removeprefix("hosts = ")):
                labels = [re.escape(piece) if n % 2 == 0 else r"[^.]*" for n, piece in enumerate(re.split(r"(<[^>]*>|\*+)", host))]
                yield name, host, re.compile(r"(.*\.)?" + "".join(labels), re.I)


def by_rules(hosts, survey):
    """Names of rules that name one of these hosts, and complaints about those that nothing lists."""
    met, complaints = set(), []
    for rule, written, pattern in host_rules():
        if any(pattern.fullmatch(host) for host in hosts):
            met.add(rule)
            # What tells the vendor in a host: the longest label of it.
            word = max(re.findall(r"[a-z0-9-]+", re.sub(r"<[^>]*>", ".", written.rpartition(".")[0])), key=len)
            listed = word in survey if survey else rule in SURVEYED
            complaints += [] if listed else [f"rule: {rule} names a host of these messages, and nothing lists it"]
    return met, complaints


def host_of(url):
    return re.sub(r"^([a-z]+:)?//([^/?#]*@)?", "", url.strip(), flags=re.I).split("/")[0].split("?")[0].split(":")[0].lower()


def strip(binary, config, octets):
    message = email.message_from_bytes(octets)
    to = verdicts.first_address(message, "To", "reader@example.net")
    sender = verdicts.first_address(message, "Return-Path", "sender@example.com")
    command = [binary, "strip", "-c", config, "--to", to, "--from", sender, "--explain"]
    return subprocess.run(command, input=octets, capture_output=True, timeout=120, check=False)


def judge_pair_message(done, octets, twin, judged, expected, name):
    """(rows of the table, complaints)."""
    if done.returncode:
        return [], [f"touched: {name}: refused"]
    explanation, copy = check.Explanation(done.stderr), done.stdout
    complaint = check.too_much(octets, explanation.splices) or check.difference_outside(octets, explanation.splices, copy)
    complaints = [f"touched: {name}: {complaint}"] if complaint else []
    of_twin = Counter(one.url for one in message_resources(twin))
    left = Counter(one.url for one in message_resources(copy))
    before = Counter(one.url for one in message_resources(octets))
    rows = []
    for url in left - before:
        # A URL that lost its reader is no new load.
        if not any(old.partition("?")[0] == url.partition("?")[0] for old in before):
            complaints.append(f"touched: {name}: a load that was not there before")
    for one in message_resources(octets):
        is_there = left[one.url] > 0
        left[one.url] -= is_there
        verdict = judged[one.number]
        if of_twin[one.url]:
            if not is_there and verdict != "aggregate":
                complaints.append(f"touched: {name}: resource {one.number} ({verdict}) is the same in both copies and gone")
            continue
        said = [f for f in explanation.findings if f.get("url_sha256") == url_key(one.url)]
        evidence = sorted({word for f in said for word in f.get("evidence") or ()})
        visible, miss = verdict == "individual", (name, one.number) in expected
        sight, fate = "visible" if visible else "invisible", "there" if is_there else "treated"
        rows.append((name[:12], one.number, one.vector, sight, fate, ", ".join(evidence) or "none"))
        if is_there and not visible:
            complaints.append(f"survives: {name}: resource {one.number}")
        elif is_there != miss:
            complaints.append(f"untreated: {name}: resource {one.number} is {'there' if is_there else 'treated, and listed as a miss'}")
    return rows, complaints


def main():
    parser = argparse.ArgumentParser(description="Five issues received by two people.")
    parser.add_argument("--binary", required=True, type=pathlib.Path)
    parser.add_argument("--realmail", required=True, type=pathlib.Path)
    parser.add_argument("--notes", type=pathlib.Path, help="the survey; default: ../notes/detection.md from the real mail")
    arguments = parser.parse_args()
    if not (arguments.realmail / "index.json").is_file():
        print(f"SKIPPED: there is no {arguments.realmail}", file=sys.stderr)
        print("pairs: 0 passed, 0 failed, 11 skipped")
        return 0
    entries = [e for e in json.loads((arguments.realmail / "index.json").read_text(encoding="utf-8")) if e.get("pair")]
    judged, expected = {}, expected_misses()
    for line in read_verdicts(HERE / "verdicts.tsv"):
        judged.setdefault(line.message, {})[line.number] = line.verdict
    notes = arguments.notes or arguments.realmail / ".." / "notes" / "detection.md"
    survey = notes.read_text(encoding="utf-8").split("\n## 3.", 1)[1].split("\n## 4.", 1)[0].lower() if notes.is_file() else ""
    hosts, rows, failed, complaints = set(), [], 0, []
    by_itself = Counter()
    with tempfile.TemporaryDirectory() as base:
        config, bare = pathlib.Path(base) / "pixelgate.toml", pathlib.Path(base) / "without.toml"
        config.write_text(verdicts.CONFIG.format(base=base), encoding="utf-8")
        names = re.findall(r'^name = ("[^"]+")', RULES.read_text(encoding="utf-8"), re.M)
        bare.write_text(verdicts.CONFIG.format(base=base) + f"[rules]\ndisabled = [{', '.join(names)}]\n", encoding="utf-8")
        for entry in entries:
            path, twin = arguments.realmail / entry["file"], (arguments.realmail / entry["pair"]).read_bytes()
            octets = path.read_bytes()
            # As SMTP carries it: the ranges that are reported are ranges of that.
            sent = check.wire_form(octets)
            hosts |= {host_of(one.url) for one in message_resources(octets)}
            name = sha256(octets)
            done = strip(arguments.binary.resolve(), config, sent)
            of_message, wrong = judge_pair_message(done, sent, twin, judged[name], expected, name)
            without, _ = judge_pair_message(strip(arguments.binary.resolve(), bare, sent), sent, twin, judged[name], expected, name)
            by_itself.update((row[3], row[4]) for row in without)
            differing = {url_key(url) for url in entry["urls_differing_from_pair"]}
            found = {url_key(one.url) for one in message_resources(octets) if one.url not in {t.url for t in message_resources(twin)}}
            if differing != found:
                wrong.append(f"touched: {name}: the index names {len(differing)} differing URLs, {len(found)} were found")
            rows, complaints, failed = rows + of_message, complaints + wrong, failed + bool(wrong)
    met, wrong = by_rules(hosts, survey)
    failed, complaints = failed + bool(wrong), complaints + wrong
    known = {(start, number) for start, number, *_ in rows}
    for name, number in expected:
        if (name[:12], number) not in known:
            complaints.append(f"untreated: {name}: no resource {number} differs, but is listed")
            failed += 1
    print("| message | resource | what loads it | | | evidence |\n|---|---|---|---|---|---|")
    for one in rows:
        print("| " + " | ".join(map(str, one)) + " |")
    counts = Counter((row[3], row[4]) for row in rows)
    for (sight, fate), number in sorted(counts.items()):
        print(f"{sight:10}{fate:8}{number:4}")
    print("with every rule disabled: " + ", ".join(f"{sight} {fate} {n}" for (sight, fate), n in sorted(by_itself.items())))
    print(f"rules by host that these messages meet: {', '.join(sorted(met)) or 'none'}; {'the survey was there' if survey else 'without the survey'}")
    for complaint in complaints:
        print(f"FAIL {complaint}")
    print(f"pairs: {len(entries) + 1 - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
