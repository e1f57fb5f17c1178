//! Spellings that reach the same place, and those that reach none.

use super::*;

fn remote(reference: &str) -> Url {
    match target(reference, None) {
        Target::Remote(url) => url,
        other => panic!("{reference:?} is {other:?}"),
    }
}

#[test]
fn all_spellings_of_one_place() {
    for spelling in [
        "http://t.example.com/wf/open?upn=x",
        "HTTPS://T.EXAMPLE.COM/wf/open?upn=x#y",
        "//t.example.com/wf/open?upn=x",
        "\\\\t.example.com\\wf\\open?upn=x",
        " \t\nht\ntps:\t//t.exam\r\nple.com/wf/open?upn=x \u{1}",
        "https:t.example.com/wf/open?upn=x",
        "https:///t.example.com/wf/open?upn=x",
        "https://u:p@ss@t.example.com:8443/wf/open?upn=x",
        "https://t.example.com./wf/./x/../open?upn=x",
        "https://t%2eexample%2Ecom/%77f/open?upn=x",
        "https://t\u{3002}example\u{ff0e}com/wf/open?upn=x",
    ] {
        let url = remote(spelling);
        assert_eq!(url.host, "t.example.com", "{spelling:?}");
        assert_eq!(url.path, "wf/open", "{spelling:?}");
        assert_eq!(url.query.as_deref(), Some("upn=x"), "{spelling:?}");
    }
}

#[test]
fn what_is_not_requested() {
    for local in [
        "",
        "  ",
        "data:image/gif;base64,AAAA",
        "about:blank",
        "x.gif",
        "/x.gif",
        "#a",
        "?q=1",
    ] {
        assert_eq!(target(local, None), Target::Local, "{local:?}");
    }
    assert_eq!(target("CID:a@b", None), Target::Part("a@b".to_owned()));
}

#[test]
fn unknown_schemes_are_remote() {
    assert_eq!(remote("ftp://h/x").host, "h");
    assert_eq!(remote("weird://H/x").host, "h");
    assert_eq!(remote("mailto:a@b").host, "");
}

#[test]
fn a_base_makes_relative_references_remote() {
    let base = Some("https://h.example/dir/page.html?x#y");
    let resolved = |reference| match target(reference, base) {
        Target::Remote(url) => format!(
            "{}/{}?{}",
            url.host,
            url.path,
            url.query.unwrap_or_default()
        ),
        other => panic!("{other:?}"),
    };
    assert_eq!(resolved("a.gif?b"), "h.example/dir/a.gif?b");
    assert_eq!(resolved("/a.gif"), "h.example/a.gif?");
    assert_eq!(resolved("../a.gif"), "h.example/a.gif?");
    assert_eq!(resolved("?b"), "h.example/dir/page.html?b");
    assert_eq!(resolved("//o.example/a"), "o.example/a?");
}

#[test]
fn encoded_slashes_make_no_segments() {
    assert_eq!(remote("http://h/a%2Fb/c").segments(), ["a%2Fb", "c"]);
    assert_eq!(remote("http://h/%zz/%").segments(), ["%zz", "%"]);
}

#[test]
fn hosts_of_all_kinds() {
    assert_eq!(remote("http://[2001:DB8::1]:80/x").host, "2001:db8::1");
    assert_eq!(remote("http://192.0.2.1:8080/x").host, "192.0.2.1");
    assert_eq!(
        remote("http://b\u{fc}cher.example/x").host,
        "b\u{fc}cher.example"
    );
}

#[test]
fn parameters_with_unreserved_characters_decoded() {
    let url = remote("http://h/?a=1&b&amp;c=%41%26");
    let found: Vec<_> = url.parameters().collect();
    assert_eq!(found, [("a", "1"), ("b", ""), ("amp", ""), ("c", "A%26")]);
}

#[test]
fn candidates_of_a_srcset() {
    assert_eq!(
        srcset("a.png 1x, b,c.png 2x,d.png"),
        ["a.png", "b,c.png", "d.png"]
    );
    assert_eq!(srcset(" ,a (x,y) 2w, b,, c"), ["a", "b", "c"]);
    assert_eq!(
        srcset("data:image/gif;base64,AA== 1x, https://h/x 2x"),
        ["data:image/gif;base64,AA==", "https://h/x"]
    );
    assert!(srcset(" , ").is_empty());
}
