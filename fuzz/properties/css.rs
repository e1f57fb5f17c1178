//! Any style sheet, in each place where CSS stands: what holds of a document (`html.rs`) holds with it inside.

#[allow(
    clippy::duplicate_mod,
    reason = "a target stands alone, and the ordinary tests have them all"
)]
#[path = "html.rs"]
mod html;

/// Holds for every input.
pub(crate) fn hold(octets: &[u8]) {
    let around = |before: &str, css: &[u8], behind: &str| {
        html::hold(&[before.as_bytes(), css, behind.as_bytes()].concat());
    };
    let element =
        "<div id=o class=p><p><img src=\"https://t.shop.example/i/a8f3k2c97d.gif\"></p></div>";
    around("<style>", octets, &format!("</style>{element}"));
    around("<svg><style>", octets, &format!("</style></svg>{element}"));
    // As an attribute its quotes are written as entities.
    let mut attribute = Vec::with_capacity(octets.len());
    for octet in octets {
        match octet {
            b'"' => attribute.extend_from_slice(b"&quot;"),
            b'&' => attribute.extend_from_slice(b"&amp;"),
            other => attribute.push(*other),
        }
    }
    around("<p style=\"", &attribute, "\">x</p>");
    around("<!--[if mso]><style>", octets, "</style><![endif]-->");
}
