//! Which rules spare a tiny element, and which do not.

use super::*;
use crate::pixel::css;

/// Asks whether `style` spares `<img width=1 height=1 class="a B" id=i src=... >` with `own` style.
fn spares_with(style: &str, own: &str) -> bool {
    let mut sheet = Sheet::default();
    sheet.add(&css::sheet(style).unwrap().rules).unwrap();
    let declarations = css::attribute(own)
        .unwrap()
        .rules
        .last()
        .map(|r| r.declarations.clone())
        .unwrap_or_default();
    let own = OwnBox::of(Some("1"), Some("1"), &declarations);
    let classes = ["a".to_owned(), "b".to_owned()];
    let attribute = |name: &str| match name {
        "class" => Some("a B".to_owned()),
        "id" => Some("i".to_owned()),
        "width" | "height" => Some("1".to_owned()),
        "src" => Some("http://h/Open.gif".to_owned()),
        _ => None,
    };
    let names = ["a", "b", "outer"]
        .map(|name| Name::Class(name.to_owned()))
        .into_iter()
        .collect();
    let element = Element {
        tag: "img",
        id: Some("i"),
        classes: &classes,
        attribute: &attribute,
    };
    sheet.spares(&element, &own, &names)
}

fn spares(style: &str) -> bool {
    spares_with(style, "")
}

#[test]
fn a_rule_that_could_enlarge_spares() {
    for style in [
        "img{width:100%}",
        "IMG{width:100%!important}",
        "*{width:50px}",
        ".a{width:4px}",
        ".A{height:9px}",
        "#i{min-width:10px}",
        ".a.b{width:auto}",
        "img.a#i{height:1em}",
        "@media (max-width:600px){.a{width:100%!important;height:auto!important}}",
        "@media print{@supports (x:y){img{height:20px}}}",
        "td.outer img{width:100%}",
        "table > tr img{width:100%}",
        "p, .x, img{width:100%}",
        "img:hover{width:100%}",
        "img:not(.z){width:100%}",
        "img[width]{width:100%}",
        "img[width=\"1\"]{width:100%}",
        "img[width=1]{width:100%}",
        "img[class~=b]{width:100%}",
        "[src*=open]{width:100%}",
        "img{transform:scale(9)}",
        ".outer{& img{width:9px}}",
        ":is(p,img){width:9px}",
    ] {
        assert!(spares(style), "{style}");
    }
}

#[test]
fn a_rule_that_could_not_does_not() {
    for style in [
        "img{max-width:100%;height:auto}",
        "img{display:block}",
        "img{display:block!important}",
        "img{display:inline!important}",
        "img{width:1px;height:3px}",
        "img{min-width:auto;min-height:0}",
        "img{max-width:none!important}",
        "td{width:100%}",
        ".z{width:100%}",
        ".a.z{width:100%}",
        "#z{width:100%}",
        "p.a{width:100%}",
        ".absent img{width:100%}",
        "#absent > img{width:100%}",
        "img[alt]{width:100%}",
        "img[class=a]{width:100%}",
        "img[src$=png]{width:100%}",
        "img .a .z{width:100%}",
        "img{color:red}",
    ] {
        assert!(!spares(style), "{style}");
    }
}

#[test]
fn what_the_element_says_itself_may_shield_it() {
    assert!(!spares_with("img{width:100%}", "width:1px;height:1px"));
    assert!(spares_with(
        "img{width:100%!important}",
        "width:1px;height:1px"
    ));
    assert!(!spares_with(
        "img{width:100%!important}",
        "width:1px!important;height:1px!important"
    ));
    assert!(spares_with(
        "img{min-width:9px}",
        "width:1px!important;height:1px"
    ));
    assert!(!spares_with(
        "img{width:100%!important}",
        "max-width:0;max-height:0"
    ));
    assert!(spares_with(
        "img{max-height:none!important}",
        "height:50px;max-width:0;max-height:0"
    ));
    assert!(!spares_with(
        "img{max-height:none}",
        "height:50px;max-width:0;max-height:0"
    ));
    assert!(!spares_with("img{width:1px}", "display:none"));
    assert!(spares_with(".a{display:inline-block}", "display:none"));
    assert!(!spares_with(".a{display:block!important}", "display:none"));
}

#[test]
fn too_many_rules_for_one_class_become_one_that_matches() {
    let rules: String = (0..=RULES_PER_KEY_MAX)
        .map(|n| format!(".a.x{n}{{width:9px}}"))
        .collect();
    assert!(spares(&rules));
    let fewer: String = (0..RULES_PER_KEY_MAX)
        .map(|n| format!(".a.x{n}{{width:9px}}"))
        .collect();
    assert!(!spares(&fewer));
}

#[test]
fn an_important_display_may_give_a_box() {
    let shown = |style: &str, own: &str| {
        let mut sheet = Sheet::default();
        sheet.add(&css::sheet(style).unwrap().rules).unwrap();
        let declarations = css::attribute(own).unwrap().rules[0].declarations.clone();
        let own = OwnBox::of(None, None, &declarations);
        let element = Element {
            tag: "img",
            id: None,
            classes: &[],
            attribute: &|_| None,
        };
        sheet.may_show(&element, &own, &HashSet::new())
    };
    assert!(shown("img{display:block!important}", "display:none"));
    assert!(!shown("img{display:block}", "display:none"));
    assert!(!shown("img{display:none!important}", "display:none"));
    assert!(!shown("p{display:block!important}", "display:none"));
    assert!(!shown(
        "img{display:block!important}",
        "display:none!important"
    ));
}

#[test]
fn selectors_have_a_limit() {
    let add = |count: usize| {
        let list: Vec<String> = (0..count).map(|n| format!(".c{n}")).collect();
        let style = format!("{}{{width:9px}}", list.join(","));
        Sheet::default().add(&css::sheet(&style).unwrap().rules)
    };
    assert_eq!(add(SELECTORS_MAX - 1), Ok(()));
    assert_eq!(add(SELECTORS_MAX + 1), Err(TooMuch));
}
