//! Boxes by their own words.

use super::*;
use crate::pixel::css;

fn own(width: Option<&str>, height: Option<&str>, style: &str) -> OwnBox {
    let css = css::attribute(style).unwrap();
    let declarations = css
        .rules
        .last()
        .map(|rule| rule.declarations.clone())
        .unwrap_or_default();
    OwnBox::of(width, height, &declarations)
}

#[test]
fn tiny_on_both_sides() {
    for (width, height, style) in [
        (Some("1"), Some("1"), ""),
        (Some("0"), Some("0"), ""),
        (Some("3"), Some("3"), ""),
        (Some(" 1px"), Some("1.5"), ""),
        (None, None, "width:1px;height:1px"),
        (None, None, "width:0;height:0"),
        (None, None, "width:2pt;height:2pt"),
        (Some("600"), Some("300"), "width:1px;height:1px"),
        (Some("1"), None, "height:1px"),
        (Some("1"), Some("1"), "display:none"),
        (
            Some("1"),
            Some("1"),
            "max-width:100%;height:auto;display:block",
        ),
        (None, None, "max-width:1px;max-height:1px"),
        (Some("600"), Some("300"), "max-width:0;max-height:0"),
        (None, None, "width:100%;max-width:1px;height:1px"),
        (None, None, "width:1px !important;width:600px;height:1px"),
        (Some("1"), Some("1"), "min-width:0;transform:none"),
        (None, None, "inline-size:1px;block-size:1px"),
    ] {
        assert!(
            own(width, height, style).is_tiny(),
            "{width:?} {height:?} {style}"
        );
    }
}

#[test]
fn not_tiny_or_unknown() {
    for (width, height, style) in [
        (None, None, ""),
        (Some("1"), None, ""),
        (None, Some("1"), ""),
        (Some("4"), Some("1"), ""),
        (Some("1"), Some("20"), ""),
        (Some("600"), Some("1"), ""),
        (Some("100%"), Some("1"), ""),
        (Some("1"), Some("1"), "width:100%"),
        (Some("1"), Some("1"), "width:600px"),
        (Some("1"), Some("1"), "width:auto"),
        (Some("1"), Some("1"), "min-width:780px"),
        (Some("1"), Some("1"), "min-height:50%"),
        (Some("1"), Some("1"), "width:calc(1px*100)"),
        (Some("1"), Some("1"), "width:inherit"),
        (Some("1"), Some("1"), "width:600"),
        (None, None, "width:1;height:1"),
        (Some("1"), Some("1"), "transform:scale(100)"),
        (Some("1"), Some("1"), "zoom:100"),
        (None, None, "max-width:1px"),
        (None, None, "width:1px;height:1px;min-width:9px"),
        (Some(""), Some(""), ""),
        (Some("auto"), Some("auto"), ""),
        (Some("-1"), Some("-1"), ""),
        (None, None, "display:none"),
    ] {
        assert!(
            !own(width, height, style).is_tiny(),
            "{width:?} {height:?} {style}"
        );
    }
}

#[test]
fn almost_invisible_is_small_in_all() {
    assert!(own(Some("20"), Some("1"), "").is_almost_invisible());
    assert!(own(Some("2"), Some("6"), "").is_almost_invisible());
    assert!(!own(Some("600"), Some("1"), "").is_almost_invisible());
    assert!(!own(Some("5"), Some("5"), "").is_almost_invisible());
    assert!(!own(None, Some("1"), "").is_almost_invisible());
}

#[test]
fn what_fixes_a_side() {
    let by = |style| own(Some("1"), None, style).width.source;
    assert_eq!(by(""), Source::Attribute);
    assert_eq!(by("width:1px"), Source::Inline);
    assert_eq!(by("width:1px!important"), Source::InlineImportant);
    assert_eq!(by("width:9px;max-width:1px"), Source::Cap);
    assert_eq!(
        by("width:9px;max-width:1px ! important"),
        Source::CapImportant
    );
}

#[test]
fn none_is_none_only_by_its_own_words() {
    assert_eq!(
        own(None, None, "display:none").display_none,
        Some(Importance::Normal)
    );
    assert_eq!(
        own(None, None, "display: NONE !important").display_none,
        Some(Importance::Important)
    );
    assert_eq!(
        own(None, None, "display:none;display:block").display_none,
        None
    );
    assert_eq!(
        own(None, None, "visibility:hidden;opacity:0").display_none,
        None
    );
}

#[test]
fn dimensions_as_browsers_read_them() {
    assert_eq!(dimension("12.5px"), Some(Dimension::Pixels(12.5)));
    assert_eq!(dimension("\n 7"), Some(Dimension::Pixels(7.0)));
    assert_eq!(dimension("50 %"), Some(Dimension::Pixels(50.0)));
    assert_eq!(dimension("50%"), Some(Dimension::Percent));
    assert_eq!(dimension("1.%"), Some(Dimension::Percent));
    assert_eq!(dimension("x1"), None);
    assert_eq!(dimension(""), None);
    assert_eq!(
        dimension(&"9".repeat(400)).map(|d| matches!(d, Dimension::Pixels(p) if p > 1e30)),
        Some(true)
    );
}
