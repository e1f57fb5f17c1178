#!/usr/bin/env python3
"""The relay among real peers: Debian's Postfix behind it and in front of it, swaks and Python's smtplib as clients.

    scenarios.py --binary PATH [--only WORD]

Every scenario sends to somebody with consent and to somebody without, and looks at what a sink behind Postfix was
given, octet for octet below the trace fields. Prints one line per check; the last is
`peers: N passed, N failed, N skipped`. Exit code 1 when anything failed. Python's standard library only.
"""

import argparse
import pathlib
import re
import shutil
import smtplib
import socket
import subprocess
import sys
import tempfile
import time
import traceback

from postfix import BACK, FRONT_PORT, RELAY_LMTP, RELAY_SMTP, Postfix
from relay import Relay
from wire import Sink, free_port, parameters_of, path_of

SENDER = "news@shop.example"
GRANTED = "granted@example.net"
NOBODY = "nobody@example.net"
OTHER = "other@example.net"
TRACKER = b"metrics.shop.example"
MAIL_PARAMETERS = {"RET": "HDRS", "ENVID": "QQ+2B314"}

MESSAGE = (
    "From: Shop <news@shop.example>\r\n"
    "To: list@shop.example\r\n"
    "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"
    "Date: Sun, 22 Nov 2026 08:00:00 +0100\r\n"
    "Message-ID: <peers.1@shop.example>\r\n"
    "X-Odd:  two  blanks \r\n"
    "\tand a folded line\r\n"
    "MIME-Version: 1.0\r\n"
    "Content-Type: text/html; charset=utf-8\r\n"
    "Content-Transfer-Encoding: 8bit\r\n"
    "\r\n"
    "<html><body><p>Grüße, 8 bits</p>\r\n"
    ".a line that begins with a dot\r\n"
    "..\r\n"
    "trailing blanks   \r\n"
    '<p>before</p><img src="https://metrics.shop.example/o/9f8e7d6c5b4a39281706f5e4d3c2b1a0.gif?r=77812"'
    ' width="1" height="1" alt=""><p>after</p>\r\n'
    "</body></html>\r\n"
    "\r\n"
).encode()


class Checks:
    """Counts and prints."""

    def __init__(self):
        self.passed = self.failed = 0

    def __call__(self, condition, text, seen=""):
        if condition:
            self.passed += 1
            print(f"ok    {text}", flush=True)
        else:
            self.failed += 1
            print(f"FAIL  {text}" + (f"\n      seen: {repr(seen)[:400]}" if seen != "" else ""), flush=True)
        return bool(condition)


class Bench:
    """One topology: sink, Postfix with a recipe, relay."""

    def __init__(self, binary, work, recipe, extra_main=""):
        self.sink = Sink()
        self.ports = {port: free_port() for port in (FRONT_PORT, RELAY_SMTP, RELAY_LMTP, BACK)}
        self.postfix = Postfix(work, recipe, self.sink.port, self.ports, extra_main)
        self.relay = Relay(binary, work, recipe, self.ports[BACK], self.ports[RELAY_SMTP], self.ports[RELAY_LMTP])

    def __enter__(self):
        try:
            self.postfix.start()
            self.relay.grant(GRANTED)
            self.relay.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.relay.stop()
        self.postfix.stop()
        self.sink.close()


def send(port, rcpts, message=MESSAGE, parameters=MAIL_PARAMETERS, before_mail=(), sender=SENDER, source=None):
    """One transaction by smtplib; the reply to each RCPT and the one to the dot (None when never reached)."""
    source = source and (source, 0)
    with smtplib.SMTP("127.0.0.1", port, "client.test", timeout=60, source_address=source) as client:
        client.command_encoding = "utf-8"
        client.ehlo()
        for command in before_mail:
            client.docmd(command)
        options = ["BODY=8BITMIME", *(f"{keyword}={value}" for keyword, value in parameters.items())]
        if not all(path.isascii() for path in [sender, *rcpts]):
            options.append("SMTPUTF8")
        code, text = client.mail(sender, options)
        if code != 250:
            return [(code, text)], None
        answers = []
        for rcpt in rcpts:
            original = f"ORCPT=rfc822;{rcpt}" if rcpt.isascii() else f"ORCPT=utf-8;{rcpt}"
            answers.append(client.rcpt(rcpt, ["NOTIFY=SUCCESS,FAILURE", original]))
        if not any(code == 250 for code, _ in answers):
            return answers, None
        return answers, client.data(message)


def by_recipient(copies):
    found = {}
    for copy in copies:
        for rcpt in copy.rcpts:
            found.setdefault(path_of(rcpt), []).append((copy, rcpt))
    return found


def same_but_the_tracker(original, stripped):
    """Line for line the same, but for what the one line with the tracker lost."""
    left, right = original.split(b"\r\n"), stripped.split(b"\r\n")
    if len(left) != len(right):
        return False
    for old, new in zip(left, right):
        if TRACKER not in old:
            if old != new:
                return False
        elif not (new.startswith(b"<p>before</p>") and new.endswith(b"<p>after</p>")):
            return False
    return TRACKER not in stripped


def copies_are_right(check, name, copies, parameters=True):
    """What every scenario asks: each once, by their own consent, octets and parameters whole."""
    found = by_recipient(copies)
    times = {rcpt: len(those) for rcpt, those in found.items()}
    check(times == {GRANTED: 1, NOBODY: 1, OTHER: 1}, f"{name}: each recipient got exactly one copy", times)
    for rcpt in (GRANTED, NOBODY, OTHER):
        if rcpt not in found:
            continue
        copy, argument = found[rcpt][0]
        body = copy.below_trace()
        if rcpt == GRANTED:
            check(body == MESSAGE, f"{name}: {rcpt}'s octets are the client's", body)
        else:
            check(same_but_the_tracker(MESSAGE, body), f"{name}: {rcpt}'s copy lost the tracker and nothing else", body)
        if parameters:
            given = parameters_of(copy.mail)
            kept = {keyword: given.get(keyword) for keyword in MAIL_PARAMETERS}
            check(kept == MAIL_PARAMETERS, f"{name}: {rcpt}'s RET and ENVID came through", copy.mail)
            wanted = {"NOTIFY": "SUCCESS,FAILURE", "ORCPT": f"rfc822;{rcpt}"}
            check(parameters_of(argument) == wanted, f"{name}: {rcpt}'s NOTIFY and ORCPT came through", argument)


EVERYBODY = [GRANTED, NOBODY, OTHER]


def odd_ones(check, name, port, sink):
    """An address that is not ASCII, a null reverse-path, a message of 2 MiB: all come through whole."""
    sink.forget()
    address = "jörg@пример.example"
    rcpts, dot = send(port, [address])
    copies = sink.wait(1)
    check(list(by_recipient(copies)) == [address], f"{name}: SMTPUTF8 came through", (rcpts, dot))
    check(all("SMTPUTF8" in parameters_of(copy.mail) for copy in copies), f"{name}: and is said in MAIL")
    check(all(same_but_the_tracker(MESSAGE, copy.below_trace()) for copy in copies), f"{name}: and strips as ever")
    sink.forget()

    rcpts, dot = send(port, [NOBODY], sender="")
    copies = sink.wait(1)
    check([path_of(copy.mail) for copy in copies] == [""], f"{name}: the null reverse-path came through", (rcpts, dot))
    check([copy.below_trace() for copy in copies] == [MESSAGE], f"{name}: and what stands under it is not touched")
    sink.forget()

    line = b"..x%07d " + b"y" * 60 + b"\r\n"
    large = MESSAGE.replace(b"text/html", b"text/plain") + b"".join(line % n for n in range(28_000))
    rcpts, dot = send(port, [GRANTED, NOBODY], large)
    found = by_recipient(sink.wait(2, seconds=60))
    same = {rcpt: [copy.below_trace() == large for copy, _ in copies] for rcpt, copies in found.items()}
    check(same == {GRANTED: [True], NOBODY: [True]}, f"{name}: {len(large)} octets came through", (same, dot))
    sink.forget()


def upstream(check, binary, work):
    """Postfix as the relay's upstream; smtplib and swaks as clients; refusals and an outage in Postfix's own words."""
    extra = (
        "smtpd_recipient_restrictions = check_recipient_access inline:{"
        " {refused@example.net = 550 5.1.1 nobody of that name} {later@example.net = 450 4.2.1 not today} },"
        " permit_mynetworks, reject\n"
    )
    with Bench(binary, work, "upstream", extra) as bench:
        port, sink = bench.ports[RELAY_SMTP], bench.sink
        rcpts, dot = send(port, EVERYBODY, before_mail=["XFORWARD NAME=spike.test ADDR=192.0.2.7 PROTO=ESMTP"])
        check([code for code, _ in rcpts] == [250] * 3 and dot[0] == 250, "upstream: smtplib hears 250", (rcpts, dot))
        copies = sink.wait(3)
        copies_are_right(check, "upstream", copies)
        trace = {copy.received() for copy in copies}
        check(trace == {2}, "upstream: one Received field of ours and one of Postfix's", trace)
        check(
            bench.postfix.wait_for_log(r"client=spike\.test\[192\.0\.2\.7\]"),
            "upstream: Postfix logs the client that XFORWARD named",
        )
        sink.forget()

        rcpts, dot = send(port, [GRANTED, "refused@example.net", "later@example.net"])
        check([code for code, _ in rcpts] == [250, 550, 450], "upstream: RCPT verdicts are Postfix's", rcpts)
        check(b"nobody of that name" in rcpts[1][1], "upstream: and so are its words", rcpts)
        copies = sink.wait(1)
        check(list(by_recipient(copies)) == [GRANTED], "upstream: only the accepted one got a copy")
        sink.forget()
        rcpts, dot = send(port, ["refused@example.net"])
        check(dot is None and rcpts[0][0] == 550, "upstream: all refused, nothing sent", rcpts)

        odd_ones(check, "upstream", port, sink)

        file = pathlib.Path(work) / "message.eml"
        file.write_bytes(MESSAGE)
        for name, options in {"swaks": [], "swaks --pipeline": ["--pipeline"]}.items():
            ran = subprocess.run(
                [
                    *("swaks", "--server", "127.0.0.1", "--port", str(port), "--ehlo", "client.test"),
                    *("--from", SENDER, "--to", ",".join(EVERYBODY), "--data", f"@{file}", *options),
                ],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=60,
            )
            check(ran.returncode == 0, f"upstream: {name} exits with 0", ran.stdout[-400:])
            # swaks ends its data with one CRLF less or more than the file; what counts is who got which variant.
            found = by_recipient(sink.wait(3))
            kept = {rcpt: TRACKER in copy.octets for rcpt, [(copy, _), *_] in found.items()}
            check(kept == {GRANTED: True, NOBODY: False, OTHER: False}, f"upstream: {name}, each by consent", kept)
            sink.forget()

        bench.postfix.stop()
        rcpts, dot = send(port, EVERYBODY)
        last = dot or rcpts[-1]
        check(400 <= last[0] < 500, "upstream: Postfix down, the client hears 4xx", last)
        bench.postfix.start()
        rcpts, dot = send(port, EVERYBODY)
        check(dot is not None and dot[0] == 250, "upstream: Postfix back, the client hears 250", (rcpts, dot))
        copies_are_right(check, "upstream, after the outage", sink.wait(3))
        check(bench.relay.spool() == [], "upstream: nothing is left in the spool", bench.relay.spool())
        check(bench.relay.stop(), "upstream: the relay ends in order on SIGTERM")


def content_filter(check, binary, work, protocol):
    name = f"content-filter-{protocol}"
    with Bench(binary, work, name) as bench:
        port, sink = bench.ports[FRONT_PORT], bench.sink
        rcpts, dot = send(port, EVERYBODY)
        check(dot is not None and dot[0] == 250, f"{name}: the front queues it", (rcpts, dot))
        copies = sink.wait(3)
        copies_are_right(check, name, copies)
        trace = {copy.received() for copy in copies}
        check(trace == {3}, f"{name}: front, relay and back end each left one Received field", trace)
        check(
            bench.postfix.wait_for_log(r"after-pixelgate/smtpd.*orig_client=client\.test|after-pixelgate/smtpd.*orig_queue_id="),
            f"{name}: the back end logs the front's queue id (XFORWARD)",
        )
        odd_ones(check, name, port, sink)

        check(bench.relay.stop(), f"{name}: the relay ends in order on SIGTERM")
        rcpts, dot = send(port, EVERYBODY)
        check(dot is not None and dot[0] == 250, f"{name}: relay down, the front keeps the mail", (rcpts, dot))
        check(bench.postfix.wait_for_log(r"status=deferred"), f"{name}: and defers it")
        check(sink.wait(1, seconds=1) == [], f"{name}: nothing went past the relay")
        bench.relay.start()
        copies_are_right(check, f"{name}, after the outage", sink.wait(3, seconds=60))
        log = bench.postfix.log()
        check(not re.search(r"status=bounced", log), f"{name}: nothing bounced", log[-600:])
        check(bench.relay.spool() == [], f"{name}: nothing is left in the spool", bench.relay.spool())


def content_filter_smtp(check, binary, work):
    """Postfix in front, after its queue, over smtp; back into a second smtpd."""
    content_filter(check, binary, work, "smtp")


def content_filter_lmtp(check, binary, work):
    """The same over lmtp: an answer per recipient."""
    content_filter(check, binary, work, "lmtp")


def proxy_filter(check, binary, work):
    """Postfix in front, before its queue: what the back end says, the client hears."""
    name = "proxy-filter"
    with Bench(binary, work, name) as bench:
        port, sink = bench.ports[FRONT_PORT], bench.sink
        rcpts, dot = send(port, EVERYBODY)
        check(dot is not None and dot[0] == 250, f"{name}: the client hears 250", (rcpts, dot))
        copies = sink.wait(3)
        copies_are_right(check, name, copies)
        odd_ones(check, name, port, sink)

        bench.relay.stop()
        rcpts, dot = send(port, EVERYBODY)
        last = dot or rcpts[0]
        check(last[0] == 451, f"{name}: relay down, the client hears 451", last)
        check(sink.wait(1, seconds=1) == [], f"{name}: nothing went past the relay")
        bench.relay.start()
        rcpts, dot = send(port, EVERYBODY)
        check(dot is not None and dot[0] == 250, f"{name}: relay back, the client hears 250", (rcpts, dot))
        copies_are_right(check, f"{name}, after the outage", sink.wait(3))
        check(bench.relay.spool() == [], f"{name}: nothing is left in the spool", bench.relay.spool())


SCENARIOS = [upstream, content_filter_smtp, content_filter_lmtp, proxy_filter]


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--binary", required=True, type=pathlib.Path)
    arguments.add_argument("--only", default="")
    arguments = arguments.parse_args()
    check = Checks()
    for program in ("postfix", "swaks"):
        if shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin") is None:
            check(False, f"{program} is installed")
    if check.failed:
        print(f"peers: 0 passed, {check.failed} failed, {len(SCENARIOS)} skipped")
        return 1
    socket.setdefaulttimeout(60)
    skipped = 0
    for scenario in SCENARIOS:
        if arguments.only not in scenario.__name__:
            skipped += 1
            continue
        # Postfix's processes run as another user and must be able to get at their queue.
        work = tempfile.mkdtemp(prefix="pixelgate-peers-")
        pathlib.Path(work).chmod(0o755)
        began = time.monotonic()
        failed = check.failed
        try:
            scenario(check, arguments.binary.resolve(), work)
        except Exception:
            check(False, f"{scenario.__name__} ran to its end", traceback.format_exc(limit=4))
        print(f"      {scenario.__name__}: {time.monotonic() - began:.1f} s", flush=True)
        if check.failed > failed:
            print(f"      logs in {work}")
        else:
            shutil.rmtree(work, ignore_errors=True)
    print(f"peers: {check.passed} passed, {check.failed} failed, {skipped} skipped")
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main())
