#!/usr/bin/env python3
"""What a large register costs a message: the same mail through two relays, one register empty, one full.

    cargo bench --bench register -- --subjects 10000000 --directory /var/tmp/register     (makes consent.db and keys there)
    tests/measure/lookups.py --binary target/release/pixelgate --register /var/tmp/register --subjects 10000000

Both relays get the same messages in turn, one recipient each, spread over the register; measured is the time from the
client's dot to the reply, which holds examination, look-up, ledger and the next hop (Postfix's smtp-sink). Needs Postfix's
smtp-sink; talks to loopback only and ends what it started.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

MESSAGE = (
    b"From: letter@news.example.com\r\nTo: you@example.net\r\nSubject: news\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: text/html; charset=utf-8\r\n\r\n<p>Hello</p>"
    b'<img src="https://click.news.example.com/wf/open?upn=u001.Zm9vYmFy" width="1" height="1">\r\n.\r\n'
)
CONFIG = """
[[listener]]
address = "127.0.0.1:{port}"
[[next_hop]]
address = "127.0.0.1:{sink}"
[server]
name = "relay.example.com"
[[stream]]
name = "letters"
controller = "shop"
kind = "marketing"
withdrawal_link = {{ elsewhere = "measurement" }}
[[stream.tracker]]
hosts = ["click.news.example.com"]
purposes = ["campaign_performance"]
[consent]
register = "sqlite:{register}/consent.db"
[keys]
directory = "{register}/keys"
[spool]
directory = "spool"
[ledger]
directory = "ledger"
[log]
level = "warn"
"""


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Client:
    def __init__(self, port):
        deadline = time.monotonic() + 20
        while True:
            try:
                self.wire = socket.create_connection(("127.0.0.1", port), timeout=30)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        self.wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.lines = self.wire.makefile("rb")
        self.reply(b"220")
        self.say(b"EHLO measure.example.com\r\n", b"250")

    def reply(self, expected):
        while True:
            line = self.lines.readline()
            if not line.startswith(expected):
                sys.exit(f"expected {expected!r}, got {line!r}")
            if line[3:4] != b"-":
                return

    def say(self, octets, expected):
        self.wire.sendall(octets)
        self.reply(expected)

    def send(self, to):
        self.say(b"MAIL FROM:<letter@news.example.com>\r\n", b"250")
        self.say(b"RCPT TO:<" + to + b">\r\n", b"250")
        self.say(b"DATA\r\n", b"354")
        begun = time.perf_counter()
        self.say(MESSAGE, b"250")
        return time.perf_counter() - begun


def serve(binary, directory, register, sink):
    port = free_port()
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, "pixelgate.toml"), "w", encoding="ascii") as out:
        out.write(CONFIG.format(port=port, sink=sink, register=os.path.abspath(register)))
    relay = subprocess.Popen([os.path.abspath(binary), "-c", "pixelgate.toml", "serve"], cwd=directory)
    return relay, Client(port)


def memory(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(line.split(":")[1].strip() for line in status if line.startswith("VmHWM"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default="target/release/pixelgate")
    parser.add_argument("--register", required=True)
    parser.add_argument("--subjects", type=int, required=True)
    parser.add_argument("--messages", type=int, default=3000)
    given = parser.parse_args()
    started = []
    with tempfile.TemporaryDirectory() as scratch:
        try:
            sink = free_port()
            user = ["-u", "nobody"] if os.geteuid() == 0 else []
            started.append(subprocess.Popen(["smtp-sink", *user, f"127.0.0.1:{sink}", "100"]))
            Client(sink).wire.close()
            empty = os.path.join(scratch, "register")
            os.makedirs(empty, mode=0o700)
            relays = {}
            for name, register in (("empty", empty), ("full", given.register)):
                relay, client = serve(given.binary, os.path.join(scratch, name), register, sink)
                started.append(relay)
                relays[name] = (relay, client, [])
            for turn in range(given.messages):
                number = turn * 7_919_777 % given.subjects
                for _, client, times in relays.values():
                    times.append(client.send(b"person.%d@example.net" % number))
            for name, (relay, _, times) in relays.items():
                times.sort()
                at = lambda share: times[min(len(times) - 1, int(share * len(times)))] * 1e3
                print(
                    f"{name}: dot to reply p50 {at(0.5):.2f} ms, p99 {at(0.99):.2f} ms, most {times[-1] * 1e3:.1f} ms; "
                    f"memory {memory(relay.pid)}"
                )
        finally:
            for process in reversed(started):
                process.send_signal(signal.SIGTERM)
            for process in started:
                process.wait(timeout=30)


if __name__ == "__main__":
    main()
