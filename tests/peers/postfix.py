"""Debian's Postfix from temporary directories on free loopback ports, with a recipe of deploy/postfix. Needs root.

Never the system's service: own configuration, queue and log; started here, ended here by the pid in its own queue.
"""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

import wire

RECIPES = pathlib.Path(__file__).resolve().parents[2] / "deploy" / "postfix"

MAIN = """\
compatibility_level = 3.6
config_directory = {base}/etc
queue_directory = {base}/queue
data_directory = {base}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = {base}/log/mail.log
maillog_file_prefixes = {base}/log
myhostname = postfix.test
mydestination =
alias_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
relayhost = [127.0.0.1]:{sink}
smtp_dns_support_level = disabled
smtp_host_lookup = native
smtpd_tls_security_level = none
smtp_tls_security_level = none
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_authorized_xforward_hosts = 127.0.0.0/8
local_header_rewrite_clients =
smtpd_peername_lookup = no
minimal_backoff_time = 1s
maximal_backoff_time = 2s
queue_run_delay = 1s
default_destination_concurrency_failed_cohort_limit = 0
notify_classes =
"""

SERVICES = """\
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
scache unix - - n - 1 scache
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""

FRONT = "127.0.0.1:25 inet n - n - - smtpd\n"

#: The ports that the recipes name.
FRONT_PORT, RELAY_SMTP, RELAY_LMTP, BACK = 25, 2525, 2526, 10026


class Postfix:
    def __init__(self, work, recipe, sink, ports, extra_main=""):
        """`ports` maps the recipe's ports to the ones in use."""
        self.ports = ports
        self.base = pathlib.Path(work) / f"postfix-{recipe}"
        for name in ("etc", "queue", "data", "log"):
            (self.base / name).mkdir(parents=True)
        shutil.chown(self.base / "data", "postfix", "root")
        snippet = RECIPES / recipe
        master = (snippet / "master.cf").read_text()
        if "127.0.0.1:25 inet" not in master:
            master = FRONT + master
        main = MAIN.format(base=self.base, sink=sink) + (snippet / "main.cf").read_text() + extra_main
        (self.base / "etc" / "main.cf").write_text(self._with_ports(main))
        (self.base / "etc" / "master.cf").write_text(SERVICES + self._with_ports(master))

    def _with_ports(self, text):
        def port(match):
            return match.group(1) + str(self.ports[int(match.group(2))])

        known = "|".join(str(port) for port in self.ports)
        return re.sub(rf"(127\.0\.0\.1\]?:)({known})\b", port, text)

    def start(self):
        with open(self.base / "log" / "start", "ab") as log:
            subprocess.run(
                ["postfix", "-c", str(self.base / "etc"), "start"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                timeout=60,
            )
        if not wire.wait_for_port(self.ports[BACK]):
            raise RuntimeError(f"Postfix does not answer:\n{self.log()}")
        return self

    def pid(self):
        """The pid of our master, and of the group of all its children."""
        return self._master()

    def _master(self):
        """The pid of our master, which leads the group of all its children; None when it does not run."""
        try:
            pid = int((self.base / "queue" / "pid" / "master.pid").read_text())
            command = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return None
        return pid if b"postfix" in command and b"master" in command else None

    def stop(self):
        for kind in (signal.SIGTERM, signal.SIGKILL):
            pid = self._master()
            if pid is None:
                return
            os.killpg(pid, kind)
            until = time.monotonic() + 10
            while self._master() is not None and time.monotonic() < until:
                time.sleep(0.05)

    def log(self):
        parts = [self.base / "log" / name for name in ("start", "mail.log")]
        return "".join(part.read_text(errors="replace") for part in parts if part.exists())

    def wait_for_log(self, pattern, seconds=20.0):
        """Whether the log comes to hold a pattern in time."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if re.search(pattern, self.log()):
                return True
            time.sleep(0.1)
        return False
