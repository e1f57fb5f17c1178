#!/usr/bin/env python3
"""The relay among more real peers: Dovecot, Exim, HAProxy, and Postfix with every extension taken away in turn.

    interop.py --binary PATH [--exim PATH] [--only WORD]

Same rules as scenarios.py; the last line is `interop: N passed, N failed, N skipped`. Needs root.
"""

import argparse
import os
import pathlib
import shutil
import socket
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


def keywords(port):
    import smtplib

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
                rcpts, dot = send(port, ["jörg@пример.example"])
                refused = dot or rcpts[0]
                check(500 <= refused[0] < 600, f"{name}: an address that cannot go on is refused", (rcpts, dot))
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


SCENARIOS = [dovecot, exim_upstream, exim_client, haproxy, extensions, speed_adjust]


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--binary", required=True, type=pathlib.Path)
    arguments.add_argument("--exim", default=shutil.which("exim4", path=os.environ["PATH"] + ":/usr/sbin"))
    arguments.add_argument("--only", default="")
    arguments = arguments.parse_args()
    check = Checks()
    for program in ("postfix", "dovecot", "haproxy"):
        if shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin") is None:
            check(False, f"{program} is installed")
    check(arguments.exim is not None, "exim is there") if arguments.exim is None else None
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
