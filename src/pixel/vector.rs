//! The constructs by which a document loads something, each with its name for ledger and reports.
//!
//! Names only. It must never know what a client does with one of them, or what is done about it: that is `loads` and
//! `treatment`. Nothing here can fail.

/// What would load the URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Vector {
    /// `<img>`, or `<image>`, which browsers take for it.
    Img,
    /// `<input type=image>`.
    InputImage,
    /// `lowsrc` or `dynsrc`: what very old clients show first, or instead; no client that shows `src` shows it.
    Lowsrc,
    /// `srcset` of a `<source>` in `<picture>`.
    PictureSource,
    /// `src` of a `<source>` in `<video>` or `<audio>`.
    MediaSource,
    /// `poster` of a `<video>`.
    Poster,
    /// `<video>`.
    Video,
    /// `<audio>`.
    Audio,
    /// `<track>`: subtitles and the like.
    Track,
    /// `<bgsound>`.
    Bgsound,
    /// `<embed>`.
    Embed,
    /// `<object>`.
    Object,
    /// `<iframe>` and its younger kin.
    Iframe,
    /// `<frame>`.
    Frame,
    /// The document written into an `<iframe srcdoc>`.
    Srcdoc,
    /// `<link>` to a style sheet.
    LinkStylesheet,
    /// `<link>` to an icon.
    LinkIcon,
    /// `<link>` to a web application's manifest.
    LinkManifest,
    /// `<link>` that fetches ahead: `preload`, `prefetch`, `modulepreload`, `prerender`.
    LinkPreload,
    /// `<link>` that only resolves or connects: `dns-prefetch`, `preconnect`. The host is the report.
    LinkHint,
    /// `<script>`.
    Script,
    /// `<meta http-equiv=refresh>`.
    MetaRefresh,
    /// SVG `<image>`.
    SvgImage,
    /// SVG `<use>`.
    SvgUse,
    /// SVG `<feImage>`.
    SvgFeImage,
    /// An SVG presentation attribute: `filter`, `mask`, `fill` and the like.
    SvgReference,
    /// `<v:image>`.
    VmlImage,
    /// `<v:fill>`.
    VmlFill,
    /// `<v:imagedata>`.
    VmlImagedata,
    /// Any other element of a namespace that has a `src`.
    Vml,
    /// A `background` attribute.
    Background,
    /// CSS in a `style` attribute.
    StyleAttribute,
    /// CSS in a `<style>` element.
    StyleElement,
    /// `<amp-img>`.
    AmpImg,
    /// `<amp-anim>`.
    AmpAnim,
    /// `<amp-pixel>`.
    AmpPixel,
    /// `<amp-video>` and its kin.
    AmpVideo,
    /// `<amp-audio>`.
    AmpAudio,
    /// `<amp-iframe>`.
    AmpIframe,
    /// `<amp-list>`, `<amp-state>`: data that the document is filled with.
    AmpList,
    /// Any other AMP element with a source.
    AmpOther,
}

impl Vector {
    /// The name for ledger and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Img => "img",
            Self::InputImage => "input_image",
            Self::Lowsrc => "lowsrc",
            Self::PictureSource => "picture_source",
            Self::MediaSource => "media_source",
            Self::Poster => "poster",
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Track => "track",
            Self::Bgsound => "bgsound",
            Self::Embed => "embed",
            Self::Object => "object",
            Self::Iframe => "iframe",
            Self::Frame => "frame",
            Self::Srcdoc => "srcdoc",
            Self::LinkStylesheet => "link_stylesheet",
            Self::LinkIcon => "link_icon",
            Self::LinkManifest => "link_manifest",
            Self::LinkPreload => "link_preload",
            Self::LinkHint => "link_hint",
            Self::Script => "script",
            Self::MetaRefresh => "meta_refresh",
            Self::SvgImage => "svg_image",
            Self::SvgUse => "svg_use",
            Self::SvgFeImage => "svg_fe_image",
            Self::SvgReference => "svg_reference",
            Self::VmlImage => "vml_image",
            Self::VmlFill => "vml_fill",
            Self::VmlImagedata => "vml_imagedata",
            Self::Vml => "vml",
            Self::Background => "background",
            Self::StyleAttribute => "style_attribute",
            Self::StyleElement => "style_element",
            Self::AmpImg => "amp_img",
            Self::AmpAnim => "amp_anim",
            Self::AmpPixel => "amp_pixel",
            Self::AmpVideo => "amp_video",
            Self::AmpAudio => "amp_audio",
            Self::AmpIframe => "amp_iframe",
            Self::AmpList => "amp_list",
            Self::AmpOther => "amp_element",
        }
    }

    /// Whether it shows something where it stands, or is shared by what does, so that taking it away could be seen.
    /// Style sheets, icons and manifests count as shown; what fetches ahead, runs, sounds or leads elsewhere does not.
    pub fn shows(self) -> bool {
        !matches!(
            self,
            Self::AmpPixel
                | Self::Lowsrc
                | Self::Track
                | Self::Bgsound
                | Self::LinkPreload
                | Self::LinkHint
                | Self::Script
                | Self::MetaRefresh
        )
    }

    /// Whether it can be content of its own, as a picture is: what only serves others (a style sheet, an icon, a sound) is not, and
    /// is a tracker where it is made for one person (DESIGN 4 leaves style sheets and fonts alone that all share).
    pub(super) fn is_content(self) -> bool {
        let serves = matches!(
            self,
            Self::Audio
                | Self::AmpAudio
                | Self::LinkStylesheet
                | Self::LinkIcon
                | Self::LinkManifest
        );
        self.shows() && !serves
    }

    /// Whether it is an element of AMP, which goes as a whole.
    pub(super) fn is_amp(self) -> bool {
        matches!(
            self,
            Self::AmpImg
                | Self::AmpAnim
                | Self::AmpPixel
                | Self::AmpVideo
                | Self::AmpAudio
                | Self::AmpIframe
                | Self::AmpList
                | Self::AmpOther
        )
    }
}
