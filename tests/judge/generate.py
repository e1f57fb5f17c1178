#!/usr/bin/env python3
"""Writes the computed part of the development corpus: cases/trackers and cases/benign, files marked `computed: yes`.

    generate.py            writes them, and takes away computed ones that it no longer makes
    generate.py --check    says whether what lies there is what it would write (exit code 1 where not)

The same every time: nothing random, no date. A case is a letter with something in it; what that something is called here (vector, hiding,
evidence) is a claim that the judge proves or not. Hosts are made up, except a few vendors' whose endpoints are known by
their host only; nothing ever contacts any of them.
"""

import base64
import hashlib
import json
import os
import sys
import zlib
from urllib.parse import quote

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import cases as case_files  # noqa: E402

WHO = "nadia@example.net"
HEADER = "https://images.shop.example/2026/10/header-600x120.png"
LOGO = "https://images.shop.example/brand/logo-120x40.png"
FRAMES = (
    # A table layout, as most letters are.
    """<!DOCTYPE html>
<html lang="en">
<head>
<title>Three things for October</title>
<style>
body {{ margin: 0; font-family: Georgia, serif; background: #f4f1ea; }}
.column {{ width: 560px; }}
</style>
{head}
</head>
<body>
{first}
<table class="column" align="center" cellpadding="0" cellspacing="0" border="0">
<tr><td><img src="{HEADER}" width="560" height="112" alt="The Shop" style="display:block"></td></tr>
<tr><td><h1>Three things for October</h1>
<p>The chestnuts are in, the kettle is on, and the new blankets have come.</p>
{middle}
<p><a href="https://www.shop.example/october">See all three</a></p></td></tr>
<tr><td><p>You get this letter because you asked for it. <a href="{unsubscribe}">Unsubscribe</a></p></td></tr>
</table>
{last}
</body>
</html>
""",
    # Quirks mode, no tables.
    """<html><head>{head}</head><body bgcolor="#ffffff">{first}<center><img src="{HEADER}" width="560" height="112" alt="The Shop"></center>
<h2>Three things for October</h2><p>The chestnuts are in, the kettle is on.<br>{middle}
<p><a href="https://www.shop.example/october">See all three</a> <a href="{unsubscribe}">Unsubscribe</a>{last}
</body></html>
""",
    # A fragment, as applications send it.
    """{head}{first}<div style="font: 16px/1.5 Arial, sans-serif; padding: 12px"><img src="{HEADER}" width="560" height="112" alt="The Shop">
<p>Hello Nadia,</p><p>your order has left the house.</p>{middle}<p>The Shop – <a href="{unsubscribe}">no more letters</a></p></div>{last}
""",
)


def token(name, digits=32):
    return hashlib.sha256(name.encode()).hexdigest()[:digits]


def opaque(name, octets=24):
    return base64.urlsafe_b64encode(hashlib.sha512(name.encode()).digest()[:octets]).decode().rstrip("=")


def uuid(name):
    t = token(name)
    return f"{t[:8]}-{t[8:12]}-4{t[13:16]}-a{t[17:20]}-{t[20:32]}"


# --- evidence: what makes the address one that reports the reader ------------------------------------------------------

ENDPOINTS = (
    lambda n: f"https://click.shop.example/wf/open?upn=u001.{opaque(n, 60)}",
    lambda n: f"https://email.shop.example/o/eJ{opaque(n, 90)}",
    lambda n: f"https://lists.shop.example/campaign/{uuid(n)}/{uuid(n + '2')}/px.png",
    lambda n: f"https://shop.us7.list-manage.com/track/open.php?u={token(n, 25)}&id={token(n + 'c', 10)}&e={token(n + 'e', 10)}",
    lambda n: f"https://ob1q.r.eu-west-1.awstrack.me/I0/0102018f{token(n, 8)}-{uuid(n)}-000000/{opaque(n, 20)}=412",
    lambda n: f"https://links.shop.example/s/eo/{opaque(n, 33)}/{opaque(n + 'b', 12)}/42",
)


def endpoint(name):
    return ENDPOINTS[zlib.crc32(name.encode()) % len(ENDPOINTS)](name), {}


def address_in_clear(name):
    return f"https://metrics.shop.example/v?c=1042&e={quote(WHO)}", {}


def address_md5(name):
    return f"https://metrics.shop.example/v/1042/{hashlib.md5(WHO.encode()).hexdigest()}", {}


def address_sha256(name):
    return f"https://metrics.shop.example/v?c=1042&h={hashlib.sha256(WHO.encode()).hexdigest().upper()}", {}


def address_base64(name):
    return f"https://metrics.shop.example/v?d={base64.urlsafe_b64encode(WHO.encode()).decode().rstrip('=')}", {}


def address_in_json(name):
    held = base64.urlsafe_b64encode(json.dumps({"c": 1042, "to": WHO}).encode()).decode().rstrip("=")
    return f"https://metrics.shop.example/v/{held}", {}


def recurring(name):
    identity = token("person" + name, 20)
    keys = {
        "reverse-path": f"bounce-{identity}@bounce.shop.example",
        "list-unsubscribe": f"<https://www.shop.example/u/{identity}>, <mailto:u-{identity}@shop.example>",
        "unsubscribe": f"https://www.shop.example/u/{identity}",
    }
    return f"https://media.shop.example/r/{identity}.gif", keys


def looks(name):
    return f"https://open.shop.example/p/{token(name, 24)}", {}


EVIDENCE = {
    "endpoint": endpoint,
    "address": address_in_clear,
    "address-md5": address_md5,
    "address-sha256": address_sha256,
    "address-base64": address_base64,
    "address-json": address_in_json,
    "recurring": recurring,
    "looks-individual": looks,
}

# --- hiding: an image, by what makes it invisible ---------------------------------------------------------------------------------------
# {u} is the address; what goes before "¦" goes into the head.

HIDING = {
    "1x1": '<img src="{u}" width="1" height="1" alt="">',
    "0x0": '<img src="{u}" width="0" height="0" alt="">',
    "1x1-css": '<img src="{u}" alt="" style="width:1px;height:1px;border:0">',
    "3x2": '<img src="{u}" width="3" height="2" alt="">',
    "display-none": '<img src="{u}" alt="" style="display:none">',
    "visibility": '<img src="{u}" alt="" width="40" height="30" style="visibility:hidden">',
    "opacity": '<img src="{u}" alt="" width="40" height="30" style="opacity:0">',
    "hidden-attribute": '<img hidden src="{u}" alt="">',
    "max-size": '<img src="{u}" alt="" style="max-height:0;max-width:0">',
    "off-screen": '<img src="{u}" alt="" style="position:absolute;left:-9999px;top:0">',
    "clip": '<img src="{u}" alt="" style="position:absolute;clip:rect(0,0,0,0)">',
    "clip-path": '<img src="{u}" alt="" style="position:absolute;clip-path:inset(50%)">',
    "scale": '<img src="{u}" alt="" style="position:absolute;transform:scale(0)">',
    "class": '<style>.o {{ display: none !important }}</style>¦<img class="o" src="{u}" alt="">',
    "class-tiny": '<style>img.b {{ width: 1px; height: 1px }}</style>¦<img class="b" src="{u}" alt="">',
    "class-over-attribute": '<style>#b {{ width: 1px; height: 1px }}</style>¦<img id="b" src="{u}" width="120" height="40" alt="">',
    "hidden-parent": '<div style="display:none"><p><img src="{u}" alt=""></p></div>',
    "hidden-parent-class": '<style>.pre {{ display:none }}</style>¦<div class="pre"><img src="{u}" alt=""></div>',
    "zero-parent": '<div style="width:0;height:0;overflow:hidden"><img src="{u}" alt="" width="40" height="30"></div>',
    "zero-opacity-parent": '<div style="opacity:0;height:30px"><img src="{u}" alt="" width="40" height="30"></div>',
    "font-size-parent": '<div style="font-size:0;line-height:0;height:0;overflow:hidden"><img src="{u}" alt="" width="40" height="30"></div>',
    "false-attribute": '<img src="{u}" width="600" height="300" alt="" style="width:1px!important;height:1px!important">',
    "unsized": '<img src="{u}" alt="">',
}

# --- vectors: other ways to load. {u} as it stands in a double-quoted attribute, {c} as it stands in CSS ----------------------

VECTORS = {
    "img-single-quotes": ("1x1", "<img src='{u}' width='1' height='1' alt=''>"),
    "img-unquoted": ("1x1", "<img src={u} width=1 height=1 alt>"),
    "img-upper-case": ("1x1", '<IMG SRC="{u}" WIDTH="1" HEIGHT="1" ALT="">'),
    "img-slashes": ("1x1", '<img/src="{u}"/width="1"/height="1"/alt="">'),
    "img-duplicate-src": ("1x1", '<img src="{u}" src="https://images.shop.example/x.png" width="1" height="1" alt="">'),
    "img-line-ends": ("1x1", '<img\n  src\n=\n"\n {u}\n "\n width="1"\n height="1" alt="">'),
    "img-closed-tag": ("1x1", '<img src="{u}" width="1" height="1" alt=""></img>'),
    "img-in-link": ("1x1", '<a href="https://www.shop.example/"><img src="{u}" width="1" height="1" alt="" border="0"></a>'),
    "img-lazy": ("1x1", '<img loading="lazy" src="{u}" width="1" height="1" alt="">'),
    "img-in-svg-html": ("1x1", '<svg width="1" height="1"><foreignObject width="1" height="1"><img src="{u}" width="1" height="1" alt=""></foreignObject></svg>'),
    "img-title-trap": ("1x1", '<img title="a > b" src="{u}" width="1" height="1" alt="">'),
    "image-alias": ("1x1", '<image src="{u}" width="1" height="1" alt="">'),
    "srcset": ("1x1", '<img srcset="{u} 1x" width="1" height="1" alt="">'),
    "srcset-beside-src": ("1x1", '<img src="{u}" srcset="{u} 1x, {u} 2x" width="1" height="1" alt="">'),
    "picture-source": ("1x1", '<picture><source srcset="{u}"><img src="{u}" width="1" height="1" alt=""></picture>'),
    "input-image": ("1x1", '<input type="image" src="{u}" width="1" height="1" alt="">'),
    "video-poster": ("display-none", '<video poster="{u}" style="display:none"></video>'),
    "video-src": ("1x1", '<video src="{u}" width="1" height="1" preload="auto"></video>'),
    "video-source": ("1x1", '<video width="1" height="1" preload="auto"><source src="{u}" type="video/mp4"></video>'),
    "audio-src": ("no box", '<audio src="{u}" preload="auto"></audio>'),
    "audio-source": ("no box", '<audio preload="auto"><source src="{u}"></audio>'),
    "track": ("1x1", '<video crossorigin="anonymous" width="1" height="1"><track default kind="metadata" src="{u}"></video>'),
    "embed": ("1x1", '<embed src="{u}" width="1" height="1">'),
    "object": ("1x1", '<object data="{u}" width="1" height="1"></object>'),
    "iframe": ("1x1", '<iframe src="{u}" width="1" height="1" frameborder="0"></iframe>'),
    "iframe-srcdoc": ("1x1", "<iframe width=\"1\" height=\"1\" frameborder=\"0\" srcdoc=\"<img src='{u}' width=1 height=1>\"></iframe>"),
    "link-stylesheet": ("no box", '<link rel="stylesheet" href="{u}">¦'),
    "link-stylesheet-in-body": ("no box", '<link rel="alternate stylesheet" href="https://css.shop.example/a.css"><link href="{u}" rel="stylesheet">'),
    "link-preload": ("no box", '<link rel="preload" as="image" href="{u}">¦'),
    "link-prefetch": ("no box", '<link rel="prefetch" href="{u}">¦'),
    "link-imagesrcset": ("no box", '<link rel="preload" as="image" imagesrcset="{u} 1x">¦'),
    "link-icon": ("no box", '<link rel="shortcut icon" href="{u}">¦'),
    "script": ("no box", '<script src="{u}"></script>'),
    "noscript": ("1x1", '<noscript><img src="{u}" width="1" height="1" alt=""></noscript>'),
    "background-body-table": ("1x1", '<table background="{u}" width="1" height="1" cellspacing="0" cellpadding="0"><tr><td></td></tr></table>'),
    "background-td": ("1x1", '<table cellspacing="0" cellpadding="0"><tr><td background="{u}" width="1" height="1"></td></tr></table>'),
    "css-background": ("1x1", '<div style="width:1px;height:1px;background:url({c}) no-repeat"></div>'),
    "css-background-quoted": ("1x1", "<div style=\"width:1px;height:1px;background-image:url('{c}')\"></div>"),
    "css-escape": ("1x1", '<div style="width:1px;height:1px;background:u\\72l({c})"></div>'),
    "css-escape-in-url": ("1x1", '<div style="width:1px;height:1px;background:url(\\68ttps{c5})"></div>'),
    "css-comment": ("1x1", '<div style="width:1px;height:1px;background/**/:/**/url({c})/**/"></div>'),
    "css-style-block": ("1x1", '<style>#o {{ width: 1px; height: 1px; background: url("{c}") }}</style>¦<div id="o"></div>'),
    "css-media": ("1x1", '<style>@media screen {{ @media (min-width: 1px) {{ #o {{ width: 1px; height: 1px; background: url({c}) }} }} }}</style>¦<div id="o"></div>'),
    "css-supports-layer": ("1x1", '<style>@supports (display: block) {{ @layer a {{ #o {{ width: 1px; height: 1px; background: url({c}) }} }} }}</style>¦<div id="o"></div>'),
    "css-nesting": ("1x1", '<style>body {{ & #o {{ width: 1px; height: 1px; background: url({c}) }} }}</style>¦<div id="o"></div>'),
    "css-print": ("print only", '<style>@media print {{ #o {{ background: url({c}) }} }}</style>¦<div id="o" style="width:1px;height:1px"></div>'),
    "css-dark": ("dark only", '<style>@media (prefers-color-scheme: dark) {{ #o {{ background: url({c}) }} }}</style>¦<div id="o" style="width:1px;height:1px"></div>'),
    "css-hover": ("hover only", '<style>#o:hover {{ background: url({c}) }}</style>¦<div id="o" style="width:1px;height:1px"></div>'),
    "css-import-url": ("no box", '<style>@import url({c});</style>¦'),
    "css-import-string": ("no box", '<style>@import "{c}" screen;</style>¦'),
    "css-font-face": ("no box", '<style>@font-face {{ font-family: o; src: url({c}) }} #o {{ font-family: o, Georgia }}</style>¦<p id="o">And bread.</p>'),
    "css-content": ("no box", '<style>#o::after {{ content: url({c}) }}</style>¦<p id="o" style="height:1px;overflow:hidden"></p>'),
    "css-list-style": ("no box", '<ul style="height:0;overflow:hidden;margin:0"><li style="list-style:url({c}) inside"></li></ul>'),
    "css-border-image": ("1x1", '<div style="width:1px;height:1px;border:1px solid transparent;border-image:url({c}) 1"></div>'),
    "css-mask": ("1x1", '<div style="width:1px;height:1px;background:#f4f1ea;mask-image:url({c})"></div>'),
    "css-image-set": ("1x1", "<div style=\"width:1px;height:1px;background:image-set('{c}' 1x, '{c}' 2x)\"></div>"),
    "css-variable": ("1x1", '<style>:root {{ --o: url({c}) }} #o {{ width: 1px; height: 1px; background: var(--o) }}</style>¦<div id="o"></div>'),
    "css-cursor": ("1x1", '<div style="width:1px;height:1px;cursor:url({c}), auto"></div>'),
    "css-shape-outside": ("1x1", '<div style="width:1px;height:1px;float:left;shape-outside:url({c})"></div>'),
    "css-in-svg-style": ("1x1", '<svg width="1" height="1"><style>#o {{ background: url({c}) }}</style></svg><div id="o" style="width:1px;height:1px"></div>'),
    "svg-image": ("1x1", '<svg width="1" height="1"><image href="{u}" width="1" height="1"/></svg>'),
    "svg-image-xlink": ("1x1", '<svg width="1" height="1" xmlns:xlink="http://www.w3.org/1999/xlink"><image xlink:href="{u}" width="1" height="1"></image></svg>'),
    "svg-feimage": ("1x1", '<svg width="1" height="1"><filter id="f"><feImage href="{u}"/></filter><rect width="1" height="1" fill="none" filter="url(#f)"/></svg>'),
    "shadow-root": ("1x1", '<div><template shadowrootmode="open"><img src="{u}" width="1" height="1" alt=""></template></div>'),
    "xmp-in-select": ("hidden", '<select hidden><xmp></xmp><img src="{u}" width="1" height="1" alt=""></select>'),
    "option": ("hidden", '<select hidden><option><img src="{u}" width="1" height="1" alt=""></select>'),
    "svg-style-breakout": ("1x1", '<svg width="0" height="0"><style><img src="{u}" width="1" height="1" alt="">'),
    "svg-pattern": ("1x1", '<svg width="1" height="1"><pattern id="p" width="1" height="1"><image href="{u}" width="1" height="1"/></pattern><rect width="1" height="1" fill="url(#p)"/></svg>'),
    "object-svg": ("1x1", '<object type="image/svg+xml" data="{u}" width="1" height="1"></object>'),
    "iframe-data": ("1x1", '<iframe width="1" height="1" frameborder="0" src="data:text/html,<img src=\'{u}\'>"></iframe>'),
    "link-manifest": ("no box", '<link rel="manifest" href="{u}">¦'),
    "background-tr": ("1x1", '<table cellspacing="0" cellpadding="0"><tr background="{u}"><td width="1" height="1"></td></tr></table>'),
    "background-tbody": ("1x1", '<table cellspacing="0" cellpadding="0"><tbody background="{u}"><tr><td width="1" height="1"></td></tr></tbody></table>'),
    "background-th": ("1x1", '<table cellspacing="0" cellpadding="0"><tr><th background="{u}" width="1" height="1"></th></tr></table>'),
    "css-entities": ("1x1", '<div style="width:1px;height:1px;background:url(&quot;{u}&quot;)"></div>'),
    "css-unclosed": ("1x1", '<div style="width:1px;height:1px;background:url({c}"></div>'),
    "css-html-comment": ("1x1", '<style><!-- #o {{ width: 1px; height: 1px; background: url({c}) }} --></style>¦<div id="o"></div>'),
    "css-keyframes": ("1x1", '<style>@keyframes k {{ from, to {{ background: url({c}) }} }} #o {{ width: 1px; height: 1px; animation: k 1s }}</style>¦<div id="o"></div>'),
    "css-container": ("1x1", '<style>body {{ container-type: inline-size }} @container (min-width: 1px) {{ #o {{ width: 1px; height: 1px; background: url({c}) }} }}</style>¦<div id="o"></div>'),
    "css-scope": ("1x1", '<style>@scope (body) {{ #o {{ width: 1px; height: 1px; background: url({c}) }} }}</style>¦<div id="o"></div>'),
    "css-property": ("1x1", '<style>@property --o {{ syntax: "<image>"; inherits: false; initial-value: url({c}) }} #o {{ width: 1px; height: 1px; background: var(--o) }}</style>¦<div id="o"></div>'),
    "css-if": ("1x1", '<div style="width:1px;height:1px;background:if(else:url({c}))"></div>'),
    "css-variable-string": ("1x1", '<style>:root {{ --o: "{c}" }} #o {{ width: 1px; height: 1px; background: image-set(var(--o) 1x) }}</style>¦<div id="o"></div>'),
    "css-webkit-image-set": ("1x1", '<div style="width:1px;height:1px;background:-webkit-image-set(url({c}) 1x)"></div>'),
    "css-mask-box-image": ("1x1", '<div style="width:1px;height:1px;-webkit-mask-box-image:url({c})"></div>'),
    "css-box-reflect": ("1x1", '<div style="width:1px;height:1px;-webkit-box-reflect:below 0 url({c})"></div>'),
    "css-clip-path": ("1x1", '<div style="width:1px;height:1px;clip-path:url({c}#c)"></div>'),
    "css-marker": ("no box", '<style>#o::marker {{ content: url({c}) }} #o {{ display: list-item; height: 0; overflow: hidden; margin: 0 }}</style>¦<p id="o"></p>'),
    "bgsound": ("no box", '<bgsound src="{u}">'),
    "lowsrc": ("1x1", '<img src="https://images.shop.example/brand/dot.png" lowsrc="{u}" width="1" height="1" alt="">'),
    "dynsrc": ("1x1", '<img src="https://images.shop.example/brand/dot.png" dynsrc="{u}" width="1" height="1" alt="">'),
    "mso-img": ("1x1", '<!--[if mso]><img src="{u}" width="1" height="1" alt=""><![endif]-->'),
    "mso-version": ("1x1", '<!--[if (gte mso 9)|(IE)]><img src="{u}" width="1" height="1" alt=""><![endif]-->'),
    "not-mso": ("1x1", '<!--[if !mso]><!--><img src="{u}" width="1" height="1" alt=""><!--<![endif]-->'),
    "vml-image": ("1x1", '<!--[if gte vml 1]><v:image src="{u}" style="width:1px;height:1px"/><![endif]-->'),
    "vml-fill": ("1x1", '<!--[if mso]><v:rect style="width:1px;height:1px" stroked="f"><v:fill type="tile" src="{u}"/></v:rect><![endif]-->'),
    "vml-imagedata": ("1x1", '<!--[if mso]><v:shape style="width:1px;height:1px"><v:imagedata src="{u}"/></v:shape><![endif]-->'),
    "amp-img": ("1x1", '<amp-img src="{u}" width="1" height="1" layout="fixed"></amp-img>'),
    "amp-anim": ("1x1", '<amp-anim src="{u}" width="1" height="1"></amp-anim>'),
    "amp-pixel": ("no box", '<amp-pixel src="{u}" layout="nodisplay"></amp-pixel>'),
    "dns-prefetch": ("no box", '<link rel="dns-prefetch" href="{h}">¦'),
    "preconnect": ("no box", '<link rel="preconnect" href="{h}">¦'),
    "meta-refresh": ("no box", '<meta http-equiv="refresh" content="3;url={u}">¦'),
    "base-href": ("1x1", '<base href="{b}">¦<img src="{r}" width="1" height="1" alt="">'),
    "protocol-relative": ("1x1", '<img src="{p}" width="1" height="1" alt="">'),
    "tab-in-url": ("1x1", '<img src="{t}" width="1" height="1" alt="">'),
    "entities-in-url": ("1x1", '<img src="{e}" width="1" height="1" alt="">'),
    "backslashes-in-url": ("1x1", '<img src="{s}" width="1" height="1" alt="">'),
}
WORD_ONLY = ("bgsound", "lowsrc", "dynsrc", "mso-img", "mso-version", "vml-image", "vml-fill", "vml-imagedata")
STRONG = ("address", "address-md5", "recurring", "address-sha256")


def escaped(url):
    return url.replace("&", "&amp;")


def spelled(url):
    scheme, _, rest = url.partition("//")
    host, _, path = rest.partition("/")
    first, last = path[: len(path) // 2], path[len(path) // 2 :]
    return {
        "u": escaped(url),
        "c": url,
        "c5": url[5:],
        "h": f"https://{host}",
        "b": f"{scheme}//{host}/",
        "r": escaped(path),
        "p": escaped("//" + rest),
        "t": escaped(f"{scheme}//{host}/{first}\t{last}"),
        "e": escaped(url).replace("h", "&#x68;", 1).replace("/", "&#47;").replace(":", "&colon;", 1),
        "s": escaped(f"{scheme}\\\\{host}\\{path}" if "\\" not in path else url),
    }


# --- letters ---------------------------------------------------------------------------------------------------------


def letter(name, snippet, unsubscribe="https://www.shop.example/unsubscribe", frame=None, place=None):
    head, bar, body = snippet.partition("¦")
    if not bar:
        head, body = "", snippet
    number = zlib.crc32(name.encode())
    place = place or ("first", "middle", "last")[number // 7 % 3]
    places = {"first": "", "middle": "", "last": "", place: body}
    return FRAMES[number % len(FRAMES) if frame is None else frame].format(HEADER=HEADER, head=head, unsubscribe=unsubscribe, **places)


def amp_letter(snippet):
    return (
        '<!doctype html>\n<html amp4email data-css-strict>\n<head>\n<meta charset="utf-8">\n'
        '<script async src="https://cdn.ampproject.org/v0.js"></script>\n'
        "<style amp4email-boilerplate>body{visibility:hidden}</style>\n</head>\n<body>\n"
        f'<amp-img src="{HEADER}" width="560" height="112" alt="The Shop"></amp-img>\n<p>The chestnuts are in.</p>\n{snippet}\n</body>\n</html>\n'
    )


def written(keys, html):
    lines = []
    for key, value in keys.items():
        for one in value if isinstance(value, list) else [value]:
            lines.append(f"{key}: {one}")
    return "\n".join(lines) + "\n\n" + html


def tracker(name, vector, hiding, evidence, snippet, **more):
    url, keys = EVIDENCE[evidence](name)
    unsubscribe = keys.pop("unsubscribe", "https://www.shop.example/unsubscribe")
    client = more.pop("client", "browser")
    address = more.pop("address", None) or url
    head = {"vector": vector, "hiding": hiding, "evidence": evidence, **keys, "client": client, "tracker": address, "content": HEADER}
    head |= {**more, "computed": "yes"}
    html = snippet.format(**spelled(url))
    html = amp_letter(html) if client == "amp" else letter(name, html, unsubscribe)
    return name, written(head, html)


def trackers():
    evidences = list(EVIDENCE)
    # Images: every hiding with three kinds of evidence, in turn. What only looks individual is one where it is invisible, and where
    # no size is said it may be visible.
    for number, (hiding, snippet) in enumerate(HIDING.items()):
        for step in (0, 3, 6):
            evidence = evidences[(number + step) % len(evidences)]
            if hiding == "unsized":
                # It may be visible: only a known endpoint says that it is a tracker and no picture.
                evidence = "endpoint"
                if step:
                    continue
            client = ("browser", "browser gmail", "browser word")[(number + step) % 3]
            yield tracker(f"img-{hiding}-{evidence}", "img", hiding, evidence, snippet, client=client)
    # Other ways to load: each with a known endpoint, and with one of the other kinds of evidence that stand by themselves.
    for number, (vector, (hiding, snippet)) in enumerate(VECTORS.items()):
        client = "word" if vector in WORD_ONLY else "amp" if vector.startswith("amp-") else "browser"
        if vector in ("dns-prefetch", "preconnect"):
            # The host is all there is: it carries the person.
            host = f"https://{hashlib.md5(WHO.encode()).hexdigest()}.t.shop.example"
            yield tracker(f"{vector}-address-md5", vector, hiding, "address-md5", snippet.replace("{h}", host), client=client, address=host + "/")
            continue
        for evidence in ("endpoint", STRONG[number % len(STRONG)]):
            yield tracker(f"{vector}-{evidence}", vector, hiding, evidence, snippet, client=client)
    yield from individual()


def individual():
    """Visible pictures that carry the person, and what one message cannot show."""
    md5, sha = hashlib.md5(WHO.encode()).hexdigest(), hashlib.sha256(WHO.encode()).hexdigest()
    product = "https://images.shop.example/live/blanket-300x200.jpg"
    picture = '<img src="{u}" width="300" height="200" alt="A blanket">'
    made = {
        "deidentify-md5": ("individual_content(deidentify)", f"{product}?w=300&e={md5}", "marketing"),
        "deidentify-address": ("individual_content(deidentify)", f"{product}?email={quote(WHO)}&w=300", "marketing"),
        "deidentify-prospecting": ("individual_content(deidentify)", f"{product}?h={sha}", "prospecting"),
        "deidentify-unsized": ("individual_content(deidentify)", f"{product}?e={md5}", "marketing"),
        "blank-path": ("individual_content(blank)", f"https://live.shop.example/{md5}/blanket-300x200.jpg", "marketing"),
        "blank-signed": ("individual_content(blank)", f"{product}?e={md5}&Expires=1790000000&Signature={opaque('s', 40)}&Key-Pair-Id=K1", "marketing"),
        "report-ticket": ("individual_content(report)", f"https://tickets.shop.example/qr/{sha}-300x200.png", "requested"),
        "report-avatar": ("individual_content(report)", f"https://avatars.shop.example/avatar/{md5}?s=80", "authentication"),
        "cold-recipe": ("unknown_cold", f"https://images.shop.example/r/{token('recipe', 40)}/blanket-300x200.jpg", "marketing"),
        "cold-countdown": ("unknown_cold", f"https://timer.shop.example/{opaque('timer', 18)}-300x200.gif", "marketing"),
    }
    for name, (verdict, url, kind) in made.items():
        keys = {"vector": "img", "hiding": "visible", "evidence": name.partition("-")[2], "kind": kind, "client": "browser", "verdict": verdict}
        keys |= {"tracker": url, "content": HEADER}
        if verdict in ("unknown_cold", "individual_content(report)"):
            keys["unchanged"] = "yes"
        yield f"individual-{name}", written({**keys, "computed": "yes"}, letter(name, picture.format(u=escaped(url)).replace(' width="300" height="200"', "" if "unsized" in name else ' width="300" height="200"')))


# --- benign ----------------------------------------------------------------------------------------------------------

OPEN = ENDPOINTS[0]("benign")
IMG = "https://images.shop.example/"
CDN = "https://cdn.shop.example/"
# name: (vector, hiding, snippet, what it loads). The snippet names what it loads itself; {0}, {1} are these addresses.
BENIGN = {
    "spacer-plain": ("img", "1x1", '<img src="{0}" width="1" height="1" alt="">', [IMG + "spacer.gif"]),
    "spacer-repeated-id": ("img", "1x1", '<img src="{0}" width="1" height="1" alt=""><p>a</p><img src="{0}" width="1" height="1" alt=""><p>b</p><img src="{0}" width="1" height="1" alt="">', [IMG + f"{token('sp')}/s.gif?v=3"]),
    "spacer-tall": ("img", "1xN", '<img src="{0}" width="1" height="20" alt="">', [IMG + f"s/{token('tall')}.gif"]),
    "spacer-wide": ("img", "Nx1", '<img src="{0}" width="560" height="1" alt="">', [IMG + f"s/{token('wide')}.gif"]),
    "spacer-block": ("img", "1x1", '<img src="{0}" width="1" height="1" style="display:block" alt="">', [IMG + "transparent.gif"]),
    "hairline-css": ("img", "Nx1", '<img src="{0}" style="display:block;width:100%;height:1px" alt="">', [IMG + f"line/{token('hair')}.png"]),
    "hairline-background": ("css-background", "Nx1", '<div style="height:1px;background:url({0}) repeat-x"></div>', [IMG + f"line/{token('hairbg')}.png"]),
    "sized-by-style": ("img", "visible", '<img src="{0}" width="1" height="1" style="width:300px;height:200px" alt="A blanket">', [CDN + f"{token('sized')}/blanket-300x200.jpg"]),
    "sized-by-class": ("img", "visible", '<style>.full {{ width: 300px !important; height: 200px !important }}</style>¦<img class="full" src="{0}" width="1" height="1" alt="A blanket">', [CDN + f"{token('sbc')}/blanket-300x200.jpg"]),
    "hashed-product": ("img", "visible", '<img src="{0}" width="300" height="200" alt="A blanket">', [CDN + f"p/{token('product', 40)}/blanket-300x200.jpg"]),
    "hashed-unsized": ("img", "unsized", '<img src="{0}" alt="A blanket">', [CDN + f"p/{token('unsized', 40)}/blanket-300x200.jpg"]),
    "uuid-product": ("img", "visible", '<img src="{0}" width="300" alt="A blanket">', [CDN + f"{uuid('up')}/{uuid('up2')}.jpg"]),
    "signed-cdn": ("img", "visible", '<img src="{0}" width="300" height="200" alt="A blanket">', [CDN + f"b-300x200.jpg?Expires=1790000000&Signature={opaque('sig', 60)}&Key-Pair-Id=K2J"]),
    "account-paths": ("img", "visible", '<img src="{0}" width="300" height="200" alt="A"><img src="{1}" width="300" height="200" alt="B">', [CDN + f"lib/fe{token('acct', 20)}/m/1/{uuid('a')}.png", CDN + f"lib/fe{token('acct', 20)}/m/1/{uuid('b')}.png"]),
    "resized-query": ("img", "unsized", '<img src="{0}" alt="The Shop">', [IMG + "logo.png?w=560&q=80&fit=max"]),
    "utm-query": ("img", "visible", '<img src="{0}" width="120" height="40" alt="The Shop">', [IMG + "logo.png?utm_source=letter&utm_campaign=october"]),
    "phone-called-pixel": ("img", "unsized", '<img src="{0}" alt="A phone">', [IMG + "fitness-tracker-pixel-8.jpg"]),
    "open-day": ("img", "unsized", '<img src="{0}" alt="Come and see">', [IMG + "open-day/track/pixel.jpg"]),
    "mobile-hero": ("img", "display-none", '<style>@media (max-width: 480px) {{ .m {{ display: block !important }} }}</style>¦<img class="m" src="{0}" style="display:none" alt="" width="320" height="200">', [CDN + f"{token('hero', 20)}-320x200.jpg"]),
    "mobile-hero-parent": ("img", "hidden-parent", '<style>@media (max-width: 480px) {{ .m {{ display: block !important; max-height: none !important }} }}</style>¦<div class="m" style="display:none;max-height:0;overflow:hidden"><img src="{0}" alt="" width="320" height="200"></div>', [CDN + f"{token('hero2', 20)}-320x200.jpg"]),
    "dark-logo": ("img", "class", '<style>.d {{ display: none }} @media (prefers-color-scheme: dark) {{ .d {{ display: block }} .l {{ display: none }} }}</style>¦<img class="l" src="{0}" width="120" height="40" alt="The Shop"><img class="d" src="{1}" width="120" height="40" alt="The Shop">', [IMG + "logo-light.png", IMG + "logo-dark.png"]),
    "hidden-without-evidence": ("img", "display-none", '<img src="{0}" style="display:none" alt="">', [IMG + "brand/dot.png"]),
    "invisible-without-evidence": ("img", "opacity", '<img src="{0}" style="opacity:0" width="40" height="30" alt="">', [IMG + "brand/dot.png"]),
    "hover-swap": ("css-hover", "hover only", '<style>.s:hover {{ background: url({0}) }}</style>¦<p class="s">Touch me</p>', [IMG + "hover.png"]),
    "print-logo": ("css-print", "print only", '<style>@media print {{ .s {{ background: url({0}) }} }}</style>¦<p class="s">On paper</p>', [IMG + "print.png"]),
    "retina": ("srcset", "visible", '<img src="{0}" srcset="{0} 1x, {1} 2x" width="120" height="40" alt="The Shop">', [IMG + "logo.png", IMG + "logo@2x.png"]),
    "retina-hashed": ("srcset", "visible", '<img src="{0}" srcset="{0} 1x, {1} 2x" width="300" height="200" alt="A blanket">', [CDN + f"{token('r1')}.jpg", CDN + f"{token('r2')}.jpg"]),
    "picture": ("picture-source", "visible", '<picture><source media="(max-width: 480px)" srcset="{0}"><img src="{1}" width="300" height="200" alt="A blanket"></picture>', [CDN + "s-320x200.jpg", CDN + "l-300x200.jpg"]),
    "countdown": ("img", "visible", '<img src="{0}" width="400" height="80" alt="Two days left">', ["https://timer.shop.example/october-400x80.gif?end=2026-10-31"]),
    "map": ("img", "visible", '<img src="{0}" width="400" height="200" alt="The way here">', ["https://maps.shop.example/static?center=48.85,2.35&zoom=14&size=400x200"]),
    "barcode": ("img", "visible", '<img src="{0}" width="200" height="60" alt="4006381333931">', ["https://codes.shop.example/ean13/4006381333931-200x60.png"]),
    "stars": ("img", "visible", '<img src="{0}" width="14" height="14" alt="*"><img src="{0}" width="14" height="14" alt="*"><img src="{1}" width="14" height="14" alt="">', [IMG + "star-full.png", IMG + "star-empty.png"]),
    "social-icons": ("img", "visible", '<a href="https://www.shop.example/a"><img src="{0}" width="24" height="24" alt="A"></a><a href="https://www.shop.example/b"><img src="{1}" width="24" height="24" alt="B"></a>', [CDN + f"icons/{token('i1', 16)}.png", CDN + f"icons/{token('i2', 16)}.png"]),
    "tiny-icon": ("img", "visible", '<img src="{0}" width="5" height="9" alt="&gt;">', [IMG + "arrow.png?v=12"]),
    "corner": ("img", "visible", '<table cellspacing="0" cellpadding="0"><tr><td><img src="{0}" width="4" height="4" alt=""></td></tr></table>', [IMG + f"corner-{token('c', 8)}.gif"]),
    "cid": ("img", "1x1", '<img src="cid:logo@shop.example" width="1" height="1" alt="">', []),
    "data": ("img", "1x1", '<img src="data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7" width="1" height="1" alt="">', []),
    "empty-src": ("img", "1x1", '<img src="" width="1" height="1" alt=""><img width="1" height="1" alt="">', []),
    "background-td": ("background-td", "visible", '<table width="560"><tr><td background="{0}" height="80">Wool</td></tr></table>', [CDN + f"{token('btd')}/paper.png"]),
    "background-css": ("css-background", "visible", '<div style="height:80px;background:url({0})">Wool</div>', [CDN + f"{token('bcss')}/paper.png"]),
    "background-style": ("css-style-block", "visible", '<style>.w {{ height: 80px; background: #eee url("{0}") }}</style>¦<div class="w">Wool</div>', [CDN + f"{token('bst')}/paper.png"]),
    "image-set": ("css-image-set", "visible", "<div style=\"height:80px;background:image-set('{0}' 1x, '{1}' 2x)\">Wool</div>", [CDN + "paper.png", CDN + "paper@2x.png"]),
    "list-style": ("css-list-style", "visible", '<ul style="list-style:url({0})"><li>Wool</li><li>Linen</li></ul>', [IMG + "bullet-8x8.png"]),
    "content": ("css-content", "visible", '<style>.w::before {{ content: url({0}) }}</style>¦<p class="w">Wool</p>', [IMG + "leaf-16x16.png"]),
    "border-image": ("css-border-image", "visible", '<div style="border:8px solid;border-image:url({0}) 8">Wool</div>', [IMG + "frame-24x24.png"]),
    "variable": ("css-variable", "visible", '<style>:root {{ --w: url({0}) }} .w {{ height: 40px; background: var(--w) }}</style>¦<div class="w">Wool</div>', [IMG + "paper.png"]),
    "font": ("css-font-face", "no box", '<style>@font-face {{ font-family: w; src: url({0}) }} .w {{ font-family: w, Georgia }}</style>¦<p class="w">Wool</p>', ["https://fonts.shop.example/s/w/v12/" + opaque("font") + ".woff2"]),
    "font-sheet": ("link-stylesheet", "no box", '<link href="{0}" rel="stylesheet">¦', ["https://fonts.shop.example/css2?family=Wool:wght@400;700&display=swap"]),
    "import": ("css-import-url", "no box", '<style>@import url("{0}");</style>¦', ["https://fonts.shop.example/css?family=Wool"]),
    "preconnect": ("preconnect", "no box", '<link rel="preconnect" href="{0}">¦', ["https://fonts.shop.example/"]),
    "dns-prefetch": ("dns-prefetch", "no box", '<link rel="dns-prefetch" href="{0}">¦', ["https://cdn.shop.example/"]),
    "icon": ("link-icon", "no box", '<link rel="icon" href="{0}">¦', [IMG + "favicon.ico"]),
    "video": ("video-poster", "visible", '<video poster="{0}" width="320" height="180" preload="none"></video>', [IMG + "film-320x180.jpg"]),
    "iframe": ("iframe", "visible", '<iframe src="{0}" width="300" height="80"></iframe>', ["https://www.shop.example/embed/october"]),
    "svg": ("svg-image", "visible", '<svg width="120" height="40"><image href="{0}" width="120" height="40"/></svg>', [IMG + "logo-120x40.png"]),
    "svg-local": ("svg-filter", "visible", '<svg width="20" height="20"><filter id="f"><feGaussianBlur stdDeviation="1"/></filter><rect width="20" height="20" filter="url(#f)"/></svg>', []),
    "noscript": ("noscript", "visible", '<noscript><img src="{0}" width="120" height="40" alt="The Shop"></noscript>', [LOGO]),
    "base": ("base-href", "visible", '<base href="https://images.shop.example/2026/">¦<img src="w-120x40.png" width="120" height="40" alt="Wool">', [IMG + "2026/w-120x40.png"]),
    "input": ("input-image", "visible", '<form action="https://www.shop.example/search"><input type="image" src="{0}" width="40" height="30" alt="Go"></form>', [IMG + "go.png"]),
    "known-path-in-link": ("link", "no box", f'<a href="{escaped(OPEN)}">Read it in your browser</a>', []),
    "address-in-link": ("link", "no box", f'<a href="https://www.shop.example/u?e={quote(WHO)}">Your settings</a> <a href="mailto:{WHO}">write</a>', []),
    "individual-link-around": ("link", "no box", f'<a href="https://click.shop.example/c/{token("lnk")}"><img src="{{0}}" width="300" height="200" alt="A blanket"></a>', [CDN + "blanket-300x200.jpg"]),
    "ping": ("link", "no box", f'<a href="https://www.shop.example/" ping="{escaped(OPEN)}">October</a>', []),
    "form": ("form", "no box", f'<form action="{escaped(OPEN)}" method="get"><input name="q"><button>Go</button></form>', []),
    "map-area": ("link", "no box", f'<img src="{{0}}" usemap="#m" width="300" height="200" alt="A blanket"><map name="m"><area shape="rect" coords="0,0,9,9" href="{escaped(OPEN)}" alt="x"></map>', [CDN + "blanket-300x200.jpg"]),
    "cite": ("attribute", "no box", f'<blockquote cite="{escaped(OPEN)}">Warm.</blockquote>', []),
    "textarea": ("text", "no box", f'<textarea rows="3" cols="40"><img src="{escaped(OPEN)}" width="1" height="1"></textarea>', []),
    "title": ("text", "no box", f'<title><img src="{escaped(OPEN)}" width="1" height="1"></title>¦', []),
    "escaped-code": ("text", "no box", f'<pre>&lt;img src="{escaped(OPEN)}" width="1" height="1"&gt;</pre>', []),
    "xmp": ("text", "no box", f'<xmp><img src="{escaped(OPEN)}" width="1" height="1"></xmp>', []),
    "comment": ("comment", "no box", f'<!-- <img src="{escaped(OPEN)}" width="1" height="1"> -->', []),
    "comment-placeholder": ("comment", "no box", "<!-- {{tracking_pixel}} -->", []),
    "comment-bogus": ("comment", "no box", f'<!doc <img src={OPEN}>', []),
    "css-comment": ("comment", "no box", f"<style>/* .x {{{{ background: url({OPEN}) }}}} */</style>¦", []),
    "css-string": ("text", "no box", f"<style>.x::after {{{{ content: \"url({OPEN})\" }}}}</style>¦<p class=\"x\"></p>", []),
    "css-namespace": ("css", "no box", f"<style>@namespace o url({OPEN});</style>¦", []),
    "script-text": ("text", "no box", f"<script>var x = '<img src=\"{OPEN}\" width=1 height=1>';</script>", []),
    "json-ld": ("text", "no box", f'<script type="application/ld+json">{{{{"@type":"EmailMessage","image":"{OPEN}"}}}}</script>', []),
    "alt": ("attribute", "visible", f'<img src="{{0}}" width="120" height="40" alt="{escaped(OPEN)}" title="&lt;img src=x&gt;">', [LOGO]),
    "data-src": ("attribute", "visible", f'<img src="{{0}}" data-src="{escaped(OPEN)}" width="120" height="40" alt="The Shop">', [LOGO]),
    "second-alt": ("attribute", "visible", f'<img src="{{0}}" alt="" alt="{escaped(OPEN)}" width="120" height="40" alt="The Shop">', [LOGO]),
    "link-canonical": ("link", "no box", f'<link rel="canonical" href="{escaped(OPEN)}">¦', []),
    "meta-image": ("attribute", "no box", f'<meta property="og:image" content="{escaped(OPEN)}">¦', []),
    "preheader": ("text", "display-none", '<div style="display:none;max-height:0;overflow:hidden">The chestnuts are in&#847;&zwnj;&nbsp;&#847;&zwnj;&nbsp;</div>', []),
    "broken-markup": ("img", "visible", '<b><i>Wool</b></i><table><img src="{0}" width=120 height=40 alt=The<p>Shop</table></div></span>', [LOGO]),
    "open-tag-at-end": ("text", "no box", "<p>2 < 3 && 4 > 3 &amp <>", []),
    "no-images": ("text", "no box", "<p>Sécurité &eacute; – „Wolle“ 500 €</p>", []),
    "latin": ("text", "no box", "<p>Sécurité, façade, garçon, Äpfel</p>", []),
    "mso-image": ("mso-img", "visible", '<!--[if mso]><img src="{0}" width="300" height="200" alt="A blanket"><![endif]-->', [CDN + "blanket-300x200.jpg"]),
    "mso-spacer": ("mso-img", "1x1", '<!--[if mso]><img src="{0}" width="1" height="1" alt=""><![endif]-->', [IMG + "spacer.gif"]),
    "vml-hero": ("vml-fill", "visible", '<!--[if gte mso 9]><v:rect fill="true" stroke="false" style="width:560px;height:200px"><v:fill type="tile" src="{0}" color="#eee"/><v:textbox inset="0,0,0,0"><![endif]--><div>Wool</div><!--[if gte mso 9]></v:textbox></v:rect><![endif]-->', [CDN + f"{token('vml')}/hero-560x200.jpg"]),
    "not-mso-image": ("not-mso", "visible", '<!--[if !mso]><!--><img src="{0}" width="300" height="200" alt="A blanket"><!--<![endif]-->', [CDN + "blanket-300x200.jpg"]),
    "mso-table": ("text", "no box", '<!--[if mso]><table width="560"><tr><td><![endif]--><p>Wool</p><!--[if mso]></td></tr></table><![endif]-->', []),
    "amp-image": ("amp-img", "visible", '<amp-img src="{0}" width="300" height="200" alt="A blanket"></amp-img>', [CDN + f"{token('amp')}/blanket-300x200.jpg"]),
    "amp-spacer": ("amp-img", "1x1", '<amp-img src="{0}" width="1" height="1"></amp-img>', [IMG + "spacer.gif"]),
}


def benign():
    for number, (name, (vector, hiding, snippet, loads)) in enumerate(BENIGN.items()):
        client = "word" if vector in (*WORD_ONLY,) else "amp" if vector.startswith("amp-") else "browser"
        if client == "browser" and vector == "img":
            client = ("browser", "browser gmail", "browser word")[number % 3]
        keys = {"vector": vector, "hiding": hiding, "evidence": "none", "client": client, "content": [HEADER, *dict.fromkeys(loads)]}
        keys |= {"unchanged": "yes", "computed": "yes"}
        html = snippet.format(*(escaped(url) if 'url({' not in snippet else url for url in loads))
        place = "middle" if name == "open-tag-at-end" else None
        html = amp_letter(html) if client == "amp" else letter(name, html, place=place)
        yield name, written(keys, html)


def corpus():
    made = {}
    for directory, source in (("trackers", trackers), ("benign", benign)):
        for name, text in source():
            path = os.path.join("cases", directory, name + ".case")
            if path in made:
                raise ValueError(f"{path} is made twice")
            case_files.parse(path, text)
            made[path] = text
    return made


def lying():
    """The computed cases that are there, by path."""
    found = {}
    for directory in ("trackers", "benign"):
        place = os.path.join(HERE, "cases", directory)
        for file in sorted(os.listdir(place)) if os.path.isdir(place) else []:
            with open(os.path.join(place, file), encoding="utf-8", newline="") as case:
                text = case.read()
            if "\ncomputed: yes\n" in text.partition("\n\n")[0] + "\n":
                found[os.path.join("cases", directory, file)] = text
    return found


def main():
    made, there = corpus(), lying()
    if sys.argv[1:] == ["--check"]:
        wrong = sorted(path for path in made.keys() | there.keys() if made.get(path) != there.get(path))
        for path in wrong:
            print(f"{path} is not what generate.py writes")
        return 1 if wrong else 0
    for path in there.keys() - made.keys():
        os.remove(os.path.join(HERE, path))
    for path, text in made.items():
        os.makedirs(os.path.dirname(os.path.join(HERE, path)), exist_ok=True)
        with open(os.path.join(HERE, path), "w", encoding="utf-8", newline="") as case:
            case.write(text)
    print(f"{sum('trackers' in path for path in made)} tracker cases, {sum('benign' in path for path in made)} benign cases")
    return 0


if __name__ == "__main__":
    sys.exit(main())
