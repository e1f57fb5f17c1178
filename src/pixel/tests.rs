//! The whole of the module at work: documents in, findings and edits out.

use super::*;

fn look(html: &str) -> Examination {
    examine(
        html.as_bytes(),
        encoding_rs::UTF_8,
        Document::Html,
        Rules::built_in(),
        &Limits::default(),
    )
    .unwrap()
}

#[test]
fn a_known_endpoint_is_blanked_in_its_box() {
    let html =
        "<p>x</p>\r\n<img src=\"https://u1.ct.sendgrid.net/wf/open?upn=abc&amp;d=1\" alt=\"\">";
    let seen = look(html);
    assert_eq!(seen.findings.len(), 1);
    let finding = &seen.findings[0];
    assert_eq!(finding.line, 2);
    assert_eq!(finding.host, "u1.ct.sendgrid.net");
    assert_eq!(
        finding.url,
        "https://u1.ct.sendgrid.net/wf/open?upn=abc&d=1"
    );
    assert_eq!(finding.treatment, Treatment::BlankImage);
    let stripped = edited(html.as_bytes(), &finding.edits).unwrap();
    let stripped = String::from_utf8(stripped).unwrap();
    assert!(
        stripped.contains(TRANSPARENT_GIF) && !stripped.contains("sendgrid"),
        "{stripped}"
    );
    assert!(stripped.contains("width=\"1\" height=\"1\""));
    assert!(look(&stripped).findings.is_empty());
}
