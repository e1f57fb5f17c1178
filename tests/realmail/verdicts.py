#!/usr/bin/env python3
"""Holds the relay against the verdicts by hand: what is gone from the copy of somebody who agreed to nothing.

    verdicts.py --binary PATH --realmail DIR

Content that is gone is a failure, each. What was judged a tracker and is still there is counted and named by number, not failed:
`VERDICTS.md` says what one message alone cannot show. Messages are read in place; no URL is printed. Without the
directory every message is skipped, and that is said.
"""

import argparse
import email
import email.utils
import pathlib
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from loads import sha256  # noqa: E402
from resources import message_resources, read_verdicts  # noqa: E402

CONFIG = """\
[[listener]]
address = "127.0.0.1:2525"
[[next_hop]]
address = "maildir:{base}/outbox"
[consent]
register = "sqlite:{base}/consent.db"
[keys]
directory = "{base}/keys"
[spool]
directory = "{base}/spool"
[ledger]
directory = "{base}/ledger"
[learn]
directory = "{base}/learn"
"""


def first_address(message, field, otherwise):
    found = email.utils.getaddresses([str(message.get(field, ""))])
    return next((address for _, address in found if "@" in address), otherwise)


def stripped(binary, config, path, octets):
    message = email.message_from_bytes(octets)
    recipient = first_address(message, "To", "reader@example.net")
    sender = first_address(message, "Return-Path", "sender@example.com")
    command = [binary, "strip", "-c", config, "--to", recipient, "--from", sender, "--crlf", path]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    return done.stdout if done.returncode == 0 else None


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--binary", required=True, type=pathlib.Path)
    arguments.add_argument("--realmail", required=True, type=pathlib.Path)
    arguments = arguments.parse_args()
    verdicts = defaultdict(dict)
    for row in read_verdicts(pathlib.Path(__file__).with_name("verdicts.tsv")):
        verdicts[row.message][row.number] = row.verdict
    if not arguments.realmail.is_dir():
        print(f"SKIPPED: there is no {arguments.realmail}", file=sys.stderr)
        print(f"judged: 0 passed, 0 failed, {len(verdicts)} skipped")
        return 0
    score, passed, failed, seen = defaultdict(Counter), 0, 0, set()
    with tempfile.TemporaryDirectory() as base:
        config = pathlib.Path(base) / "pixelgate.toml"
        config.write_text(CONFIG.format(base=base))
        for path in sorted(arguments.realmail.glob("mail/*.eml")):
            octets = path.read_bytes()
            judged = verdicts.get(sha256(octets))
            if judged is None:
                continue
            seen.add(sha256(octets))
            copy = stripped(arguments.binary.resolve(), config, path, octets)
            if copy is None:
                failed += 1
                print(f"FAIL  {path.name}: refused")
                continue
            left, lost, kept = Counter(one.url for one in message_resources(copy)), [], []
            for one in message_resources(octets):
                is_there = left[one.url] > 0
                left[one.url] -= is_there
                verdict = judged[one.number]
                score[verdict]["there" if is_there else "gone"] += 1
                if verdict == "content" and not is_there:
                    lost.append(one.number)
                if verdict == "tracker" and is_there:
                    kept.append(one.number)
            if kept:
                print(f"      {path.name}: trackers still there: {kept}")
            if lost:
                print(f"FAIL  {path.name}: content is gone: {lost}")
            failed += bool(lost)
            passed += not lost
    for message in set(verdicts) - seen:
        failed += 1
        print(f"FAIL  no message has the hash {message}")
    for verdict, counts in sorted(score.items()):
        print(f"{verdict:12}{counts['gone']:5} gone {counts['there']:5} there")
    print(f"judged: {passed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
