//! Every way to write a URL in CSS, and what the walker must not take for one.

use super::*;

type Found = (String, String, Role);

fn urls(css: &str) -> Vec<Found> {
    sheet(css)
        .unwrap()
        .urls
        .into_iter()
        .map(|token| {
            (
                css.get(token.range).unwrap().to_owned(),
                token.url,
                token.role,
            )
        })
        .collect()
}

const fn one<'s>(token: &'s str, url: &'s str, role: Role) -> (&'s str, &'s str, Role) {
    (token, url, role)
}

const WRITTEN: &[(&str, (&str, &str, Role))] = &[
    (
        "a{background:url(http://h/x)}",
        one("url(http://h/x)", "http://h/x", Role::Background),
    ),
    (
        "a{background:URL( 'http://h/x' ) no-repeat}",
        one("URL( 'http://h/x' )", "http://h/x", Role::Background),
    ),
    (
        "a{background:u\\72l(http://h/x)}",
        one("u\\72l(http://h/x)", "http://h/x", Role::Background),
    ),
    (
        "a{background:url(\"http:\\2f\\2fh/x\")}",
        one("url(\"http:\\2f\\2fh/x\")", "http://h/x", Role::Background),
    ),
    (
        "a{background:url(http://h/x",
        one("url(http://h/x", "http://h/x", Role::Background),
    ),
    (
        "a{background-image:/**/url(http://h/x)/**/}",
        one("url(http://h/x)", "http://h/x", Role::Background),
    ),
    (
        "a{content:url(http://h/x)}",
        one("url(http://h/x)", "http://h/x", Role::Image),
    ),
    (
        "a{background:image-set('http://h/x' 1x)}",
        one("'http://h/x'", "http://h/x", Role::Image),
    ),
    (
        "a{background:-webkit-image-set(url(http://h/x) 1x)}",
        one("url(http://h/x)", "http://h/x", Role::Image),
    ),
    (
        "@import 'http://h/x';a{}",
        one("'http://h/x'", "http://h/x", Role::Import),
    ),
    (
        "@import url(http://h/x) print;",
        one("url(http://h/x)", "http://h/x", Role::Import),
    ),
    (
        "@media print{#_t{background-image:url('http://h/x')}}",
        one("url('http://h/x')", "http://h/x", Role::Background),
    ),
    (
        "@font-face{src:url(http://h/x)}",
        one("url(http://h/x)", "http://h/x", Role::Reference),
    ),
    (
        "<!-- a{background:url(http://h/x)} -->",
        one("url(http://h/x)", "http://h/x", Role::Background),
    ),
    (
        "a{--x:url(http://h/x)}",
        one("url(http://h/x)", "http://h/x", Role::Image),
    ),
    (
        "a{& b{cursor:url(http://h/x),auto}}",
        one("url(http://h/x)", "http://h/x", Role::Reference),
    ),
    (
        "a{behavior:src(\"http://h/x\")}",
        one("src(\"http://h/x\")", "http://h/x", Role::Image),
    ),
];

#[test]
fn every_way_to_write_a_url() {
    for (css, expected) in WRITTEN {
        let (token, url, role) = *expected;
        assert_eq!(
            urls(css),
            [(token.to_owned(), url.to_owned(), role)],
            "{css}"
        );
    }
}

#[test]
fn what_is_no_url() {
    for css in [
        "a{content:'http://h/x'}",
        "a{font-family:'http://h/x'}",
        "/* url(http://h/x) */",
        "a{b:url(http://h/x y)}",
        "a[href='http://h/x']{}",
        "a{b:attr(data-x, 'http://h/x')}",
    ] {
        assert_eq!(urls(css), [], "{css}");
    }
}

#[test]
fn rules_with_sizes_only() {
    let css = sheet(
        ".a{color:red} .b,.c > img{Width:100% !important;height:auto} @media (x){.d{min-width:10px;DISPLAY:Inline}} @media y{ .e{@media z{height:2pt}}}",
    )
    .unwrap();
    type Said<'s> = (&'s str, Vec<(&'s str, Value, bool)>);
    let rules: Vec<Said<'_>> = css
        .rules
        .iter()
        .map(|rule| {
            (
                rule.selectors.trim(),
                rule.declarations
                    .iter()
                    .map(|d| (d.name, d.value.clone(), d.important))
                    .collect(),
            )
        })
        .collect();
    let keyword = |word: &str| Value::Keyword(word.to_owned());
    assert_eq!(
        rules,
        [
            (
                ".b,.c > img",
                vec![
                    ("width", Value::Other, true),
                    ("height", keyword("auto"), false)
                ]
            ),
            (
                ".d",
                vec![
                    ("min-width", Value::Pixels(10.0), false),
                    ("display", keyword("inline"), false)
                ]
            ),
            (
                ".e",
                vec![("height", Value::Pixels(2.0 * 96.0 / 72.0), false)]
            ),
        ]
    );
}

#[test]
fn declarations_of_an_attribute() {
    let css = attribute(
        "width:1px; height : 0; max-width:calc(1px + 1px); zoom: 2; inline-size:3px;x:{width:9px}",
    )
    .unwrap();
    let declarations: Vec<(&str, Value)> = css.rules[css.rules.len() - 1]
        .declarations
        .iter()
        .map(|d| (d.name, d.value.clone()))
        .collect();
    assert_eq!(
        declarations,
        [
            ("width", Value::Pixels(1.0)),
            ("height", Value::Pixels(0.0)),
            ("max-width", Value::Other),
            ("zoom", Value::Unitless(2.0)),
            ("width", Value::Pixels(3.0)),
        ]
    );
}

#[test]
fn nesting_has_a_limit_and_nothing_deeper_is_passed_over() {
    let nested = |depth: usize| {
        format!(
            "{}b:url(http://h/x){}",
            "a{".repeat(depth),
            "}".repeat(depth)
        )
    };
    assert_eq!(urls(&nested(DEPTH_MAX)).len(), 1);
    assert_eq!(sheet(&nested(DEPTH_MAX + 1)).unwrap_err(), TooMuch);
    assert_eq!(sheet(&"{".repeat(1_000_000)).unwrap_err(), TooMuch);
    assert_eq!(
        sheet(&format!("a{{b:{}", "f(".repeat(1_000_000))).unwrap_err(),
        TooMuch
    );
}

#[test]
fn hostile_css_takes_linear_time() {
    for unit in [
        "a{",
        "}",
        "url(",
        "\"",
        "\\",
        "/*",
        "@import ",
        "a:b;",
        "((",
        "!important",
        "\0",
        "<!--",
        "url( ",
    ] {
        // Deep ones are refused, the others read: neither may take long or panic.
        let _ = sheet(&unit.repeat(200_000));
    }
}
