"""The relay as an operator runs it: a configuration file, `consent import`, `serve`."""

import json
import os
import pathlib
import signal
import subprocess

import wire

CONFIG = """\
[[listener]]
address = "127.0.0.1:{smtp}"
protocol = "smtp"
trusted_networks = ["127.0.0.1/32"]
xforward_networks = ["127.0.0.1/32"]

[[listener]]
address = "127.0.0.1:{lmtp}"
protocol = "lmtp"
trusted_networks = ["127.0.0.1/32"]
xforward_networks = ["127.0.0.1/32"]

[[next_hop]]
address = "127.0.0.1:{next_hop}"

[consent]
register = "sqlite:{base}/consent.db"
[keys]
directory = "{base}/keys"
[spool]
directory = "{base}/spool"
retry_first_seconds = 1
retry_most_seconds = 2
[ledger]
directory = "{base}/ledger"
"""


class Relay:
    def __init__(self, binary, work, name, next_hop, smtp, lmtp=None, config=CONFIG, **places):
        """`config` is a text with `{base}`, `{smtp}`, `{lmtp}`, `{next_hop}` and whatever `places` names."""
        self.binary = str(binary)
        self.smtp, self.lmtp = smtp, lmtp
        self.base = pathlib.Path(work) / f"relay-{name}"
        self.base.mkdir()
        self.config = self.base / "pixelgate.toml"
        self.config.write_text(config.format(base=self.base, next_hop=next_hop, smtp=smtp, lmtp=lmtp, **places))
        self.process = None

    def grant(self, *addresses):
        rows = self.base / "consent.jsonl"
        with open(rows, "w") as out:
            for address in addresses:
                row = {
                    "controller": "default",
                    "address": address,
                    "state": "granted",
                    "purposes": ["campaign_performance"],
                    "at": "2026-05-02T09:14:00Z",
                    "channel": "form",
                    "wording_version": "2026-04",
                    "wording_sha256": "3f0a377ba0a4a460ecb616f6507ce0d8cfa3e704025d4fda3ed0c5ca05468728",
                }
                out.write(json.dumps(row) + "\n")
        subprocess.run(
            [self.binary, "consent", "import", str(rows), "-c", str(self.config)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            timeout=30,
        )

    def start(self, greets=True, **environment):
        """`greets` says whether whoever connects from 127.0.0.1 is greeted; `environment` is added to ours."""
        with open(self.base / "log", "ab") as log:
            self.process = subprocess.Popen(
                [self.binary, "serve", "-c", str(self.config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.base,
                env={**os.environ, **environment},
            )
        if not (wire.wait_for_port(self.smtp) if greets else wire.wait_until_open(self.smtp)):
            raise RuntimeError(f"the relay does not answer:\n{self.log()}")
        return self

    def stop(self):
        """Ends it in order; whether it ended by itself, in time and with 0."""
        if self.process is None:
            return True
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait(10)
        self.process = None
        return code == 0

    def kill(self):
        """Ends it as a power cut does: it gets no chance to do anything."""
        self.process.kill()
        self.process.wait(10)
        self.process = None

    def memory(self):
        """Octets of resident memory: the most so far."""
        with open(f"/proc/{self.process.pid}/status") as status:
            lines = dict(line.split(":", 1) for line in status)
        return int(lines["VmHWM"].split()[0]) << 10

    def forget_memory(self):
        """Memory is counted anew from what is resident now."""
        with open(f"/proc/{self.process.pid}/clear_refs", "w") as file:
            file.write("5")

    def log(self):
        path = self.base / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def spool(self):
        """The files of entries in the spool, all states."""
        return sorted(
            os.path.join(state, name)
            for state in ("prepared", "owed", "dead")
            if (self.base / "spool" / state).is_dir()
            for name in os.listdir(self.base / "spool" / state)
        )
