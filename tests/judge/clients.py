"""What a mail client makes of a document before its engine loads anything: models, applied to the original and the stripped alike.

    browser   nothing: Apple Mail, Thunderbird and every webmail that leaves the document to the engine
    gmail     images with a `data:` source lose the source, in tags and in CSS; `<style>` stays, conditional comments stay closed,
              scripts go
    word      Outlook on Windows, whose engine is Word's: conditional comments are opened as Outlook opens them, VML images and fills
              are images, `lowsrc`, `dynsrc` and `bgsound` load as its forerunners' did, a `data:` or missing source shows a broken icon
    amp       a client of `text/x-amp-html`: `amp-img`, `amp-anim`, `amp-pixel`, `amp-video`, `amp-list` load what they name

They are models: coarse, the same on both sides, and no statement of what a version of a client does. Pure functions from text to text; whatever is
no tag, no comment and no style sheet is kept as it is.
"""

import re

# Where the word model finds its broken icon: at mail.invalid, so that it is no request. See `browser.HOME`.
BROKEN_ICON = "http://mail.invalid/broken-24x24.png"
TRANSPARENT = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
OUTLOOK = 16
TAG = re.compile(r"<(/?)([a-zA-Z][^\s/>]*)((?:[^>\"'=]|=\s*\"[^\"]*\"|=\s*'[^']*'|=|[\"'])*+)>")
ATTRIBUTE = re.compile(r"([^\s=/>\"'][^\s=/>]*)(?:\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s>]+)))?")
COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.S)
STYLE = re.compile(r"(<style\b[^>]*>)(.*?)(</style\s*>|\Z)", re.S | re.I)
DATA_URL = re.compile(r"url\(\s*([\"']?)\s*data:[^)]*?\1\s*\)", re.I)
MODELS = ("browser", "gmail", "word", "amp")


def show(model, html):
    """The document as the client called `model` gives it to its engine."""
    return {"browser": lambda text: text, "gmail": gmail, "word": word, "amp": amp}[model](html)


class Tag:
    """One start tag; `attributes` by lower-case name, the first of each, with the text between the quotes as it stands."""

    def __init__(self, match):
        self.text, self.closing, self.name, self.raw = match[0], bool(match[1]), match[2].lower(), match[3]
        self.attributes = {}
        for found in ATTRIBUTE.finditer(self.raw):
            value = next((group for group in found.groups()[1:] if group is not None), "")
            self.attributes.setdefault(found[1].lower(), value)

    def get(self, name):
        return self.attributes.get(name, "")

    def without(self, names):
        def keep(found):
            return "" if found[1].lower() in names else found[0]

        return f"<{'/' if self.closing else ''}{self.text[1 + self.closing:][: len(self.name)]}{ATTRIBUTE.sub(keep, self.raw)}>"

    def replaced(self, name, value):
        done = False

        def change(found):
            nonlocal done
            if found[1].lower() != name or done:
                return found[0]
            done = True
            return f'{found[1]}="{value}"'

        return f"<{self.text[1:][: len(self.name)]}{ATTRIBUTE.sub(change, self.raw)}>"


def each_tag(html, change):
    """The text with `change(tag)` in the place of every start tag for which it is not None; comments and style sheets are left."""
    pieces, at = [], 0
    for skipped in re.finditer(f"{COMMENT.pattern}|{STYLE.pattern}", html, re.S | re.I):
        pieces += [_tags(html[at : skipped.start()], change), skipped[0]]
        at = skipped.end()
    return "".join([*pieces, _tags(html[at:], change)])


def _tags(text, change):
    def one(match):
        tag = Tag(match)
        new = None if tag.closing else change(tag)
        return match[0] if new is None else new

    return TAG.sub(one, text)


def is_data(value):
    return value.strip().lower().startswith("data:")


# --- Gmail -----------------------------------------------------------------------------------------------------------


def gmail(html):
    html = re.sub(r"<script\b.*?(</script\s*>|\Z)", "", html, flags=re.S | re.I)
    html = STYLE.sub(lambda sheet: sheet[1] + DATA_URL.sub("none", sheet[2]) + sheet[3], html)

    def change(tag):
        dead = {name for name in ("src", "srcset", "background", "poster", "href", "xlink:href") if is_data(tag.get(name))}
        text = tag.without(dead) if dead else None
        style = tag.get("style")
        if DATA_URL.search(style):
            quote = '"' if '"' not in style else "'"
            text = (text or tag.text).replace(style, DATA_URL.sub("none", style).replace(quote, ""))
        return text

    return each_tag(html, change)


# --- Word ------------------------------------------------------------------------------------------------------------


def holds(condition):
    """Whether Outlook's Word engine takes `[if CONDITION]` for true. What cannot be read is false, as there."""
    words = re.findall(r"!|\(|\)|&|\||[a-z]+|\d+(?:\.\d+)?", condition.lower())

    def expression(at):
        value, at = term(at)
        while at < len(words) and words[at] in "&|":
            right, after = term(at + 1)
            value = (value and right) if words[at] == "&" else (value or right)
            at = after
        return value, at

    def term(at):
        if at >= len(words):
            return False, at
        if words[at] == "!":
            value, at = term(at + 1)
            return not value, at
        if words[at] == "(":
            value, at = expression(at + 1)
            return value, at + 1
        compare = words[at] if words[at] in ("gt", "gte", "lt", "lte") else None
        at += 1 if compare else 0
        feature = words[at] if at < len(words) else ""
        at += 1
        version = None
        if at < len(words) and words[at][0].isdigit():
            version, at = float(words[at]), at + 1
        if feature == "true":
            return True, at
        if feature not in ("mso", "vml"):
            return False, at
        if version is None or feature == "vml":
            return True, at
        tests = {None: OUTLOOK == version, "gt": OUTLOOK > version, "gte": OUTLOOK >= version}
        tests |= {"lt": OUTLOOK < version, "lte": OUTLOOK <= version}
        return tests[compare], at

    return expression(0)[0]


def open_conditionals(html):
    """What Word sees: `<!--[if X]> … <![endif]-->` and the downlevel-revealed forms, shown or left out by X."""
    form = re.compile(
        r"<!--\[if\s+([^\]]*)\]><!-->(.*?)<!--\s*<!\[endif\]-->"  # <!--[if !mso]><!--> … <!--<![endif]-->
        r"|<!--\[if\s+([^\]]*)\]>\s*-->(.*?)<!--\s*<!\[endif\]-->"  # <!--[if !mso]> --> … <!-- <![endif]-->
        r"|<!--\[if\s+([^\]]*)\]>(.*?)<!\[endif\]-->"  # <!--[if mso]> … <![endif]-->
        r"|<!\[if\s+([^\]]*)\]>(.*?)<!\[endif\]>",  # <![if !mso]> … <![endif]>
        re.S | re.I,
    )

    def shown(match):
        condition, inside = next((match[i], match[i + 1]) for i in (1, 3, 5, 7) if match[i] is not None)
        return open_conditionals(inside) if holds(condition) else ""

    return form.sub(shown, html)


def word(html):
    html = open_conditionals(html)
    html = vml(re.sub(r"<\?xml[^>]*>", "", html))

    def change(tag):
        name = tag.name
        if name in ("img", "image", "input") and (name != "input" or tag.get("type").lower() == "image"):
            more = "".join(f'<img alt="" hidden src="{tag.get(a)}">' for a in ("lowsrc", "dynsrc") if tag.get(a))
            src = source(tag, tag.get("src"))
            if "src" not in tag.attributes and "srcset" not in tag.attributes:
                return f'{tag.text[:-1].rstrip("/")} src="{src}">{more}'
            return (tag.replaced("src", src) if src != tag.get("src") else tag.text) + more
        if name == "bgsound" and tag.get("src"):
            return f'<audio hidden src="{tag.get("src")}"></audio>'
        return None

    return each_tag(html, change)


SHAPES = ("v:rect", "v:roundrect", "v:oval", "v:shape", "v:image", "v:background")


def vml(html):
    """Shapes as boxes of their size, which stay without a picture; the picture is their background, be it theirs or a fill's."""
    shape = re.compile(r"<(v:(?:rect|roundrect|oval|shape|image|background))\b", re.I)

    def box(match):
        tag = Tag(match)
        if tag.closing:
            return "</div>" if tag.name in (*SHAPES, "v:textbox") else match[0]
        if tag.name == "v:textbox":
            return "<div>"
        if tag.name not in SHAPES:
            return match[0]
        following = shape.split(match.string[match.end() :], maxsplit=1)[0]
        inside = [Tag(found) for found in TAG.finditer(following)]
        own = [inner.get("src") for inner in inside if inner.name in ("v:fill", "v:imagedata") and inner.get("src")]
        pictures = [picture for picture in [tag.get("src"), *own] if picture and not is_data(picture)]
        drawn = ",".join(f"url('{picture}')" for picture in pictures).replace('"', "%22")
        style = ";".join(part for part in (tag.get("style"), f"background-image:{drawn}" if drawn else "") if part)
        closed = tag.raw.rstrip().endswith("/")
        return f'<div style="{style}">' + ("</div>" if closed else "")

    return TAG.sub(box, html)


def source(tag, src):
    """What Word draws: a live source; nothing where a dead one has no room (3 pixels or less); else the broken icon."""
    if src.strip() and not re.match(r"(data|cid|about|blob):", src.strip(), re.I):
        return src
    small = [re.match(r"\s*(\d+)", tag.get(side)) for side in ("width", "height")]
    return TRANSPARENT if all(side and int(side[1]) <= 3 for side in small) else BROKEN_ICON


# --- AMP -------------------------------------------------------------------------------------------------------------


def amp(html):
    """What the AMP runtime loads and shows, without the runtime. Its own scripts are dropped: they are no part of the letter."""
    html = re.sub(r"<script\b.*?(</script\s*>|\Z)", "", html, flags=re.S | re.I)
    html = re.sub(r"<style\s+amp4email-boilerplate\b.*?</style\s*>", "", html, flags=re.S | re.I)

    def change(tag):
        if tag.name in ("amp-img", "amp-anim"):
            return f"<img{tag.raw}>"
        if tag.name in ("amp-pixel", "amp-list", "amp-state", "amp-video", "amp-audio") and tag.get("src"):
            poster = f'<img alt="" hidden src="{tag.get("poster")}">' if tag.get("poster") else ""
            return f'{tag.text}<img alt="" hidden src="{tag.get("src")}">{poster}'
        return None

    return each_tag(html, change)
