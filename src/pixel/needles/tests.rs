//! Every form in which a recipient stands in a URL, and what looks alike.

use base64::Engine as _;

use super::*;

fn found(url: &str) -> Option<&'static str> {
    let needles = Needles::of(["Nadia.Moreau+news@Example.net", "josé@bücher.example"]);
    needles.found_in(url).map(Form::as_str)
}

#[test]
fn in_clear() {
    for url in [
        "https://t.brand.example/o?e=nadia.moreau@example.net",
        "https://t.brand.example/o?e=Nadia.Moreau%2Bnews%40Example.net",
        "https://t.brand.example/o?e=nadia.moreau%252Bnews%2540example.net",
        "https://t.brand.example/o/nadia.moreau=example.net/x.gif",
        "https://t.brand.example/o/%7B%22mail%22%3A%22nadia.moreau%5Cu0040example.net%22%7D",
        "https://t.brand.example/o/nadia.moreau@example.net.gif",
        "https://t.brand.example/o?e=jos%C3%A9@xn--bcher-kva.example",
        "https://t.brand.example/o?e=jos%C3%A9@b%C3%BCcher.example",
    ] {
        assert_eq!(found(url), Some("plain"), "{url}");
    }
}

/// Where `@` and dots may not stand, and where something stands around an address.
#[test]
fn in_clear_but_otherwise() {
    for url in [
        "https://t.brand.example/o/nadia.moreau-example.net",
        "https://t.brand.example/o/nadia-moreau-example-net.gif",
        "https://t.brand.example/o/nadia_moreau_example_net/x",
        "https://t.brand.example/o?e=nadia.moreau.at.example.net",
        "https://t.brand.example/o?e=nadia.moreau_at_example_dot_net",
        "https://t.brand.example/o?e=nadia.moreau(at)example.net",
        "https://t.brand.example/o?e=nadia.moreau@example.org_post&f=nadia.moreau@example.net_post",
        "https://nadia-moreau-example-net.t.brand.example/o.gif",
        "https://t.brand.example/o?e=jos%C3%A9-b%C3%BCcher.example",
    ] {
        assert_eq!(found(url), Some("plain"), "{url}");
    }
    // Hosts, campaigns and other people.
    let needles = Needles::of([
        "news@brand.example",
        "anna@brand.example",
        "jo@brand.example",
        "smith@example.org",
        "desk@example.at",
    ]);
    for url in [
        "https://news.brand.example/logo.png",
        "https://anna.brand.example/logo.png",
        "https://cdn.example/news-brand.example/logo.png",
        "https://cdn.example/jo-brand.example/logo.png",
        "https://cdn.example/joanna@brand.example.png",
        "https://cdn.example/maria.anna@brand.example.png",
        "https://cdn.example/john.smith@example.org",
        "https://cdn.example/desk.example/at/logo.png",
        "https://cdn.example/anna-brand.example.net/logo.png",
        "https://anna-brand.example/logo.png",
        "https://cdn.example/resize/anna/brand.example/logo.png",
        "https://cdn.example/maria-anna@brand.example.png",
        "https://cdn.example/maria_anna@brand.example.png",
        "https://cdn.example/santa-anna-brand-example/logo.png",
    ] {
        assert_eq!(needles.found_in(url), None, "{url}");
    }
    // Where nobody sees it, somebody else's longer name may be one with something before it.
    for url in [
        "https://t.brand.example/o?e=pre_anna@brand.example_post",
        "https://t.brand.example/o/x-anna@brand.example-x.gif",
    ] {
        let crate::pixel::url::Target::Remote(parsed) = crate::pixel::url::target(url, None) else {
            panic!("{url}");
        };
        assert_eq!(needles.fragment_in(&parsed), Some(Form::Fragment), "{url}");
    }
    assert!(needles.is_wholly("anna-brand.example") && needles.is_wholly("Smith%40example.org"));
    assert!(
        !needles.is_wholly("pre_anna@brand.example") && !needles.is_wholly("anna@brand.example/x")
    );
}

#[test]
fn encoded() {
    for (url, by) in [
        // printf 'nadia.moreau@example.net' | base64, base64url, base32, xxd -p
        (
            "https://t.brand.example/o?d=bmFkaWEubW9yZWF1QGV4YW1wbGUubmV0",
            "base64",
        ),
        (
            "https://t.brand.example/o/bmFkaWEubW9yZWF1QGV4YW1wbGUubmV0/p.gif",
            "base64",
        ),
        (
            "https://t.brand.example/o?d=NZQWI2LBFZWW64TFMF2UAZLYMFWXA3DFFZXGK5A=",
            "base32",
        ),
        (
            "https://t.brand.example/o?d=6e616469612e6d6f72656175406578616d706c652e6e6574",
            "hex",
        ),
        // {"u":1,"e":"nadia.moreau@example.net"} in base64
        (
            "https://t.brand.example/o?d=eyJ1IjoxLCJlIjoibmFkaWEubW9yZWF1QGV4YW1wbGUubmV0In0%3D",
            "base64",
        ),
        // base64 of base64
        (
            "https://t.brand.example/o?d=Ym1Ga2FXRXViVzl5WldGMVFHVjRZVzF3YkdVdWJtVjA=",
            "base64",
        ),
    ] {
        assert_eq!(found(url), Some(by), "{url}");
    }
}

#[test]
fn deflated() {
    let text = br#"{"campaign":"spring","email":"nadia.moreau@example.net"}"#;
    let packed = miniz_oxide::deflate::compress_to_vec_zlib(text, 6);
    let token = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(packed);
    assert_eq!(
        found(&format!("https://t.brand.example/o/{token}")),
        Some("deflate")
    );
}

#[test]
fn digests_of_the_address_in_the_usual_spellings() {
    let hex =
        |octets: &[u8]| -> String { octets.iter().map(|octet| format!("{octet:02x}")).collect() };
    for address in [
        "nadia.moreau@example.net",
        "nadia.moreau+news@example.net",
        "Nadia.Moreau+news@Example.net",
    ] {
        let octets = address.as_bytes();
        for (name, digest) in [
            ("md5", Md5::digest(octets).to_vec()),
            (
                "sha1",
                digested(&SHA1_FOR_LEGACY_USE_ONLY, octets)
                    .as_ref()
                    .to_vec(),
            ),
            ("sha256", digested(&SHA256, octets).as_ref().to_vec()),
            ("sha384", digested(&SHA384, octets).as_ref().to_vec()),
            ("sha512", digested(&SHA512, octets).as_ref().to_vec()),
        ] {
            let text = hex(&digest);
            assert_eq!(
                found(&format!("https://i.brand.example/{text}.png")),
                Some(name),
                "{address} {name}"
            );
            assert_eq!(
                found(&format!(
                    "https://i.brand.example/a?h={}",
                    text.to_uppercase()
                )),
                Some(name)
            );
            let base64 = BASE64_TEXT.encode(&digest);
            assert_eq!(
                found(&format!("https://i.brand.example/a?h={base64}")),
                Some(name)
            );
        }
    }
}

const BASE64_TEXT: base64::engine::GeneralPurpose = base64::engine::general_purpose::STANDARD;

#[test]
fn somebody_else_is_not_found() {
    for url in [
        "https://t.brand.example/o?e=xnadia.moreau@example.net",
        "https://t.brand.example/o?e=nadia.moreau@example.net.evil.example",
        "https://t.brand.example/o?e=other@example.net",
        "https://example.net/nadia.moreau.png",
        "https://t.brand.example/o?d=b3RoZXJAZXhhbXBsZS5uZXQ",
        "https://cdn.brand.example/5d41402abc4b2a76b9719d911017c592.png",
        "",
    ] {
        assert_eq!(found(url), None, "{url}");
    }
    assert_eq!(Needles::of(["postmaster"]).found_in("postmaster"), None);
}

#[test]
fn work_is_bounded() {
    let needles = Needles::of((0..1000).map(|_| "nadia@example.net"));
    let long = "eJ=&@".repeat(50_000);
    assert_eq!(needles.found_in(&long), None);
    let nested = (0..6).fold("nadia@example.net".to_owned(), |text, _| {
        BASE64_TEXT.encode(text)
    });
    assert_eq!(needles.found_in(&nested), None, "deeper than is looked");
}
