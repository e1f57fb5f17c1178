#!/usr/bin/env python3
"""The relay killed under load, and under what is built to exhaust it: nothing acknowledged is lost, nothing grows.

    endurance.py --binary PATH [--rounds N] [--seed N] [--only WORD]

Several clients send at once, each message with an id of its own; a next hop remembers what it took, octet for octet, and
now and then says 451 to a dot. The relay is killed with SIGKILL at random instants, N times, and started again on the same
directories; the clients come again when they heard nothing, as clients do, or give up. In the end, when all that was owed
was delivered, every copy is counted and compared:

- a message that was answered 250 has reached every recipient;
- no copy came more often than once, and once more for each time it may have been in flight when the relay died: an
  attempt whose dot was sent and not answered, or an entry that lay in `spool/owed` and of which the next hop had taken
  something in that life of the relay; where the next hop vanishes, also a copy whose 250 it did not get out;
- every copy is the variant its recipient is to have, whole.

The same with SIGTERM, where nothing may come twice, and with a next hop that vanishes while mail is kept. The instants
come from the seed, which is printed; how far a message got by then does not, so a failure may need more than one run.
Prints one line per check; the last is `endurance: N passed, N failed, N skipped`. Loopback only, no root, no program but
the relay; Python's standard library only.
"""

import argparse
import collections
import pathlib
import random
import shutil
import socket
import sys
import tempfile
import threading
import time
import traceback

import bombs
from relay import Relay
from scenarios import TRACKER, Checks, by_recipient
from wire import Sink

CLIENTS = 5
GRANTED = [f"granted{number}@example.net" for number in range(5)]
NOBODY = [f"nobody{number}@example.net" for number in range(5)]
IMAGE = b'<img src="https://' + TRACKER + b'/o/9f8e7d6c5b4a39281706f5e4d3c2b1a0.gif?r=77812" width="1" height="1" alt="">'

CONFIG = """\
[[listener]]
address = "127.0.0.1:{smtp}"
protocol = "smtp"
[[next_hop]]
address = "127.0.0.1:{next_hop}"
[next_hop.limits]
backoff_first_seconds = 1
backoff_most_seconds = 1
[relay]
when_next_hop_down = "{when_down}"
[consent]
register = "sqlite:{base}/consent.db"
[keys]
directory = "{base}/keys"
[spool]
directory = "{base}/spool"
retry_first_seconds = 1
retry_most_seconds = 1
[ledger]
directory = "{base}/ledger"
[log]
level = "warn"
"""


def quiet_port():
    """A free port outside the range from which clients get theirs: while nobody listens on it, nobody else takes it, and
    whoever connects to it does not meet himself."""
    for port in random.sample(range(20000, 30000), 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass
    raise RuntimeError("no free port")


class Letter:
    """One message of a client and what became of its attempts."""

    def __init__(self, ident, rng):
        self.ident = ident
        kinds = ["mixed", "mixed", "mixed", "kept", "stripped", "plain"]
        self.kind = rng.choice(kinds)
        self.rcpts = {
            "mixed": rng.sample(GRANTED, rng.randint(1, 2)) + rng.sample(NOBODY, rng.randint(1, 2)),
            "kept": rng.sample(GRANTED, 1),
            "stripped": rng.sample(NOBODY, rng.randint(1, 3)),
            "plain": [rng.choice(GRANTED), rng.choice(NOBODY)],
        }[self.kind]
        rng.shuffle(self.rcpts)
        self.lines = rng.choice([0, 20, 200, 2000])
        self.acknowledged = False
        self.refused = None
        # How often one of its copies may have been under way when something died.
        self.in_flight = 0

    def parts(self):
        """What stands before the image, the image, and what stands behind it."""
        filler = b"".join(
            b"<p>%s %d: Gr\xc3\xbc\xc3\x9fe</p>\r\n" % (self.ident.encode(), line) for line in range(self.lines)
        )
        head = (
            b"From: Shop <news@shop.example>\r\nTo: list@shop.example\r\nSubject: endurance\r\n"
            b"X-Endurance: " + self.ident.encode() + b"\r\nMIME-Version: 1.0\r\n"
            b"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
            b"<html><body>\r\n" + filler + b"..a line with two dots\r\n<p>before</p>"
        )
        image = b"" if self.kind == "plain" else IMAGE
        return head, image, b"<p>after</p>\r\n" + filler + b"</body></html>\r\n"

    def octets(self):
        return b"".join(self.parts())

    def is_right(self, copy):
        """Whether a copy is the variant that all of its recipients are to have, whole."""
        rcpts = {rcpt[rcpt.index("<") + 1 : rcpt.rindex(">")] for rcpt in copy.rcpts}
        if not rcpts or not rcpts <= set(self.rcpts) or copy.received() != 1:
            return False
        below = copy.below_trace()
        if self.kind == "plain" or rcpts <= set(GRANTED):
            return below == self.octets()
        head, image, tail = self.parts()
        # The tag stays, with another image in it.
        return (
            rcpts <= set(NOBODY)
            and TRACKER not in below
            and below.startswith(head + b"<img ")
            and below.endswith(b">" + tail)
            and len(below) - len(head) - len(tail) < 2 * len(image)
        )


class Recorder(Sink):
    """The next hop: remembers what it takes, takes its time, says 451 to some, and can vanish."""

    def __init__(self, rng, port=0):
        self.rng = rng
        self.asked = 0
        # Copies whose 250 did not get out, by id of their message.
        self.unanswered = collections.Counter()
        self.connections = set()
        # Which life of the relay a connection belongs to, and which messages were taken over those of each.
        self.life, self.here, self.taken = 0, threading.local(), set()
        super().__init__(port)

    def _serve(self, connection):
        self.here.life = self.life
        self.connections.add(connection)
        try:
            super()._serve(connection)
        finally:
            self.connections.discard(connection)

    def verdict(self, copy):
        with self._lock:
            self.asked += 1
            wait, refuse = self.rng.random() * 0.02, self.rng.random() < 0.08
        time.sleep(wait)
        if refuse:
            return "451 4.3.0 not now"
        with self._lock:
            self.unanswered[ident_of(copy.octets)] += 1
            self.taken.add((self.here.life, ident_of(copy.octets)))
        return "250 2.0.0 taken"

    def answered(self, copy):
        with self._lock:
            self.unanswered[ident_of(copy.octets)] -= 1

    def vanish(self):
        self.close()
        for connection in list(self.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def ident_of(octets):
    at = octets.index(b"X-Endurance: ") + len(b"X-Endurance: ")
    return octets[at : octets.index(b"\r\n", at)].decode()


class Client(threading.Thread):
    """Sends one message after the other, each until it is acknowledged or, now and then, given up."""

    def __init__(self, name, port, seed, ending):
        super().__init__(name=name, daemon=True)
        self.port, self.ending = port, ending
        self.rng = random.Random(f"{seed} {name}")
        self.letters = []
        # Replies to a dot.
        self.answers = 0
        self.socket = self.stream = None

    def run(self):
        while not self.ending.is_set():
            letter = Letter(f"{self.name}-{len(self.letters)}", self.rng)
            self.letters.append(letter)
            gives_up = self.rng.random() < 0.1
            while not self.attempt(letter) and not gives_up:
                time.sleep(0.03)
        self.hang_up()

    def hang_up(self):
        if self.socket is not None:
            self.stream.close()
            self.socket.close()
        self.socket = self.stream = None

    def ask(self, octets=b""):
        self.socket.sendall(octets)
        reply = self.stream.readline()
        while reply[3:4] == b"-":
            reply = self.stream.readline()
        if not reply.endswith(b"\n"):
            raise OSError("the relay went away")
        return reply.decode(errors="replace").strip()

    def attempt(self, letter):
        """Whether the message needs no further attempt."""
        dot_sent = False
        try:
            if self.socket is None:
                self.socket = socket.create_connection(("127.0.0.1", self.port), 60)
                self.stream = self.socket.makefile("rb")
                if self.ask()[0] != "2" or self.ask(b"EHLO client.test\r\n")[0] != "2":
                    raise OSError("not greeted")
            commands = [b"MAIL FROM:<news@shop.example> BODY=8BITMIME\r\n"]
            commands += [b"RCPT TO:<%s>\r\n" % rcpt.encode() for rcpt in letter.rcpts]
            commands.append(b"DATA\r\n")
            for command in commands:
                reply = self.ask(command)
                if reply[0] not in "23":
                    raise OSError(reply)
            octets = letter.octets().replace(b"\r\n.", b"\r\n..") + b".\r\n"
            cut = self.rng.randrange(1, len(octets))
            self.socket.sendall(octets[:cut])
            if self.rng.random() < 0.3:
                time.sleep(self.rng.random() * 0.02)
            dot_sent = True
            reply = self.ask(octets[cut:])
        except OSError:
            letter.in_flight += dot_sent
            self.hang_up()
            return False
        self.answers += 1
        letter.acknowledged = reply[0] == "2"
        if reply[0] == "5":
            letter.refused = reply
        return reply[0] in "25"


class Stage:
    """Relay, next hop and clients of one scenario."""

    def __init__(self, binary, work, name, seed, when_down="tempfail"):
        self.rng = random.Random(f"{seed} {name}")
        self.sink = Recorder(random.Random(f"{seed} {name} next hop"), quiet_port())
        self.relay = Relay(
            binary, work, name, self.sink.port, quiet_port(), config=CONFIG, when_down=when_down
        )
        self.relay.grant(*GRANTED)
        self.ending = threading.Event()
        self.clients = [Client(f"{name}{number}", self.relay.smtp, seed, self.ending) for number in range(CLIENTS)]
        # What lay in the spool at each death: the life that ended, the id of the message.
        self.owed_at_deaths = []
        self.deaths = 0

    def __enter__(self):
        for client in self.clients:
            client.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        if self.relay.process is not None:
            self.relay.process.kill()
            self.relay.process.wait(10)
        self.sink.vanish()

    def wait(self, most=25):
        """Until some more messages were answered, and a moment: a random instant of a life with mail in it. Bounded, for
        a relay that answers nothing."""
        goal = self.answers() + self.rng.randint(1, most)
        moment, until = self.rng.uniform(0, 0.03), time.monotonic() + 10
        while self.answers() < goal and time.monotonic() < until:
            time.sleep(0.001)
        time.sleep(moment)

    def answers(self):
        return sum(client.answers for client in self.clients)

    def kill(self):
        self.relay.kill()
        self.deaths += 1
        spool = self.relay.base / "spool"
        for envelope in (spool / "owed").glob("*.json"):
            ident = ident_of((spool / "messages" / (envelope.stem + ".eml")).read_bytes())
            self.owed_at_deaths.append((self.sink.life, ident))
        self.sink.life += 1

    def come_to_rest(self, seconds=90):
        """Lets the clients finish and the relay deliver what it owes; whether both came to an end."""
        self.ending.set()
        until = time.monotonic() + seconds
        for client in self.clients:
            client.join(max(0.1, until - time.monotonic()))
        while time.monotonic() < until and any(name.startswith("owed") for name in self.relay.spool()):
            time.sleep(0.1)
        time.sleep(0.5)
        return not any(client.is_alive() for client in self.clients) and self.relay.spool() == []

    def judge(self, check, name, twice=True):
        """Counts the copies. `twice`: whether something died in a way that lets copies in flight come twice."""
        letters = {letter.ident: letter for client in self.clients for letter in client.letters}
        acknowledged = [letter for letter in letters.values() if letter.acknowledged]
        mixed = [letter for letter in acknowledged if letter.kind == "mixed"]
        refused = [letter.refused for letter in letters.values() if letter.refused]
        copies = collections.defaultdict(list)
        for copy in self.sink.copies:
            copies[ident_of(copy.octets)].append(copy)
        # What the next hop reads after a death was sent before it.
        owed = collections.Counter(ident for life, ident in self.owed_at_deaths if (life, ident) in self.sink.taken)
        lost, wrong, too_often, second, flight = [], [], [], 0, 0
        for ident, letter in letters.items():
            times = {rcpt: len(those) for rcpt, those in by_recipient(copies[ident]).items()}
            may = letter.in_flight + owed[ident] + self.sink.unanswered[ident]
            flight += may
            if letter.acknowledged:
                lost += [(ident, rcpt) for rcpt in letter.rcpts if rcpt not in times]
            second += max([0, *(count - 1 for count in times.values())])
            too_often += [(ident, times, may) for count in times.values() if count > 1 + (may if twice else 0)]
            wrong += [(ident, copy.rcpts, len(copy.octets)) for copy in copies[ident] if not letter.is_right(copy)]
        strangers = sorted(set(copies) - set(letters))
        print(
            f"      {name}: {len(letters)} messages, {len(acknowledged)} acknowledged ({len(mixed)} of them mixed), "
            f"{len(self.sink.copies)} transactions at the next hop of {self.sink.asked}; {self.deaths} deaths, "
            f"{flight} in flight and {len(self.owed_at_deaths)} in the spool at them; {len(lost)} copies lost, {second} messages twice",
            flush=True,
        )
        check(len(mixed) > 10 and len(acknowledged) > 20, f"{name}: mail went through", len(acknowledged))
        check(not refused, f"{name}: nobody was refused for good", refused[:3])
        check(not lost, f"{name}: nothing acknowledged was lost", lost[:3])
        check(not too_often, f"{name}: nothing came twice but what was in flight at a death", too_often[:3])
        check(not wrong and not strangers, f"{name}: every copy is whole and the right one", (wrong[:3], strangers[:3]))
        return flight


def killed(check, binary, work, rounds, seed):
    """SIGKILL at random instants."""
    with Stage(binary, work, "killed", seed) as stage:
        for _ in range(rounds):
            stage.relay.start()
            stage.wait()
            stage.kill()
        stage.relay.start()
        check(stage.come_to_rest(), "killed: what was owed is delivered", stage.relay.spool())
        check(stage.relay.stop(), "killed: the relay ends in order")
        flight = stage.judge(check, "killed")
        check(flight > 0, "killed: there was mail in flight when the relay died")


def asked_to_end(check, binary, work, rounds, seed):
    """SIGTERM at random instants."""
    with Stage(binary, work, "ended", seed) as stage:
        in_order = True
        for _ in range(max(3, rounds // 4)):
            stage.relay.start()
            stage.wait()
            in_order = stage.relay.stop() and in_order
        stage.relay.start()
        check(stage.come_to_rest(), "ended: what was owed is delivered", stage.relay.spool())
        check(stage.relay.stop() and in_order, "ended: the relay ends in order each time")
        stage.judge(check, "ended", twice=False)


def kept_while_down(check, binary, work, rounds, seed):
    """SIGKILL at random instants while the next hop comes and goes and its mail is kept."""
    with Stage(binary, work, "kept", seed, when_down="spool") as stage:
        there = True
        for _ in range(max(4, rounds // 2)):
            stage.relay.start()
            for _ in range(2):
                stage.wait(12)
                if stage.rng.random() < 0.6:
                    there = not there
                    stage.sink.listen() if there else stage.sink.vanish()
            stage.kill()
        if not there:
            stage.sink.listen()
        stage.relay.start()
        check(stage.come_to_rest(), "kept: what was owed is delivered", stage.relay.spool())
        check(stage.relay.stop(), "kept: the relay ends in order")
        stage.judge(check, "kept")
        check(len(stage.owed_at_deaths) > 0, "kept: there was mail in the spool when the relay died")


def at_once(check, relay):
    """Ten messages whose survey takes many times their size."""
    message = bombs.html(bombs.images(24_000))
    relay.forget_memory()
    before, replies = relay.memory(), []

    def one():
        replies.append(bombs.send(relay.smtp, NOBODY[:1], message))

    senders = [threading.Thread(target=one, daemon=True) for _ in range(10)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join(60)
    used = (relay.memory() - before) >> 20
    check(len(replies) == 10 and all(map(bombs.is_clear, replies)), "bounded: ten times many trackers at once", replies)
    check(used < 160, f"bounded: ten times many trackers at once, 2 MiB each: {used} MiB more than before", used)


def bounded(check, binary, work, rounds, seed):
    """What is built to exhaust it, in small: each gets a clear answer, and the relay serves on."""
    sink = Sink()
    relay = Relay(binary, work, "bounded", sink.port, quiet_port(), config=bombs.CONFIG, more=bombs.SMALL)
    relay.grant(*GRANTED)
    relay.start(**bombs.ENVIRONMENT)
    try:
        before = relay.memory()
        slow = bombs.SlowClients(relay.smtp, 50, 2 << 20)
        begun = slow.begin()
        slow.go_on()
        used = (relay.memory() - before) >> 20
        check(all(reply[0] == "3" for reply in begun), "bounded: 50 slow clients begin", begun)
        # Together they sent 100 MiB; the settings let them hold 8 MiB, some 64 KiB each, and a buffer of 64 KiB each.
        check(used < 50, f"bounded: in the midst of 2 MiB each: {used} MiB more than before", used)
        ended = slow.finish()
        slow.close()
        copies = sorted(copy.below_trace() for copy in sink.wait(50))
        check(all(reply[0] == "2" for reply in ended), "bounded: all of them are answered 250", ended)
        check(copies == sorted(map(slow.message, range(50))), "bounded: all that they sent came out, whole")
        at_once(check, relay)
        for name, message in bombs.bombs(small=True):
            sink.forget()
            reply, copies = bombs.send(relay.smtp, NOBODY[:1], message), sink.wait(0, linger=0)
            if reply[0] == "2":
                check([copy.below_trace() for copy in copies] == [message], f"bounded: {name} is relayed whole")
            else:
                check(bombs.is_clear(reply) and not copies, f"bounded: {name}: {bombs.short(reply)}", reply)
        check(bombs.crowd(relay.smtp, 1500) == (1000, 500), "bounded: of 1500 recipients 1000 are taken, the others 452")
        sink.forget()
        letter = Letter("afterwards-0", random.Random(1))
        reply = bombs.send(relay.smtp, letter.rcpts, letter.octets())
        copies = sink.wait(len(letter.rcpts))
        check(reply[0] == "2" and all(letter.is_right(copy) for copy in copies), "bounded: it serves afterwards", reply)
        used = relay.memory() >> 20
        check(used < 256, f"bounded: {used} MiB were the most", used)
    finally:
        check(relay.stop(), "bounded: the relay ends in order")
        sink.close()


SCENARIOS = [killed, asked_to_end, kept_while_down, bounded]


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--binary", required=True, type=pathlib.Path)
    arguments.add_argument("--rounds", type=int, default=20)
    arguments.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    arguments.add_argument("--only", default="")
    arguments = arguments.parse_args()
    print(f"      seed {arguments.seed}", flush=True)
    check, skipped = Checks(), 0
    for scenario in SCENARIOS:
        if arguments.only not in scenario.__name__:
            skipped += 1
            continue
        work = tempfile.mkdtemp(prefix="pixelgate-endurance-")
        began, failed = time.monotonic(), check.failed
        try:
            scenario(check, arguments.binary.resolve(), work, arguments.rounds, arguments.seed)
        except Exception:
            check(False, f"{scenario.__name__} ran to its end", traceback.format_exc(limit=4))
        print(f"      {scenario.__name__}: {time.monotonic() - began:.1f} s", flush=True)
        if check.failed > failed:
            print(f"      seed {arguments.seed}, logs in {work}")
        else:
            shutil.rmtree(work, ignore_errors=True)
    print(f"endurance: {check.passed} passed, {check.failed} failed, {skipped} skipped")
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main())
