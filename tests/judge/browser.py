"""Headless Chromium that says what a document requests and how it looks, without a network.

`Browser` starts one Chromium and speaks the DevTools protocol with it over a pipe (file descriptors 3 and 4); `render` shows one
document in one `Options` and returns a `Report`. Several threads may call `render` at once; each uses a page of its own.

No request leaves the machine, by four walls that do not rest on one another:
1. The Fetch domain pauses every request of every frame and worker before it is made, and `Answers` answers it from memory.
2. `--host-resolver-rules` finds no host. 3. Every connection would go through a proxy on a port where nothing listens.
4. Where the machine allows it (root), Chromium runs in a network namespace of its own, which has no interface at all.

The log holds what was paused there. What a mail client would do and the Fetch domain cannot see is read from the finished
document instead and has a type that begins `hint:`: DNS look-ups and connections ahead of time (`link rel=dns-prefetch`,
`preconnect`), icons, manifests, `prerender` and `meta refresh`, whose delay nobody waits for. Only http, https and ftp are
requests: `data:`, `blob:`, `about:`, `cid:` and what nobody knows fetch nothing.

The document stands at http://mail.invalid/, plain http as in a mail client that has no mixed content: an https page would
have its http images changed to https or refused. Relative addresses lead to mail.invalid, which is nobody's server.
A failure of Chromium (no start, crash, time-out) is a `BrowserFailure`; nothing is ever reported of a document that was not shown.
"""

import base64
import binascii
import colorsys
import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import tempfile
import threading
import time
import zlib
from dataclasses import dataclass, field

HOME = "http://mail.invalid/"
# What a page shows between two documents; of the same site, so that it stays in the same process with the same settings.
EMPTY = HOME + "empty"
# Seconds: nothing new may be requested for so long before a page counts as loaded; and what nobody waits longer than.
QUIET = 0.03
PATIENCE = 20
# Seconds: a request that has no end by then (a stream) is waited for no longer.
ENDLESS = 2
# Style and layout of the whole document, now.
BARRIER = "document.documentElement ? document.documentElement.offsetHeight : 0"
# CSS pixels: the height of the window, and how tall it is made for a document that is taller.
WINDOW = 800
TALLEST = 4000
# Octets: a longer message of the protocol than this is a bug of ours or Chromium's.
LONGEST = 256 * 1024 * 1024
TRANSPARENT_GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --no-default-browser-check --mute-audio"
    " --disable-background-networking --disable-component-update --disable-sync --disable-extensions --disable-default-apps"
    " --disable-domain-reliability --disable-breakpad --disable-client-side-phishing-detection --metrics-recording-only --no-pings"
    " --disable-dev-shm-usage --hide-scrollbars --force-color-profile=srgb --font-render-hinting=none --disable-lcd-text"
    " --disable-site-isolation-trials --disable-renderer-backgrounding --disable-backgrounding-occluded-windows"
    " --disable-background-timer-throttling --block-new-web-contents --remote-debugging-pipe"
    " --proxy-server=127.0.0.1:1 --proxy-bypass-list=<-loopback>"
).split() + [
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--disable-features=HttpsUpgrades,HttpsFirstBalancedModeAutoEnable,BackForwardCache,Translate,OptimizationHints,"
    "MediaRouter,IsolateOrigins,site-per-process,PaintHolding,LazyFrameLoading,AutofillServerCommunication,LocalNetworkAccessChecks",
]
# What of a finished document would cause traffic that the Fetch domain does not see.
HINTS = r"""(() => {
  const found = [], seen = new Set();
  const look = (doc) => {
    if (!doc || seen.has(doc)) return;
    seen.add(doc);
    for (const link of doc.querySelectorAll('link[rel][href]'))
      for (const rel of link.relList)
        if (/^(dns-prefetch|preconnect|icon|apple-touch-icon(-precomposed)?|mask-icon|manifest|prerender)$/i.test(rel))
          found.push(['hint:' + rel.toLowerCase(), link.href]);
    for (const meta of doc.querySelectorAll('meta[http-equiv="refresh" i]')) {
      const target = /^[\s\d.;,]*(?:url\s*=\s*)?["']?\s*([^"'\s]+)/i.exec(meta.content || '');
      if (target) try { found.push(['hint:refresh', new URL(target[1], doc.baseURI).href]); } catch (_) {}
    }
    for (const frame of doc.querySelectorAll('iframe,frame')) try { look(frame.contentDocument); } catch (_) {}
  };
  look(document);
  return JSON.stringify(found);
})()"""


class BrowserFailure(Exception):
    """Chromium did not start, crashed, or did not answer in time."""


@dataclass(frozen=True)
class Options:
    """One way of looking at a document. Width in CSS pixels; `dpr` device pixels to one of them."""

    scripts: bool = False
    width: int = 600
    dpr: int = 1
    dark: bool = False
    print: bool = False
    hover: bool = False

    def __str__(self):
        words = [str(self.width)]
        words += [f"dpr{self.dpr}"] if self.dpr != 1 else []
        return " ".join(words + [word for word in ("scripts", "dark", "print", "hover") if getattr(self, word)])


@dataclass(frozen=True)
class Request:
    url: str
    type: str
    initiator: str = "?"


@dataclass
class Report:
    requests: list
    png: bytes
    errors: list = field(default_factory=list)

    @property
    def picture(self):
        """A name for what is seen: equal exactly where the screenshots are."""
        return hashlib.sha256(self.png).hexdigest()

    def urls(self):
        return {request.url for request in self.requests}


# --- pictures --------------------------------------------------------------------------------------------------------


def png(width, height, rgba):
    """A picture of one colour."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", binascii.crc32(body))

    rows = (b"\0" + bytes(rgba) * width) * height
    head = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")


def colour_of(text):
    """A strong colour that two addresses hardly share."""
    digest = hashlib.sha256(text.encode()).digest()
    red, green, blue = colorsys.hls_to_rgb(digest[0] / 256, 0.3 + digest[1] / 640, 0.9)
    return int(red * 255), int(green * 255), int(blue * 255), 255


def natural_size(url):
    """What a server would have there: the size that the address names (`hero-600x200.png`), or 40x30."""
    named = re.search(r"(?<!\d)(\d{1,4})x(\d{1,4})(?!\d)", url.partition("?")[0])
    width, height = (int(named[1]), int(named[2])) if named else (40, 30)
    return max(1, min(width, 2000)), max(1, min(height, 2000))


@dataclass(frozen=True)
class Answers:
    """What the servers of a document answer.

    `blank`: addresses (as `bare` writes them) answered with a transparent 1x1 GIF, as trackers are. `clear`: answered with a
    transparent picture of their natural size. `without_query`: the colour of a picture depends on its path only, so that a dropped parameter
    does not show.
    """

    blank: frozenset = frozenset()
    clear: frozenset = frozenset()
    without_query: bool = False

    def picture(self, url):
        if bare(url) in self.blank:
            return "image/gif", TRANSPARENT_GIF
        if bare(url) in self.clear:
            return "image/png", png(*natural_size(url), (0, 0, 0, 0))
        named = bare(url).partition("?")[0] if self.without_query else bare(url)
        return "image/png", png(*natural_size(url), colour_of(named))

    def answer(self, url, kind):
        """(status, content type, body) for a request of this type."""
        looks_like_picture = re.search(r"\.(png|gif|jpe?g|webp|svg|avif)$", url.partition("?")[0], re.I)
        if kind == "Image" or (kind in ("Other", "Object", "Ping") and looks_like_picture):
            return (200, *self.picture(url))
        if kind == "Stylesheet":
            return 200, "text/css", b""
        if kind == "Script":
            return 200, "text/javascript", b""
        if kind == "Document":
            return 200, "text/html", b"<!DOCTYPE html><title></title>"
        if kind in ("XHR", "Fetch", "Prefetch"):
            return 200, "application/json", b"{}"
        return 404, "text/plain", b""


def bare(url):
    """An address without scheme and fragment: a mail client may fetch http as https, and the fragment is never sent."""
    return re.sub(r"^[a-z][a-z0-9+.-]*:(?=//)", "", url.partition("#")[0], flags=re.I)


# --- the protocol ----------------------------------------------------------------------------------------------------


class Connection:
    """JSON messages that end with a NUL, both ways. Events are handled in the reading thread, which never waits."""

    def __init__(self, to_browser, from_browser):
        self.to_browser, self.from_browser = to_browser, from_browser
        self.sending, self.waiting, self.handlers = threading.Lock(), {}, {}
        self.number, self.lost = 0, None
        threading.Thread(target=self._read, daemon=True).start()

    def send(self, method, params=None, session=None, slot=None):
        message = {"method": method, "params": params or {}}
        if session:
            message["sessionId"] = session
        with self.sending:
            if self.lost:
                raise BrowserFailure(self.lost)
            self.number += 1
            message["id"] = self.number
            if slot is not None:
                self.waiting[self.number] = slot
            octets = json.dumps(message).encode() + b"\0"
            try:
                while octets:
                    octets = octets[os.write(self.to_browser, octets) :]
            except OSError as why:
                raise BrowserFailure(f"Chromium is gone: {why}") from why

    def call(self, method, params=None, session=None):
        slot = {"done": threading.Event()}
        self.send(method, params, session, slot)
        if not slot["done"].wait(PATIENCE):
            raise BrowserFailure(f"no answer to {method} within {PATIENCE} s")
        if "result" not in slot:
            raise BrowserFailure(f"{method}: {slot.get('error', self.lost)}")
        return slot["result"]

    def _read(self):
        held = bytearray()
        try:
            while octets := os.read(self.from_browser, 1 << 20):
                held += octets
                if len(held) > LONGEST:
                    break
                if b"\0" in octets:
                    *messages, rest = bytes(held).split(b"\0")
                    held = bytearray(rest)
                    for message in messages:
                        self._take(json.loads(message))
        except (OSError, ValueError, BrowserFailure) as why:
            self.lost = f"the pipe broke: {why}"
        self.lost = self.lost or "Chromium closed the pipe"
        for slot in list(self.waiting.values()):
            slot["done"].set()

    def _take(self, message):
        if "id" in message:
            slot = self.waiting.pop(message["id"], None)
            if slot is not None:
                slot.update({key: message[key] for key in ("result", "error") if key in message})
                slot["done"].set()
        else:
            handler = self.handlers.get(message.get("sessionId"))
            if handler:
                handler(message["method"], message["params"], message.get("sessionId"))


# --- one page --------------------------------------------------------------------------------------------------------


class Page:
    """One tab. What happens in it is written down by the reading thread under `changed`, and awaited by `render`."""

    def __init__(self, connection):
        self.connection, self.changed = connection, threading.Condition()
        self.html, self.home, self.answers, self.options = b"", HOME, Answers(), None
        self.serial, self.height, self.crashed, self.frame = 0, WINDOW, None, None
        self._clear()
        target = connection.call("Target.createTarget", {"url": "about:blank", "newWindow": True})["targetId"]
        self.session = connection.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        self._watch(self.session)
        for domain in ("Page", "DOM", "CSS", "Log", "Runtime"):
            connection.call(f"{domain}.enable", None, self.session)
        # As if it were in front: Chromium puts media off in a page that nobody sees.
        connection.call("Emulation.setFocusEmulationEnabled", {"enabled": True}, self.session)
        self.frame = connection.call("Page.getFrameTree", None, self.session)["frameTree"]["frame"]["id"]
        connection.call("Page.navigate", {"url": EMPTY}, self.session)

    def _clear(self):
        self.served, self.loaded, self.last = False, False, time.monotonic()
        self.requests, self.initiators, self.errors, self.pending = [], {}, [], {}

    def _watch(self, session):
        """Sees to it that nothing of this target is requested unseen; the same for frames and workers in processes of their own."""
        self.connection.handlers[session] = self._event
        send = self.connection.send
        send("Fetch.enable", {"patterns": [{"urlPattern": "*"}]}, session)
        send("Network.enable", {}, session)
        send("Network.setCacheDisabled", {"cacheDisabled": True}, session)
        send("Network.setBypassServiceWorker", {"bypass": True}, session)
        send("Target.setAutoAttach", {"autoAttach": True, "waitForDebuggerOnStart": True, "flatten": True}, session)

    def _event(self, method, params, session):
        if method == "Fetch.requestPaused":
            self._paused(params, session)
        elif method == "Target.attachedToTarget":
            self._watch(params["sessionId"])
            self.connection.send("Runtime.runIfWaitingForDebugger", {}, params["sessionId"])
        elif method == "Page.javascriptDialogOpening":
            self.connection.send("Page.handleJavaScriptDialog", {"accept": False}, session)
        with self.changed:
            if method == "Page.loadEventFired" and self.served:
                self.loaded, self.last = True, time.monotonic()
            elif method == "Network.requestWillBeSent":
                self.initiators[params["requestId"]] = params["initiator"]["type"]
                if re.match("https?:", params["request"]["url"], re.I):
                    self.pending[params["requestId"]] = time.monotonic()
            elif method in ("Network.loadingFinished", "Network.loadingFailed"):
                self.pending.pop(params["requestId"], None)
            elif method == "Inspector.targetCrashed":
                self.crashed = "the page crashed"
            elif method == "Runtime.exceptionThrown":
                self.errors.append(params["exceptionDetails"].get("text", ""))
            elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
                self.errors.append(params["entry"]["text"])
            self.changed.notify_all()

    def _paused(self, params, session):
        url = params["request"]["url"] + params["request"].get("urlFragment", "")
        kind = params["resourceType"]
        if url == self.home and kind == "Document":
            self.served = True
            status, content, body = 200, "text/html; charset=utf-8", self.html
        elif url.startswith(HOME) and kind == "Document":
            status, content, body = 200, "text/html", b""
        else:
            frame_of_page = kind == "Document" and params.get("frameId") == self.frame
            # A document that leaves for somewhere else stays where it is: 204 ends the navigation.
            status, content, body = (204, "text/plain", b"") if frame_of_page else self.answers.answer(url, kind)
            if re.match(r"(https?|ftp):", url, re.I):
                with self.changed:
                    self.requests.append((url, kind, params.get("networkId")))
                    self.last = time.monotonic()
        headers = {"Content-Type": content, "Cache-Control": "no-store", "Access-Control-Allow-Origin": "*"}
        answer = {
            "requestId": params["requestId"],
            "responseCode": status,
            "responseHeaders": [{"name": name, "value": value} for name, value in headers.items()],
            "body": base64.b64encode(body).decode(),
        }
        self.connection.send("Fetch.fulfillRequest", answer, session)

    def _set(self, options):
        """Each is awaited: a document that is on its way already may be parsed by the settings of the one before."""
        features = [{"name": "prefers-color-scheme", "value": "dark" if options.dark else "light"}]
        self._tall(options, 0)
        media = {"media": "print" if options.print else "screen", "features": features}
        self.connection.call("Emulation.setEmulatedMedia", media, self.session)
        self.connection.call("Emulation.setScriptExecutionDisabled", {"value": not options.scripts}, self.session)
        self.options = options

    def render(self, html, options, answers, screenshot=True):
        # The document before goes first: at other options it would load other things, and they would stand in our log.
        self.connection.call("Page.navigate", {"url": EMPTY}, self.session)
        # The answer may come before the old document has gone.
        until = time.monotonic() + PATIENCE
        while self.evaluate("location.href") != EMPTY:
            if time.monotonic() > until:
                raise BrowserFailure(f"the document before did not go within {PATIENCE} s")
            time.sleep(QUIET / 10)
        if options != self.options or self.height != WINDOW:
            self._set(options)
        with self.changed:
            self._clear()
            self.serial += 1
            self.html, self.answers, self.home = html.encode("utf-8", "surrogatepass"), answers, f"{HOME}{self.serial}"
        self.connection.call("Page.navigate", {"url": self.home}, self.session)
        self._settle()
        if options.hover:
            self._hover()
            self._settle()
        hints = self.evaluate(HINTS)
        picture = b""
        for _ in range(5):
            before = len(self.requests)
            picture = self._screenshot(options) if screenshot else b""
            self._settle()
            if len(self.requests) == before:
                break
        with self.changed:
            requests = [Request(url, kind, self.initiators.get(number, "?")) for url, kind, number in self.requests]
            errors = list(self.errors)
        requests += [Request(url, kind, "document") for kind, url in json.loads(hints)]
        return Report([r for r in requests if not bare(r.url).startswith(bare(HOME))], picture, errors)

    def _settle(self):
        """Waits until the document is there and asks for nothing more.

        What it does ask for is announced by its own process in order, before the answer to `BARRIER`; so on a busy
        machine nothing is missed that was begun before, and what was begun is waited for.
        """
        self._wait(lambda: self.loaded)
        known = -1
        while known != len(self.initiators):
            known = len(self.initiators)
            self._wait(self._quiet)
            self.evaluate(BARRIER)
            self._wait(self._quiet)

    def _quiet(self):
        now = time.monotonic()
        return now - self.last > QUIET and all(now - begun > ENDLESS for begun in self.pending.values())

    def _wait(self, fulfilled):
        until = time.monotonic() + PATIENCE
        with self.changed:
            while not fulfilled():
                if self.crashed or self.connection.lost:
                    raise BrowserFailure(self.crashed or self.connection.lost)
                if time.monotonic() > until:
                    raise BrowserFailure(f"the page did not finish within {PATIENCE} s")
                self.changed.wait(QUIET / 2)

    def evaluate(self, expression):
        said = self.connection.call("Runtime.evaluate", {"expression": expression, "returnByValue": True}, self.session)
        if "exceptionDetails" in said:
            raise BrowserFailure(f"the page could not be read: {said['exceptionDetails'].get('text')}")
        return said["result"]["value"]

    def _hover(self):
        """Every element as if the pointer and the focus were on it, all at once."""
        nodes = self.connection.call("DOM.getDocument", {"depth": -1, "pierce": True}, self.session)["root"]
        states, pending = ["hover", "focus", "active", "focus-within"], [nodes]
        while pending:
            node = pending.pop()
            if node.get("nodeType") == 1:
                self.connection.send(
                    "CSS.forcePseudoState", {"nodeId": node["nodeId"], "forcedPseudoClasses": states}, self.session
                )
            pending += node.get("children", [])
        with self.changed:
            self.last = time.monotonic()
        self.connection.call("Page.getLayoutMetrics", None, self.session)

    def _tall(self, options, height):
        """Makes the window so tall that all of the document is seen; not by captureBeyondViewport, which lays it out anew, narrower."""
        self.height = min(max(int(height), WINDOW), TALLEST)
        size = {"width": options.width, "height": self.height, "deviceScaleFactor": options.dpr, "mobile": False}
        self.connection.call("Emulation.setDeviceMetricsOverride", size, self.session)

    def _screenshot(self, options):
        height = self.connection.call("Page.getLayoutMetrics", None, self.session)["cssContentSize"]["height"]
        if height > self.height:
            self._tall(options, height)
            self._settle()
        asked = {"format": "png", "optimizeForSpeed": True}
        return base64.b64decode(self.connection.call("Page.captureScreenshot", asked, self.session)["data"])


# --- the browser -----------------------------------------------------------------------------------------------------


def program():
    """Where Chromium is, or None."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


def without_network(command):
    """The command in a network namespace of its own where this user may have one, else as it is."""
    unshare = shutil.which("unshare")
    if unshare and subprocess.run([unshare, "-n", "true"], capture_output=True, check=False).returncode == 0:
        return [unshare, "-n", *command]
    return command


class Browser:
    """One Chromium. Use as a context manager; at its end the process group that was started is ended."""

    def __init__(self):
        path = program()
        if not path:
            raise BrowserFailure("Chromium is not installed")
        self.directory = tempfile.mkdtemp(prefix="pixelgate-judge-")
        self.free, self.lock = [], threading.Lock()
        ours_out, ours_in = self._start(without_network([path, *FLAGS, f"--user-data-dir={self.directory}/profile"]))
        self.connection = Connection(ours_out, ours_in)
        try:
            self.version = self.connection.call("Browser.getVersion")["product"]
            self.connection.call("Browser.setDownloadBehavior", {"behavior": "deny"})
        except BrowserFailure:
            self.close()
            raise

    def _start(self, command):
        def high(descriptor):
            copy = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10)
            os.close(descriptor)
            return copy

        theirs_in, ours_out = map(high, os.pipe())
        ours_in, theirs_out = map(high, os.pipe())
        null = high(os.open(os.devnull, os.O_RDWR))
        descriptors = [(null, 0), (null, 1), (null, 2), (theirs_in, 3), (theirs_out, 4)]
        actions = [(os.POSIX_SPAWN_DUP2, ours, theirs) for ours, theirs in descriptors]
        # What it leaves behind when it is ended (sockets, shared memory) goes with our directory.
        environment = {"PATH": os.environ.get("PATH", ""), "HOME": self.directory, "TMPDIR": self.directory}
        environment |= {"LANG": "C.UTF-8", "TZ": "UTC"}
        command_path = shutil.which(command[0])
        self.pid = os.posix_spawn(command_path, command, environment, file_actions=actions, setpgroup=0)
        for descriptor in (theirs_in, theirs_out, null):
            os.close(descriptor)
        return ours_out, ours_in

    def render(self, html, options=None, answers=None, screenshot=True):
        """Shows `html`, a str, and reports. A page that fails is left alone and another gets one more try; then `BrowserFailure`."""
        for attempt in (1, 2):
            try:
                return self._with_page(lambda page: page.render(html, options or Options(), answers or Answers(), screenshot))
            except BrowserFailure:
                if attempt == 2 or self.connection.lost:
                    raise
        raise AssertionError("not reached")

    def _with_page(self, use):
        """What `use` gives back, of a page that nobody else has now. The page is free again only where that went well."""
        with self.lock:
            page = self.free.pop() if self.free else None
        page = page or Page(self.connection)
        found = use(page)
        with self.lock:
            self.free.append(page)
        return found

    def canonical(self, urls):
        """The addresses as Chromium writes them."""
        each = f"u => {{ try {{ return new URL(u, '{HOME}').href }} catch (_) {{ return u }} }}"
        return json.loads(self._with_page(lambda page: page.evaluate(f"JSON.stringify({json.dumps(list(urls))}.map({each}))")))

    def close(self):
        try:
            os.killpg(self.pid, signal.SIGTERM)
            for _ in range(50):
                if os.waitpid(self.pid, os.WNOHANG)[0]:
                    break
                time.sleep(0.05)
            else:
                os.killpg(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
