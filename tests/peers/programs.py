"""Dovecot, Exim and HAProxy from temporary directories on free loopback ports. Needs root.

Never the system's services: own configuration, own files; started here in the foreground and ended here by pid.
"""

import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import time

import wire


class Program:
    """A process in the foreground with its log in a file."""

    def __init__(self, work, name):
        self.base = pathlib.Path(work) / name
        self.base.mkdir()
        self.base.chmod(0o755)
        self.process = None

    def run(self, command, port=None, open_port=None):
        with open(self.base / "log", "ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.base, start_new_session=True
            )
        until = time.monotonic() + 20
        while time.monotonic() < until:
            if port is not None and wire.wait_for_port(port, 1):
                return self
            if open_port is not None and wire.wait_until_open(open_port, 1):
                return self
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise RuntimeError(f"{command[0]} does not answer:\n{self.log()}")

    def stop(self):
        if self.process is None:
            return
        for kind in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, kind)
            except ProcessLookupError:
                break
            try:
                self.process.wait(10)
                break
            except subprocess.TimeoutExpired:
                continue
        self.process = None

    def log(self):
        return "".join(
            path.read_text(errors="replace") for path in sorted(self.base.rglob("*log")) if path.is_file()
        )


DOVECOT = """\
base_dir = {base}/run
state_dir = {base}/state
log_path = {base}/dovecot.log
protocols = lmtp
ssl = no
default_login_user = {nobody}
default_internal_user = {nobody}
default_internal_group = {group}
mail_location = maildir:{base}/mail/%Lu
mail_uid = {nobody}
mail_gid = {group}
first_valid_uid = 1
postmaster_address = postmaster@dovecot.test
hostname = dovecot.test
userdb {{
  driver = passwd-file
  args = username_format=%Lu {base}/users
}}
passdb {{
  driver = passwd-file
  args = username_format=%Lu {base}/users
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {port}
  }}
  unix_listener {base}/lmtp {{
    mode = 0666
  }}
}}
"""


class Dovecot(Program):
    """Dovecot's LMTP server over TCP and a Unix socket, one Maildir per user."""

    def __init__(self, work, users):
        super().__init__(work, "dovecot")
        self.port = wire.free_port()
        self.socket = self.base / "lmtp"
        nobody = pwd.getpwnam("nobody")
        (self.base / "mail").mkdir()
        shutil.chown(self.base / "mail", "nobody", nobody.pw_gid)
        (self.base / "users").write_text("".join(f"{user}:{{plain}}x:{nobody.pw_uid}:{nobody.pw_gid}::{self.base}/mail::\n" for user in users))
        import grp

        group = grp.getgrgid(nobody.pw_gid).gr_name
        (self.base / "conf").write_text(DOVECOT.format(base=self.base, port=self.port, nobody="nobody", group=group))

    def start(self):
        return self.run(["/usr/sbin/dovecot", "-F", "-c", str(self.base / "conf")], port=self.port)

    def mail_of(self, user, wanted=1, seconds=20):
        """The messages a user has, line ends as on the wire."""
        until = time.monotonic() + seconds
        while True:
            new = self.base / "mail" / user / "new"
            files = sorted(new.iterdir()) if new.is_dir() else []
            if len(files) >= wanted or time.monotonic() > until:
                return [file.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") for file in files]
            time.sleep(0.05)


EXIM = """\
exim_path = {program}
spool_directory = {base}/spool
log_file_path = {base}/%slog
pid_file_path = {base}/pid
primary_hostname = exim.test
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
exim_user = nobody
exim_group = nogroup
never_users =
hosts_treat_as_local =
host_lookup =
rfc1413_query_timeout = 0s
tls_advertise_hosts =
chunking_advertise_hosts = *
smtputf8_advertise_hosts = *
dsn_advertise_hosts = *
accept_8bitmime = true
acl_smtp_rcpt = rcpt
acl_smtp_data = accept
queue_run_in_order = false
keep_environment =
message_logs = false
received_header_text = Received: by exim.test id $message_exim_id

begin acl
rcpt:
  deny recipients = refused@example.net
       message = nobody of that name
  defer recipients = later@example.net
       message = not today
  accept

begin routers
onward:
  driver = manualroute
  transport = out
  route_list = * 127.0.0.1
  host_find_failed = defer
  self = send

begin transports
out:
  driver = smtp
  port = {onward}
  allow_localhost
  hosts_try_chunking = *
  hosts_avoid_tls = *
  hosts_try_fastopen =

begin retry
* * F,1h,2s
"""


class Exim(Program):
    """Exim taking mail on a port and sending it on to another; over BDAT where that announces it."""

    def __init__(self, work, onward, program):
        super().__init__(work, "exim")
        self.port = wire.free_port()
        self.program = program
        (self.base / "spool").mkdir()
        shutil.chown(self.base / "spool", "nobody", "nogroup")
        shutil.chown(self.base, "nobody", "nogroup")
        (self.base / "conf").write_text(EXIM.format(base=self.base, port=self.port, onward=onward, program=program))

    def start(self):
        # -q2s: looks at its queue every two seconds.
        return self.run([self.program, "-C", str(self.base / "conf"), "-bdf", "-q2s"], port=self.port)


HAPROXY = """\
global
    maxconn 100
defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
listen smtp
    bind 127.0.0.1:{port}
    server relay 127.0.0.1:{onward} send-proxy-v2
"""


class HAProxy(Program):
    """HAProxy in tcp mode that tells the relay by PROXY v2 who the client is."""

    def __init__(self, work, onward):
        super().__init__(work, "haproxy")
        self.port = wire.free_port()
        (self.base / "conf").write_text(HAPROXY.format(port=self.port, onward=onward))

    def start(self):
        return self.run(["/usr/sbin/haproxy", "-f", str(self.base / "conf"), "-db"], open_port=self.port)
