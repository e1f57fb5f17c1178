//! Which attributes of which elements load something (HTML, SVG 2, VML, AMP for Email), in one table.
//!
//! Links, forms, `cite`, `longdesc` load nothing and are not here. It knows no URL. What it does not name loads nothing.

use super::super::Vector;
use super::super::tag::is_space;

/// How an attribute names what it loads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// One URL.
    Url,
    /// A list of candidates.
    Srcset,
    /// Seconds, then perhaps a URL (HTML 4.2.5.3 "refresh").
    Refresh,
    /// A whole document.
    Document,
}

/// Attributes by lower-case name.
pub(super) type Sources = &'static [(&'static str, Form)];

const SRC: Sources = &[("src", Form::Url)];
const IMAGE: Sources = &[("src", Form::Url), ("srcset", Form::Srcset)];
const LOWSRC: Sources = &[("lowsrc", Form::Url), ("dynsrc", Form::Url)];
const HREF: Sources = &[("href", Form::Url), ("xlink:href", Form::Url)];
const LINK: Sources = &[("href", Form::Url), ("imagesrcset", Form::Srcset)];
/// The original of a picture stands beside it; `href` alone on a shape is a link.
const OFFICE: Sources = &[
    ("src", Form::Url),
    ("o:href", Form::Url),
    ("o:althref", Form::Url),
    ("r:href", Form::Url),
    ("xlink:href", Form::Url),
];
/// What fills something is no shape, so its `href` is none either.
const FILL: Sources = &[
    ("src", Form::Url),
    ("href", Form::Url),
    ("o:href", Form::Url),
    ("o:althref", Form::Url),
    ("althref", Form::Url),
    ("r:href", Form::Url),
    ("r:pict", Form::Url),
];
const AMP: Sources = &[
    ("src", Form::Url),
    ("srcset", Form::Srcset),
    ("poster", Form::Url),
    ("artwork", Form::Url),
    ("data-poster", Form::Url),
    ("image-src", Form::Url),
];

/// What an element could load, by its name. `attribute` gives the value of one of its attributes.
pub(super) fn sources(
    name: &str,
    amp: bool,
    attribute: impl Fn(&str) -> Option<String>,
) -> Vec<(Vector, Sources)> {
    let one = |vector, sources| vec![(vector, sources)];
    match name {
        "img" => vec![(Vector::Img, IMAGE), (Vector::Lowsrc, LOWSRC)],
        "image" => vec![
            (Vector::Img, IMAGE),
            (Vector::Lowsrc, LOWSRC),
            (Vector::SvgImage, HREF),
        ],
        "use" => one(Vector::SvgUse, HREF),
        "feimage" => one(Vector::SvgFeImage, HREF),
        "input" if is_image(attribute("type")) => {
            vec![(Vector::InputImage, IMAGE), (Vector::Lowsrc, LOWSRC)]
        }
        "source" => vec![
            (Vector::PictureSource, &[("srcset", Form::Srcset)]),
            (Vector::MediaSource, SRC),
        ],
        "video" => vec![
            (Vector::Poster, &[("poster", Form::Url)]),
            (Vector::Video, SRC),
        ],
        "audio" => one(Vector::Audio, SRC),
        "track" => one(Vector::Track, SRC),
        "bgsound" => one(Vector::Bgsound, SRC),
        "embed" => one(Vector::Embed, SRC),
        "object" => one(Vector::Object, &[("data", Form::Url)]),
        "param" if is_source(attribute("name")) => one(Vector::Object, &[("value", Form::Url)]),
        "iframe" => vec![
            (Vector::Iframe, SRC),
            (Vector::Srcdoc, &[("srcdoc", Form::Document)]),
        ],
        "fencedframe" | "portal" => one(Vector::Iframe, SRC),
        "frame" => one(Vector::Frame, SRC),
        "script" => one(
            Vector::Script,
            &[
                ("src", Form::Url),
                ("href", Form::Url),
                ("xlink:href", Form::Url),
            ],
        ),
        "link" => link(attribute("rel"))
            .map(|vector| (vector, LINK))
            .into_iter()
            .collect(),
        "meta" if is_refresh(attribute("http-equiv")) => {
            one(Vector::MetaRefresh, &[("content", Form::Refresh)])
        }
        _ if amp && name.starts_with("amp-") => one(amp_element(name), AMP),
        _ => match name.rsplit_once(':') {
            Some((_, local)) => one_of_a_namespace(local),
            None => Vec::new(),
        },
    }
}

/// Office writes `v:` and `o:`, but the prefix is the author's choice.
fn one_of_a_namespace(local: &str) -> Vec<(Vector, Sources)> {
    match local {
        "image" => vec![(Vector::VmlImage, OFFICE)],
        "fill" => vec![(Vector::VmlFill, FILL)],
        "imagedata" => vec![(Vector::VmlImagedata, FILL)],
        "stroke" => vec![(Vector::Vml, FILL)],
        "use" => vec![(Vector::SvgUse, HREF)],
        "feimage" => vec![(Vector::SvgFeImage, HREF)],
        _ => vec![(Vector::Vml, SRC)],
    }
}

fn amp_element(name: &str) -> Vector {
    match name {
        "amp-img" => Vector::AmpImg,
        "amp-anim" => Vector::AmpAnim,
        "amp-pixel" => Vector::AmpPixel,
        "amp-video" | "amp-video-iframe" => Vector::AmpVideo,
        "amp-audio" => Vector::AmpAudio,
        "amp-iframe" => Vector::AmpIframe,
        "amp-list" | "amp-state" => Vector::AmpList,
        _ => Vector::AmpOther,
    }
}

fn is_image(kind: Option<String>) -> bool {
    kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("image"))
}

/// What players in an `<object>` call their source.
fn is_source(name: Option<String>) -> bool {
    let name = name.unwrap_or_default().trim().to_ascii_lowercase();
    ["src", "movie", "url", "filename", "data"].contains(&name.as_str())
}

fn is_refresh(kind: Option<String>) -> bool {
    kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("refresh"))
}

/// What a `rel` fetches; of several that which shows most. `alternate`, `canonical`, `next` and their like fetch nothing.
fn link(rel: Option<String>) -> Option<Vector> {
    let rel = rel?.to_ascii_lowercase();
    let fetched = |word: &str| match word {
        "stylesheet" => Some((0, Vector::LinkStylesheet)),
        "icon"
        | "mask-icon"
        | "fluid-icon"
        | "apple-touch-icon"
        | "apple-touch-icon-precomposed"
        | "apple-touch-startup-image" => Some((1, Vector::LinkIcon)),
        "manifest" => Some((2, Vector::LinkManifest)),
        "preload"
        | "prefetch"
        | "modulepreload"
        | "prerender"
        | "subresource"
        | "import"
        | "compression-dictionary" => Some((3, Vector::LinkPreload)),
        "dns-prefetch" | "preconnect" => Some((4, Vector::LinkHint)),
        _ => None,
    };
    let words = rel.split(|c: char| u8::try_from(c).is_ok_and(is_space));
    words
        .filter_map(fetched)
        .min_by_key(|(order, _)| *order)
        .map(|(_, vector)| vector)
}

/// SVG presentation attributes whose `url()` may lead elsewhere.
const PRESENTATION: [&str; 10] = [
    "filter",
    "mask",
    "clip-path",
    "fill",
    "stroke",
    "marker",
    "marker-start",
    "marker-mid",
    "marker-end",
    "cursor",
];

/// Whether an attribute by this name is CSS that could refer to something.
pub(super) fn is_presentation(name: &[u8]) -> bool {
    PRESENTATION
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}
