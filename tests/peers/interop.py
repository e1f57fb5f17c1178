#!/usr/bin/env python3
"""The relay among more real peers: Dovecot, Exim, HAProxy, and Postfix with every extension taken away in turn.

    interop.py --binary PATH [--exim PATH] [--only WORD]

Same rules as scenarios.py; the last line is `interop: N passed, N failed, N skipped`. Needs root.
"""

import argparse
import json
import pathlib
import shutil
import smtplib
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import traceback

from postfix import BACK, FRONT_PORT, RELAY_LMTP, RELAY_SMTP, Postfix
from programs import Dovecot, Exim, HAProxy
from relay import Relay
from scenarios import (
    EVERYBODY,
    GRANTED,
    MESSAGE,
    NOBODY,
    OTHER,
    TRACKER,
    Bench,
    Checks,
    by_recipient,
    copies_are_right,
    same_but_the_tracker,
    send,
)
from wire import Sink, free_port

STORES = """\
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

TO_LMTP = """\
[[listener]]
address = "127.0.0.1:{smtp}"
[[listener]]
address = "127.0.0.1:{lmtp}"
protocol = "lmtp"
[[next_hop]]
address = "{next_hop}"
protocol = "lmtp"
""" + STORES

TO_SMTP = """\
[[listener]]
address = "127.0.0.1:{smtp}"
xforward_networks = ["127.0.0.1/32"]
[[next_hop]]
address = "127.0.0.1:{next_hop}"
""" + STORES


def below(octets, field):
    """The octets below the line on which a header field of the client's stands first."""
    return octets[octets.index(field) :]


def dovecot(check, binary, work):
    """SMTP in, Dovecot's LMTP out, over TCP and over a Unix socket; who is not known there is refused by name."""
    users = [GRANTED, NOBODY, OTHER]
    server = Dovecot(work, users).start()
    relays = []
    try:
        for turn, address in enumerate([f"127.0.0.1:{server.port}", f"unix:{server.socket}"], 1):
            name = "dovecot over TCP" if turn == 1 else "dovecot over a Unix socket"
            relay = Relay(binary, work, f"dovecot-{turn}", address, free_port(), free_port(), TO_LMTP)
            relays.append(relay)
            relay.grant(GRANTED)
            relay.start()
            rcpts, dot = send(relay.smtp, [*users, "stranger@example.net"], parameters={})
            codes = [code for code, _ in rcpts]
            check(codes == [250, 250, 250, 550], f"{name}: RCPT verdicts are Dovecot's", rcpts)
            check(dot is not None and dot[0] == 250, f"{name}: 250 behind the dot", dot)
            for user in users:
                mails = server.mail_of(user, turn)
                check(len(mails) == turn, f"{name}: {user} has one more message", len(mails))
                if not mails:
                    continue
                body = below(mails[-1], b"From: Shop")
                kept = user == GRANTED
                right = body == MESSAGE if kept else same_but_the_tracker(MESSAGE, body)
                check(right, f"{name}: {user}'s octets by their own consent", body)
            check(relay.spool() == [], f"{name}: nothing is left in the spool", relay.spool())
            check(relay.stop(), f"{name}: the relay ends in order")
    finally:
        for relay in relays:
            relay.stop()
        server.stop()


def exim_upstream(check, binary, work, program):
    """Exim as the relay's upstream."""
    sink = Sink()
    server = Exim(work, sink.port, program).start()
    relay = Relay(binary, work, "exim-upstream", server.port, free_port(), config=TO_SMTP)
    try:
        relay.grant(GRANTED)
        relay.start()
        rcpts, dot = send(relay.smtp, EVERYBODY)
        check([code for code, _ in rcpts] == [250] * 3 and dot[0] == 250, "exim: 250 for all", (rcpts, dot))
        copies = sink.wait(3)
        copies_are_right(check, "exim", copies, parameters=False)
        sink.forget()
        rcpts, dot = send(relay.smtp, [GRANTED, "refused@example.net", "later@example.net"])
        check([code for code, _ in rcpts] == [250, 550, 451], "exim: RCPT verdicts are Exim's", rcpts)
        check(list(by_recipient(sink.wait(1))) == [GRANTED], "exim: only the accepted one got a copy")
        check(relay.spool() == [], "exim: nothing is left in the spool", relay.spool())
        check(relay.stop(), "exim: the relay ends in order")
    finally:
        relay.stop()
        server.stop()
        sink.close()


def exim_client(check, binary, work, program):
    """Exim in front, which sends by BDAT where CHUNKING is announced."""
    sink = Sink()
    relay = Relay(binary, work, "exim-client", sink.port, free_port(), config=TO_SMTP)
    client = Exim(work, relay.smtp, program)
    try:
        relay.grant(GRANTED)
        relay.start()
        client.start()
        rcpts, dot = send(client.port, EVERYBODY)
        check(dot is not None and dot[0] == 250, "exim in front: Exim queues it", (rcpts, dot))
        copies = sink.wait(3)
        copies_are_right(check, "exim in front", copies, parameters=False)
        log = client.log()
        check(" K " in log, "exim in front: it went by CHUNKING", log[-600:])
        sink.forget()
        large = MESSAGE.replace(b"text/html", b"text/plain") + b"".join(b"..%07d " % n + b"y" * 60 + b"\r\n" for n in range(28_000))
        send(client.port, [GRANTED, NOBODY], large)
        found = by_recipient(sink.wait(2, seconds=60))
        same = {rcpt: [copy.below_trace() == large for copy, _ in copies] for rcpt, copies in found.items()}
        check(same == {GRANTED: [True], NOBODY: [True]}, f"exim in front: {len(large)} octets in chunks came through", same)
        check(relay.stop(), "exim in front: the relay ends in order")
    finally:
        client.stop()
        relay.stop()
        sink.close()


PROXIED = """\
[[listener]]
address = "127.0.0.1:{smtp}"
trusted_networks = ["127.0.0.5/32"]
proxy_networks = ["127.0.0.1/32"]
[[next_hop]]
address = "127.0.0.1:{next_hop}"
""" + STORES


def haproxy(check, binary, work):
    """HAProxy in front with send-proxy-v2: who may relay is decided by the client's address, not by HAProxy's."""
    sink = Sink()
    relay = Relay(binary, work, "haproxy", sink.port, free_port(), config=PROXIED)
    server = HAProxy(work, relay.smtp)
    try:
        relay.grant(GRANTED)
        relay.start(greets=False)
        server.start()

        def greeting(source):
            with socket.create_connection(("127.0.0.1", server.port), 10, (source, 0)) as client:
                return client.makefile("rb").readline()

        check(greeting("127.0.0.5").startswith(b"220 "), "haproxy: a trusted client is greeted", greeting("127.0.0.5"))
        check(greeting("127.0.0.6").startswith(b"554 "), "haproxy: a stranger is sent away", greeting("127.0.0.6"))
        rcpts, dot = send(server.port, EVERYBODY, source="127.0.0.5")
        check(dot is not None and dot[0] == 250, "haproxy: 250 behind the dot", (rcpts, dot))
        copies = sink.wait(3)
        copies_are_right(check, "haproxy", copies)
        trace = b"".join(copy.octets[:400] for copy in copies)
        check(b"127.0.0.5" in trace, "haproxy: Received names the client", trace)
        check(relay.stop(), "haproxy: the relay ends in order")
    finally:
        server.stop()
        relay.stop()
        sink.close()


EXTENSIONS = ["", "8BITMIME", "SMTPUTF8", "DSN", "SIZE", "PIPELINING", "ENHANCEDSTATUSCODES", "XFORWARD", "CHUNKING", "SIZE,PIPELINING,8BITMIME,DSN,SMTPUTF8,CHUNKING"]
MIRRORED = {"8BITMIME", "SMTPUTF8", "DSN"}


def dialog(port, lines):
    """The last line of each reply, the greeting's first."""
    with socket.create_connection(("127.0.0.1", port), 20) as client, client.makefile("rwb") as stream:

        def reply():
            while True:
                line = stream.readline().decode("utf-8", "replace")
                if line[3:4] != "-":
                    return line.rstrip()

        said = [reply()]
        for line in lines:
            stream.write(line.encode() + b"\r\n")
            stream.flush()
            said.append(reply())
        return said


def keywords(port):
    with smtplib.SMTP("127.0.0.1", port, "client.test", timeout=30) as client:
        client.ehlo()
        return {word.upper() for word in client.esmtp_features}


def extensions(check, binary, work):
    """Postfix upstream with each extension taken away in turn: announced is what can be kept, and mail arrives whole."""
    for turn, gone in enumerate(EXTENSIONS):
        directory = pathlib.Path(work) / str(turn)
        directory.mkdir()
        directory.chmod(0o755)
        name = f"without {gone or 'nothing'}"
        extra = f"smtpd_discard_ehlo_keywords = {gone}\n"
        with Bench(binary, directory, "upstream", extra) as bench:
            port, sink = bench.ports[RELAY_SMTP], bench.sink
            announced = keywords(port)
            missing = set(gone.split(",")) & MIRRORED
            check(announced & MIRRORED == MIRRORED - missing, f"{name}: EHLO mirrors it", announced)
            ours = {"PIPELINING", "ENHANCEDSTATUSCODES", "CHUNKING", "SIZE"}
            check(ours <= announced, f"{name}: what is ours stays", announced)
            rcpts, dot = send(port, EVERYBODY)
            check(dot is not None and dot[0] == 250, f"{name}: the client hears 250 whatever it asked for", (rcpts, dot))
            found = by_recipient(sink.wait(3))
            kept = {rcpt: [TRACKER in copy.octets for copy, _ in copies] for rcpt, copies in found.items()}
            check(kept == {GRANTED: [True], NOBODY: [False], OTHER: [False]}, f"{name}: each once, by consent", kept)
            if "SMTPUTF8" in gone:
                said = dialog(port, ["EHLO client.test", "MAIL FROM:<news@shop.example> SMTPUTF8", "RCPT TO:<jörg@пример.example>"])
                check(said[-1][:1] == "5", f"{name}: an address that cannot go on is refused", said)
            check(bench.relay.spool() == [], f"{name}: nothing is left in the spool")


def speed_adjust(check, binary, work):
    """Postfix in front, before its queue, with speed_adjust: the filter takes or refuses all recipients together."""
    name = "speed-adjust"
    extra = (
        "smtpd_recipient_restrictions = check_recipient_access inline:{ {refused@example.net = 550 5.1.1 nobody of that name} },"
        " permit_mynetworks, reject\n"
    )
    sink = Sink()
    ports = {port: free_port() for port in (FRONT_PORT, RELAY_SMTP, RELAY_LMTP, BACK)}
    postfix = Postfix(work, "proxy-filter-speed-adjust", sink.port, ports, extra)
    config = TO_SMTP.replace("xforward_networks", "selective_rejects = false\nxforward_networks", 1)
    relay = Relay(binary, work, name, ports[BACK], ports[RELAY_SMTP], config=config)
    try:
        postfix.start()
        relay.grant(GRANTED)
        relay.start()
        rcpts, dot = send(ports[FRONT_PORT], EVERYBODY)
        check(dot is not None and dot[0] == 250, f"{name}: the client hears 250", (rcpts, dot))
        copies_are_right(check, name, sink.wait(3))
        sink.forget()
        rcpts, dot = send(ports[RELAY_SMTP], [GRANTED, "refused@example.net"])
        check([code for code, _ in rcpts] == [250, 250], f"{name}: no RCPT is refused on its own", rcpts)
        check(dot is not None and dot[0] == 550, f"{name}: all are refused at the dot", dot)
        check(sink.wait(1, seconds=1) == [], f"{name}: and nobody has a copy")
        check(relay.spool() == [], f"{name}: nothing is left in the spool", relay.spool())
        check(relay.stop(), f"{name}: the relay ends in order")
    finally:
        relay.stop()
        postfix.stop()
        sink.close()


SECURE = """\
[[listener]]
address = "127.0.0.1:{smtp}"
trusted_networks = []
tls = {{ certificate = "{pem}", key = "{key}", mode = "required" }}
auth = {{ file = "{logins}" }}
[[listener]]
address = "127.0.0.1:{implicit}"
trusted_networks = []
tls = {{ certificate = "{pem}", key = "{key}", mode = "implicit" }}
auth = {{ file = "{logins}" }}
[[next_hop]]
address = "127.0.0.1:{next_hop}"
""" + STORES

USER, PASSWORD = "injector", "correct horse"

NODEMAILER = """const transport = require("/usr/share/nodejs/nodemailer").createTransport({{
  host: "127.0.0.1", port: {port}, secure: {secure}, requireTLS: true, pool: true,
  auth: {{ user: "{user}", pass: "{password}" }}, tls: {{ ca: require("fs").readFileSync("{pem}"), servername: "relay.test" }} }});
const raw = require("fs").readFileSync("{file}");
transport.sendMail({{ envelope: {{ from: "news@shop.example", to: {to} }}, raw }})
  .then((told) => {{ console.log(told.response); transport.close(); }}, (error) => {{ console.error(error); process.exit(1); }});
"""


def certificate(work, name="relay.test"):
    """A certificate of its own for a name, and its key."""
    pem, key = pathlib.Path(work) / f"{name}.pem", pathlib.Path(work) / f"{name}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
         "-addext", f"subjectAltName=DNS:{name},IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", key, "-out", pem],
        stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=60,
    )
    for file in (pem, key):
        file.chmod(0o644)
    return pem, key


def ran(command, **more):
    return subprocess.run(command, capture_output=True, timeout=60, stdin=None if "input" in more else subprocess.DEVNULL, **more)


def clients(check, binary, work):
    """swaks, msmtp, smtplib, nodemailer and openssl s_client: STARTTLS and implicit TLS, and a login."""
    sink = Sink()
    pem, key = certificate(work)
    logins = pathlib.Path(work) / "logins"
    made = ran([str(binary), "keys", "password", USER], input=PASSWORD.encode() + b"\n")
    logins.write_bytes(made.stdout)
    logins.chmod(0o600)
    check(made.stdout.startswith(USER.encode() + b":$argon2id$"), "clients: `keys password` prints a line for the file", made)
    smtp, implicit = free_port(), free_port()
    relay = Relay(binary, work, "clients", sink.port, smtp, config=SECURE, pem=pem, key=key, logins=logins, implicit=implicit)
    file = pathlib.Path(work) / "message.eml"
    file.write_bytes(MESSAGE)
    try:
        relay.grant(GRANTED)
        relay.start()
        port = relay.smtp
        said = dialog(port, ["EHLO client.test", "MAIL FROM:<news@shop.example>"])
        check(said[-1].startswith("530 5.7.0"), "clients: without TLS and login nothing is taken", said)

        def arrived(name, outcome):
            found = by_recipient(sink.wait(3))
            kept = {rcpt: [TRACKER in copy.octets for copy, _ in copies] for rcpt, copies in found.items()}
            check(kept == {GRANTED: [True], NOBODY: [False], OTHER: [False]}, f"clients: {name}: each once, by consent", outcome)
            trace = b"".join(copy.octets[:300] for copy in sink.wait(0, linger=0))
            check(b"with ESMTPSA" in trace, f"clients: {name}: Received says ESMTPSA", trace)
            check(USER.encode() not in trace, f"clients: {name}: and not who logged in", trace)
            sink.forget()

        for way in (["--tls"], ["--tls-on-connect"]):
            for method in ("PLAIN", "LOGIN"):
                there = port if way == ["--tls"] else implicit
                told = ran(["swaks", "--server", "127.0.0.1", "--port", str(there), *way, "--auth", method, "--auth-user", USER,
                            "--auth-password", PASSWORD, "--from", "news@shop.example", "--to", ",".join(EVERYBODY), "--data", f"@{file}"])
                arrived(f"swaks {way[0]} {method}", told.stdout[-600:])
        told = ran(["swaks", "--server", "127.0.0.1", "--port", str(port), "--tls", "--auth", "PLAIN", "--auth-user", USER,
                    "--auth-password", "wrong", "--from", "news@shop.example", "--to", NOBODY])
        check(b"535 5.7.8" in told.stdout, "clients: a wrong password is told 535 5.7.8", told.stdout[-400:])

        for tls in (["--tls-starttls=on"], ["--tls-starttls=off"]):
            there = port if tls == ["--tls-starttls=on"] else implicit
            told = ran(["msmtp", "--host=127.0.0.1", f"--port={there}", "--tls=on", *tls, f"--tls-trust-file={pem}", "--auth=on", f"--user={USER}",
                        f"--passwordeval=echo '{PASSWORD}'", "--from=news@shop.example", "--", *EVERYBODY],
                       input=MESSAGE.replace(b"\r\n", b"\n"))
            arrived(f"msmtp {tls[0]}", told.stderr[-400:])

        context = ssl.create_default_context(cafile=str(pem))
        for kind in ("starttls", "implicit"):
            if kind == "starttls":
                client = smtplib.SMTP("127.0.0.1", port, timeout=60)
                client.starttls(context=context)
            else:
                client = smtplib.SMTP_SSL("127.0.0.1", implicit, timeout=60, context=context)
            with client:
                client.login(USER, PASSWORD)
                told = client.sendmail("news@shop.example", EVERYBODY, MESSAGE, ["BODY=8BITMIME"])
            arrived(f"smtplib {kind}", told)

        for secure, there in (("false", port), ("true", implicit)):
            script = NODEMAILER.format(port=there, secure=secure, user=USER, password=PASSWORD, pem=pem, file=file, to=json.dumps(EVERYBODY))
            told = ran(["node", "-e", script])
            arrived(f"nodemailer secure={secure}", told.stderr[-400:])

        for more, there in ((["-starttls", "smtp"], port), ([], implicit)):
            told = ran(["openssl", "s_client", "-connect", f"127.0.0.1:{there}", *more, "-crlf", "-quiet", "-CAfile", str(pem), "-verify_return_error"],
                       input=b"EHLO client.test\nQUIT\n")
            check(b"AUTH PLAIN LOGIN" in told.stdout and b"221 " in told.stdout, f"clients: openssl s_client {' '.join(more) or 'implicit'}", told)
            check(b"STARTTLS" not in told.stdout, "clients: STARTTLS is not offered again", told.stdout)
        check(relay.stop(), "clients: the relay ends in order")
    finally:
        relay.stop()
        sink.close()


TO_TLS = """\
[[listener]]
address = "127.0.0.1:{smtp}"
tls = {{ certificate = "{pem}", key = "{key}", mode = "starttls" }}
xforward_networks = ["127.0.0.1/32"]
[[next_hop]]
address = "127.0.0.1:{next_hop}"
tls = {{ mode = "verified", ca_file = "{pem}", name = "relay.test" }}
""" + STORES


def postfix_tls(check, binary, work):
    """Postfix in front and behind, TLS on both ways; and a certificate that is not the one we know."""
    name = "postfix-tls"
    pem, key = certificate(work)
    sink = Sink()
    ports = {port: free_port() for port in (FRONT_PORT, RELAY_SMTP, RELAY_LMTP, BACK)}
    extra = f"smtpd_tls_cert_file = {pem}\nsmtpd_tls_key_file = {key}\nsmtp_tls_CAfile = {pem}\nsmtpd_tls_loglevel = 1\nsmtp_tls_loglevel = 1\n"
    postfix = Postfix(work, "content-filter-smtp", sink.port, ports, extra)
    master = postfix.base / "etc" / "master.cf"
    text = master.read_text().replace("smtp_tls_security_level=none", "smtp_tls_security_level=encrypt")
    master.write_text(text.replace("-o content_filter=\n", "-o content_filter=\n    -o smtpd_tls_security_level=encrypt\n"))
    relay = Relay(binary, work, name, ports[BACK], ports[RELAY_SMTP], config=TO_TLS, pem=pem, key=key)
    try:
        postfix.start()
        relay.grant(GRANTED)
        relay.start()
        rcpts, dot = send(ports[FRONT_PORT], EVERYBODY)
        check(dot is not None and dot[0] == 250, f"{name}: the front queues it", (rcpts, dot))
        copies = sink.wait(3)
        copies_are_right(check, name, copies)
        trace = b"".join(copy.octets[:900] for copy in copies)
        check(b"with ESMTPS " in trace, f"{name}: Received says ESMTPS", trace)
        check(postfix.wait_for_log(r"after-pixelgate/smtpd.*TLS connection established"), f"{name}: and so says Postfix behind")
        sink.forget()
        relay.stop()
        other, _ = certificate(work, "other.test")
        relay.config.write_text(relay.config.read_text().replace(f'ca_file = "{pem}"', f'ca_file = "{other}"'))
        relay.start()
        rcpts, dot = send(ports[FRONT_PORT], EVERYBODY)
        check(postfix.wait_for_log(r"status=deferred"), f"{name}: an unknown certificate: deferred, not sent in clear")
        check(sink.wait(1, seconds=1) == [], f"{name}: nothing went out")
        check(relay.stop(), f"{name}: the relay ends in order")
    finally:
        relay.stop()
        postfix.stop()
        sink.close()


XCLIENT = """\
[[listener]]
address = "127.0.0.1:{smtp}"
trusted_networks = ["192.0.2.7/32"]
xclient_networks = ["127.0.0.1/32"]
[[next_hop]]
address = "127.0.0.1:{next_hop}"
""" + STORES


def xclient(check, binary, work):
    """swaks speaks for another client: the relay decides by that one's address."""
    sink = Sink()
    relay = Relay(binary, work, "xclient", sink.port, free_port(), config=XCLIENT)
    try:
        relay.start(greets=False)
        for address, code in (("192.0.2.7", 0), ("192.0.2.8", 1)):
            told = ran(["swaks", "--server", "127.0.0.1", "--port", str(relay.smtp), "--xclient-addr", address, "--xclient-name", "client.test",
                        "--from", "news@shop.example", "--to", NOBODY])
            check((told.returncode != 0) == bool(code), f"xclient: {address} is {'refused' if code else 'served'}", told.stdout[-700:])
        check(len(sink.wait(1)) == 1, "xclient: one message went out")
        check(relay.stop(), "xclient: the relay ends in order")
    finally:
        relay.stop()
        sink.close()


SCENARIOS = [dovecot, exim_upstream, exim_client, haproxy, extensions, speed_adjust, clients, postfix_tls, xclient]


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--binary", required=True, type=pathlib.Path)
    arguments.add_argument("--exim", default=shutil.which("exim4", path="/usr/sbin"))
    arguments.add_argument("--only", default="")
    arguments = arguments.parse_args()
    check = Checks()
    for program in ("postfix", "dovecot", "haproxy"):
        if shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin") is None:
            check(False, f"{program} is installed")
    if not arguments.exim:
        check(False, "Exim is there")
    if check.failed:
        print(f"interop: 0 passed, {check.failed} failed, {len(SCENARIOS)} skipped")
        return 1
    socket.setdefaulttimeout(60)
    skipped = 0
    for scenario in SCENARIOS:
        if arguments.only not in scenario.__name__:
            skipped += 1
            continue
        work = tempfile.mkdtemp(prefix="pixelgate-interop-")
        pathlib.Path(work).chmod(0o755)
        began = time.monotonic()
        failed = check.failed
        more = [arguments.exim] if scenario.__name__.startswith("exim") else []
        try:
            scenario(check, arguments.binary.resolve(), work, *more)
        except Exception:
            check(False, f"{scenario.__name__} ran to its end", traceback.format_exc(limit=4))
        print(f"      {scenario.__name__}: {time.monotonic() - began:.1f} s", flush=True)
        if check.failed > failed:
            print(f"      logs in {work}")
        else:
            shutil.rmtree(work, ignore_errors=True)
    print(f"interop: {check.passed} passed, {check.failed} failed, {skipped} skipped")
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main())
