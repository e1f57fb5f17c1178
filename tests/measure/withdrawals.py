#!/usr/bin/env python3
"""Withdrawals by command line while a list is imported: is one lost, and how long does each take?

    tests/measure/withdrawals.py --binary target/release/pixelgate --rows 1000000 --withdrawals 1000

Makes a register of its own in a temporary directory, writes a list of ROWS proven grants, imports it in one process, and
meanwhile runs `pixelgate consent set --state withdrawn` once for each of WITHDRAWALS people spread over the list, one
after the other. What is measured is the whole command, from its start to its exit: that is what a script pays. Ends with
exit code 1 when a withdrawal failed, or its person is not withdrawn afterwards. Talks to no network.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time

SHA = "ab" * 32
CONFIG = """
[[listener]]
address = "127.0.0.1:2525"
protocol = "smtp"
[[next_hop]]
address = "maildir:outbox"
[consent]
register = "sqlite:consent.db"
write_timeout_ms = 60000
[keys]
directory = "keys"
"""


def write_list(path, rows):
    with open(path, "w", encoding="ascii") as out:
        for number in range(rows):
            row = {
                "controller": "default",
                "address": f"p{number}@example.net",
                "state": "granted",
                "purposes": ["campaign_performance"],
                "at": "2026-05-01T00:00:00Z",
                "channel": "form",
                "wording_version": "v1",
                "wording_sha256": SHA,
            }
            out.write(json.dumps(row, separators=(",", ":")) + "\n")


def percentile(sorted_values, share):
    return sorted_values[min(len(sorted_values) - 1, int(share * len(sorted_values)))]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default="target/release/pixelgate")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--withdrawals", type=int, default=1_000)
    parser.add_argument("--directory", help="where to make the register [default: a temporary directory]")
    arguments = parser.parse_args()
    binary = os.path.abspath(arguments.binary)
    with tempfile.TemporaryDirectory(dir=arguments.directory) as place:
        return measure(binary, place, arguments.rows, arguments.withdrawals)


def measure(binary, place, rows, withdrawals):
    def command(*words):
        return [binary, "-c", "pixelgate.toml", "consent", *words]

    with open(os.path.join(place, "pixelgate.toml"), "w", encoding="ascii") as out:
        out.write(CONFIG)
    write_list(os.path.join(place, "rows.jsonl"), rows)

    def withdraw(number):
        begun = time.monotonic()
        ended = subprocess.run(
            command("set", "--to", f"p{number}@example.net", "--state", "withdrawn"),
            cwd=place, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False,
        )
        if ended.returncode != 0:
            print(f"p{number}: {ended.stderr.decode(errors='replace').strip()}", file=sys.stderr)
        return time.monotonic() - begun, ended.returncode

    # Alone, for comparison: people who are not in the list.
    alone = sorted(withdraw(rows + number)[0] for number in range(20))

    begun = time.monotonic()
    importing = subprocess.Popen(
        command("import", "rows.jsonl"), cwd=place, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )
    took, failed, meanwhile, chosen = [], 0, 0, []
    try:
        for index in range(withdrawals):
            number = index * rows // withdrawals
            seconds, code = withdraw(number)
            running = importing.poll() is None
            if running:
                took.append(seconds)
                meanwhile += 1
            failed += code != 0
            chosen.append(number)
        out, _ = importing.communicate(timeout=6 * 3600)
    finally:
        if importing.poll() is None:
            importing.kill()
            importing.wait()
    seconds = time.monotonic() - begun
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024

    standing = {}
    exported = subprocess.run(command("export"), cwd=place, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    for line in exported.stdout.decode().splitlines():
        row = json.loads(line)
        if "standing" in row:
            standing[row["address"]] = row["standing"]["entries"]["campaign_performance"]["state"]
    lost = [number for number in chosen if standing.get(f"p{number}@example.net") != "withdrawn"]

    took.sort()
    print(f"import: {rows} rows in {seconds:.1f} s, {rows / seconds:.0f} a second; exit code {importing.returncode}")
    print(f"largest process: {peak:.0f} MiB")
    print(f"withdrawals: {withdrawals}, {meanwhile} of them while the import ran; {failed} failed, {len(lost)} lost")
    print(f"alone:     p50 {percentile(alone, .5) * 1000:.0f} ms, max {alone[-1] * 1000:.0f} ms")
    if took:
        print(
            f"meanwhile: p50 {percentile(took, .5) * 1000:.0f} ms, p99 {percentile(took, .99) * 1000:.0f} ms, "
            f"max {took[-1] * 1000:.0f} ms"
        )
    counted = [line for line in out.decode().splitlines() if "records written" in line or "there already" in line]
    print("\n".join(counted))
    return 1 if failed or lost or importing.returncode != 0 else 0


if __name__ == "__main__":
    sys.exit(main())
