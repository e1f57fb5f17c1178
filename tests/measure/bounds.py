#!/usr/bin/env python3
"""What the relay does with what is built to exhaust it: memory, and how long others wait meanwhile.

    tests/measure/bounds.py --binary target/release/pixelgate [--only WORD]

Each line of the table is a relay started anew: 200 slow clients each in the midst of 10 MiB, 2,000 idle connections, floods
of connections, 20,000 recipients in one transaction, every message of `tests/peers/bombs.py` in its large form, ten mixed
transactions at once against a next hop that takes ten connections. Meanwhile somebody well-behaved, from another trusted
address, sends a newsletter with a tracker every 100 ms, each on a new connection. Printed are the most memory that was
resident (VmHWM), the CPU time the relay used, the worst and the median time from connecting to the reply to the dot for the
well-behaved, how many of them were not served, and what became of the others. The relay runs as
deploy/pixelgate.service runs it, with MALLOC_ARENA_MAX=2. Nothing is asserted here: a test with smaller
numbers is `tests/peers/endurance.py`. Raises its own limit of open files; loopback only, ends what it started.
"""

import argparse
import collections
import os
import pathlib
import random
import resource
import shutil
import statistics
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "peers"))
import bombs  # noqa: E402
from endurance import GRANTED, NOBODY, Letter, quiet_port  # noqa: E402
from postfix import BACK, FRONT_PORT, RELAY_LMTP, RELAY_SMTP, Postfix  # noqa: E402
from relay import Relay  # noqa: E402
from wire import Sink  # noqa: E402

GOOD, BAD, STRANGER = "127.0.0.2", "127.0.0.1", "127.7.0.1"
# Whom the relay trusts is a network of its own, so that there are strangers on loopback too.
CONFIG = bombs.CONFIG.replace('"127.0.0.0/8"', '"127.0.0.0/24"')
TICK = os.sysconf("SC_CLK_TCK")


class Good(threading.Thread):
    """Sends a newsletter every now and then and looks at the clock."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.ending = port, threading.Event()
        self.times, self.refused = [], collections.Counter()

    def run(self):
        letter = Letter("good", random.Random(3))
        letter.kind, letter.lines = "mixed", 200
        while not self.ending.is_set():
            began = time.monotonic()
            try:
                reply = bombs.send(self.port, [NOBODY[0]], letter.octets(), GOOD)
            except OSError as error:
                reply = type(error).__name__
            self.times.append(time.monotonic() - began)
            if reply[0] != "2":
                self.refused[reply] += 1
            self.ending.wait(0.1)

    def end(self):
        self.ending.set()
        self.join(120)


class Run:
    """One line of the table: a relay and the well-behaved client."""

    def __init__(self, table, name, more="", sink=None):
        self.table, self.name = table, name
        self.sink = sink or Sink()
        self.relay = Relay(
            table.binary, table.work, f"{len(table.lines)}-{name.replace(' ', '-')}", self.sink.port, quiet_port(),
            config=CONFIG, more=more,
        )
        self.relay.grant(*GRANTED)
        self.relay.start(**bombs.ENVIRONMENT)
        self.good = Good(self.relay.smtp)
        self.marks = []

    def __enter__(self):
        self.good.start()
        time.sleep(0.5)
        return self

    def cpu(self):
        with open(f"/proc/{self.relay.process.pid}/stat") as stat:
            fields = stat.read().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def mark(self, what):
        """Another line for what happened since the last one."""
        times, self.good.times = self.good.times, []
        refused, self.good.refused = self.good.refused, collections.Counter()
        line = (
            self.name, what, self.relay.memory() / (1 << 20), self.cpu(), max(times, default=0), statistics.median(times or [0]),
            sum(refused.values()), len(times),
        )
        self.table.add(line, refused)
        self.relay.forget_memory()

    def __exit__(self, *_):
        self.good.end()
        self.relay.stop()
        self.sink.close()


class Table:
    def __init__(self, binary, work):
        self.binary, self.work, self.lines = binary, work, []
        print("| what | others | MiB | CPU s | well-behaved: worst s | median s | not served |\n|---|---|---|---|---|---|---|")

    def add(self, line, refused):
        self.lines.append(line)
        name, what, memory, cpu, worst, median, missed, of = line
        why = f" ({refused.most_common(1)[0][0][:70]})" if refused else ""
        print(f"| {name} | {what} | {memory:.0f} | {cpu:.1f} | {worst:.2f} | {median:.3f} | {missed} of {of}{why} |", flush=True)


def tally(replies):
    counted = collections.Counter(bombs.short(reply) for reply in replies)
    return ", ".join(f"{count} x {reply}" for reply, count in counted.most_common(3))


def together(number, work):
    """`work(0)`, `work(1)`, … each in a thread; their answers in order."""
    answers = [None] * number

    def one(index):
        try:
            answers[index] = work(index)
        except OSError as error:
            answers[index] = type(error).__name__
    threads = [threading.Thread(target=one, args=(index,), daemon=True) for index in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    return answers


def nothing(table):
    with Run(table, "nothing else") as run:
        time.sleep(3)
        run.mark("-")


def slow_clients(table):
    with Run(table, "200 slow clients, 10 MiB each") as run:
        slow = bombs.SlowClients(run.relay.smtp, 200, 10 << 20)
        begun = together(200, lambda index: slow.clients[index].begin(["nobody@example.net"]))
        run.mark("begin: " + tally(begun))
        slow.clients = [client for client, reply in zip(slow.clients, begun) if reply[0] == "3"]
        slow.go_on()
        time.sleep(1)
        run.mark(f"{len(slow.clients)} in the midst")
        run.mark("all end at once: " + tally(slow.finish()))
        slow.close()


def idle(table):
    with Run(table, "2,000 idle connections", "[limits]\nsessions = 3000\nsessions_per_address = 3000\n") as run:
        others = [bombs.Connection(run.relay.smtp) for _ in range(2000)]
        for other in others:
            other.read()
        time.sleep(1)
        run.mark("greeted")
        for other in others:
            other.ask(b"EHLO client.test\r\n")
        time.sleep(1)
        run.mark("after EHLO")
        for other in others:
            other.close()


def flood(run, source, seconds=8, threads=4):
    """Connections that say nothing and go; how many, and the last words said to them."""
    until, count, said = time.monotonic() + seconds, collections.Counter(), []

    def one(_):
        while time.monotonic() < until:
            try:
                client = bombs.Connection(run.relay.smtp, source, 5)
                count["all"] += 1
                if count["all"] % 50 == 0:
                    said.append(client.read())
                client.close()
            except OSError as error:
                count[type(error).__name__] += 1
                time.sleep(0.01)

    together(threads, one)
    run.mark(f"{count['all']} connections, told {tally(said)}")


def floods(table):
    for name, source in (("flood by a stranger", STRANGER), ("flood by somebody trusted", BAD)):
        with Run(table, name) as run:
            flood(run, source)
    with Run(table, "1,500 connections that stay and say nothing") as run:
        others = []
        for number in range(1500):
            try:
                others.append(bombs.Connection(run.relay.smtp, f"127.0.0.{10 + number % 10}"))
            except OSError:
                pass
        said = [other.read() for other in others]
        time.sleep(2)
        run.mark(tally(said))
        for other in others:
            other.close()


def recipients(table):
    with Run(table, "20,000 recipients in one transaction") as run:
        taken, full = bombs.crowd(run.relay.smtp, 20_000)
        run.mark(f"{taken} taken, {full} told 452")
    with Run(table, "20,000 recipients, all taken", "[limits]\nrecipients = 20000\n") as run:
        client = bombs.Connection(run.relay.smtp)
        letter = Letter("crowd", random.Random(1))
        letter.kind = "stripped"
        client.begin([f"r{number}@example.net" for number in range(20_000)])
        reply = client.ask(letter.octets().replace(b"\r\n.", b"\r\n..") + b".\r\n")
        run.mark(bombs.short(reply))
        client.close()


def messages(table):
    for name, message in bombs.bombs(small=False):
        with Run(table, name) as run:
            began = time.monotonic()
            reply = bombs.send(run.relay.smtp, [NOBODY[0]], message, BAD)
            took = time.monotonic() - began
            run.mark(f"{len(message) / 1e6:.1f} MB: {bombs.short(reply)} in {took:.1f} s")


def messages_at_once(table):
    for name, message in bombs.bombs(small=False):
        if name in ("a line without an end", "a large header", "one field without an end", "no dot in sight"):
            continue
        with Run(table, f"ten at once: {name}") as run:
            replies = together(10, lambda _: bombs.send(run.relay.smtp, [NOBODY[0]], message, BAD))
            run.mark(f"{len(message) / 1e6:.1f} MB: {tally(replies)}")


class TenOnly(Sink):
    """A next hop that takes ten connections and tells the eleventh 421."""

    def __init__(self):
        self.now, self.most, self.turned_away = 0, 0, 0
        super().__init__()

    def _serve(self, connection):
        with self._lock:
            self.now += 1
            room = self.now <= 10
            self.most = max(self.most, self.now)
            self.turned_away += not room
        try:
            if room:
                super()._serve(connection)
            else:
                with connection:
                    connection.sendall(b"421 4.7.0 too many connections\r\n")
        finally:
            with self._lock:
                self.now -= 1


def ten_mixed(table):
    sink = TenOnly()
    with Run(table, "ten mixed at once, ten connections", "[next_hop.limits]\nmax_connections = 10\n", sink) as run:
        letter = Letter("ten", random.Random(1))
        letter.kind, letter.lines = "mixed", 200

        def one(_):
            replies = []
            for _ in range(20):
                began = time.monotonic()
                replies.append((bombs.send(run.relay.smtp, [GRANTED[0], NOBODY[0]], letter.octets()), time.monotonic() - began))
            return replies

        replies = [reply for some in together(10, one) for reply in some]
        worst = max(took for _, took in replies)
        run.mark(
            f"{tally(reply for reply, _ in replies)}, worst {worst:.2f} s; "
            f"{sink.most} connections at most, {sink.turned_away} turned away"
        )


def postfix(table):
    """The same slow clients before Debian's Postfix, with as many processes as they need: all of its processes, each page
    that several share counted once."""
    if os.geteuid() != 0 or shutil.which("postfix") is None:
        print("| Postfix: not measured, it needs root and Postfix | | | | | | |")
        return
    sink, ports = Sink(), {port: quiet_port() for port in (FRONT_PORT, RELAY_SMTP, RELAY_LMTP, BACK)}
    pathlib.Path(table.work).chmod(0o755)
    server = Postfix(table.work, "upstream", sink.port, ports, "default_process_limit = 250\nsmtpd_client_connection_count_limit = 0\n")
    server.start()
    good = Good(ports[FRONT_PORT])
    try:
        good.start()
        slow = bombs.SlowClients(ports[FRONT_PORT], 200, 10 << 20)
        begun = together(200, lambda index: slow.clients[index].begin(["nobody@example.net"]))
        slow.clients = [client for client, reply in zip(slow.clients, begun) if reply and reply[0] == "3"]
        slow.go_on()
        time.sleep(1)
        memory = 0
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if os.getpgid(int(process.name)) == server.pid():
                    lines = (process / "smaps_rollup").read_text().splitlines()
                    memory += sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:"))
            except OSError:
                pass
        times = good.times
        table.add(
            ("Postfix, 200 slow clients, 10 MiB each", f"{len(slow.clients)} in the midst", memory / (1 << 20), 0,
             max(times, default=0), statistics.median(times or [0]), sum(good.refused.values()), len(times)),
            good.refused,
        )
        slow.close()
    finally:
        good.end()
        server.stop()
        sink.close()


SCENARIOS = [nothing, slow_clients, idle, floods, recipients, ten_mixed, messages, messages_at_once, postfix]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default="target/release/pixelgate", type=pathlib.Path)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    work = tempfile.mkdtemp(prefix="pixelgate-bounds-")
    try:
        table = Table(arguments.binary.resolve(), work)
        for scenario in SCENARIOS:
            if scenario.__name__.startswith(arguments.only):
                scenario(table)
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
