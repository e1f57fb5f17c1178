"""The binary as it serves: started on a free loopback port, spoken to by SMTP, its copies read from the maildir.

Knows the faces of pixelgate (command line, configuration, import row, maildir) and nothing of its inside.
It ends what it started, by its process object, whatever happens.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import loads

REVERSE_PATH = "s@example.org"
NOBODY = "nobody@example.net"
GRANTED = "granted@example.net"
CONSENT_PURPOSES = [
    "campaign_performance", "personalisation", "cross_channel_profiling", "fraud_detection", "deliverability_other",
]
START_SECONDS, REPLY_SECONDS, COMMAND_SECONDS, DRAIN_SECONDS = 30, 60, 60, 45

CONFIG = """\
[[listener]]
address = "127.0.0.1:{port}"
protocol = "smtp"
trusted_networks = ["127.0.0.1/32", "::1/128"]

[[next_hop]]
address = "maildir:var/outbox"

[consent]
register = "sqlite:var/consent.db"
[keys]
directory = "var/keys"
[spool]
directory = "var/spool"
[ledger]
directory = "var/ledger"
"""


class Refused(Exception):
    """The relay answered a transaction with something other than 250."""


class Smtp:
    """One transaction per connection; says only what RFC 5321 needs."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=REPLY_SECONDS)
        self.lines = self.socket.makefile("rb")
        self.expect("2")
        self.send(b"EHLO judge.example.org\r\n")
        self.announced = {line.split()[0].upper() for line in self.expect("250")[1:] if line.split()}

    def send(self, octets):
        self.socket.sendall(octets)

    def reply(self):
        text = []
        while True:
            line = self.lines.readline(4096).decode("utf-8", "replace").rstrip("\r\n")
            if len(line) < 3:
                raise Refused("connection closed by the relay")
            text.append(line[4:])
            if line[3:4] != "-":
                return line[:3], text

    def expect(self, code):
        got, text = self.reply()
        if not got.startswith(code):
            raise Refused(f"{got} {' / '.join(text)}")
        return text

    def transaction(self, forward_paths, message):
        header = message.partition(b"\r\n\r\n")[0]
        parameters = ""
        if "8BITMIME" in self.announced and any(octet > 127 for octet in message):
            parameters += " BODY=8BITMIME"
        if "SMTPUTF8" in self.announced and any(octet > 127 for octet in header):
            parameters += " SMTPUTF8"
        if "SIZE" in self.announced:
            parameters += f" SIZE={len(message)}"
        self.send(f"MAIL FROM:<{REVERSE_PATH}>{parameters}\r\n".encode())
        self.expect("250")
        for forward_path in forward_paths:
            self.send(f"RCPT TO:<{forward_path}>\r\n".encode())
            self.expect("250")
        self.send(b"DATA\r\n")
        self.expect("354")
        self.send(re.sub(rb"(?m)^\.", b"..", message) + b".\r\n")
        return self.expect("250")

    def close(self):
        try:
            self.send(b"QUIT\r\n")
            self.reply()
        except (OSError, Refused):
            pass
        self.lines.close()
        self.socket.close()


class Relay:
    def __init__(self, binary, work):
        self.binary, self.work = os.path.abspath(binary), work
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.config = os.path.join(work, "pixelgate.toml")
        with open(self.config, "w", encoding="ascii") as file:
            file.write(CONFIG.format(port=self.port))
        self.outbox = os.path.join(work, "var", "outbox")
        self.process = None

    def run(self, *arguments):
        return subprocess.run(
            [self.binary, *arguments], cwd=self.work, capture_output=True, timeout=COMMAND_SECONDS, check=False,
            stdin=subprocess.DEVNULL,
        )

    def grant(self):
        row = {
            "controller": "default", "address": GRANTED, "state": "granted", "purposes": CONSENT_PURPOSES,
            "at": "2026-01-15T09:30:00Z", "channel": "web", "wording_version": "1",
            "wording_sha256": loads.sha256(b"I agree that you measure whether I open this mail."),
        }
        path = os.path.join(self.work, "consent.jsonl")
        with open(path, "w", encoding="ascii") as file:
            file.write(json.dumps(row) + "\n")
        done = self.run("consent", "import", path, "-c", self.config)
        if done.returncode != 0:
            sys.exit(f"realmail: consent import failed with {done.returncode}: {done.stderr.decode(errors='replace')[-2000:]}")

    def start(self):
        with open(os.path.join(self.work, "serve.log"), "wb") as log:
            self.process = subprocess.Popen(
                [self.binary, "serve", "-c", self.config], cwd=self.work, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        give_up = time.monotonic() + START_SECONDS
        while time.monotonic() < give_up and self.process.poll() is None:
            try:
                Smtp(self.port).close()
                return
            except (OSError, Refused):
                time.sleep(0.1)
        with open(os.path.join(self.work, "serve.log"), "rb") as log:
            said = log.read()[-2000:].decode(errors="replace")
        self.stop()
        sys.exit(f"realmail: the relay does not serve within {START_SECONDS} s. It said:\n{said}")

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=DRAIN_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def delivered(self):
        new = os.path.join(self.outbox, "new")
        return set(os.listdir(new)) if os.path.isdir(new) else set()

    def serve(self, forward_paths, message):
        """({forward-path: copy}, complaint about the delivery or None); Refused where the relay refused it."""
        before = self.delivered()
        client = Smtp(self.port)
        try:
            client.transaction(forward_paths, message)
            arrived = sorted(self.delivered() - before)
        finally:
            client.close()
        copies = {}
        for name in arrived:
            with open(os.path.join(self.outbox, "new", name), "rb") as file:
                copy = file.read()
            try:
                with open(os.path.join(self.outbox, "envelopes", name + ".json"), encoding="utf-8") as file:
                    envelope = file.read()
                json.loads(envelope)
            except (OSError, ValueError) as why:
                return copies, f"no envelope beside the copy: {type(why).__name__}"
            paths = set(re.findall(r"[a-z]+@example\.(?:net|org)", envelope))
            if REVERSE_PATH not in paths or not paths - {REVERSE_PATH} <= set(forward_paths):
                return copies, f"the envelope names {sorted(paths)}"
            for path in paths - {REVERSE_PATH}:
                if path in copies:
                    return copies, f"{path} got two copies"
                copies[path] = copy
        missing = sorted(set(forward_paths) - set(copies))
        return copies, f"250, but no copy for {missing} in the maildir" if missing else None

    def strip(self, path):
        return self.run("strip", "--to", NOBODY, "--from", REVERSE_PATH, "--explain", "-c", self.config, path)
