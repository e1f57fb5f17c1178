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
    /// `<v:image>`.
    VmlImage,
    /// `<v:fill>`.
    VmlFill,
    /// `<v:imagedata>`.
    VmlImagedata,
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
}

impl Vector {
    /// The name for ledger and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Img => "img",
            Self::InputImage => "input_image",
            Self::VmlImage => "vml_image",
            Self::VmlFill => "vml_fill",
            Self::VmlImagedata => "vml_imagedata",
            Self::Background => "background",
            Self::StyleAttribute => "style_attribute",
            Self::StyleElement => "style_element",
            Self::AmpImg => "amp_img",
            Self::AmpAnim => "amp_anim",
            Self::AmpPixel => "amp_pixel",
        }
    }

    /// Whether it shows something where it stands, so that taking it away could be seen.
    pub fn shows(self) -> bool {
        !matches!(self, Self::AmpPixel)
    }
}
