//! Any document: the edits of the findings lie within their spans and do not overlap, and examining the edited
//! document again finds none of what was stripped.

use pixelgate::pixel::{
    Document, Edit, Encoding, Knowledge, Limits, Rules, Whole, edited, examine_at,
};

/// Holds for every input.
pub(crate) fn hold(octets: &[u8]) {
    // The first octet picks the charset: tags are ASCII in all of them, the rest is not.
    let (label, html): (&[u8], &[u8]) = match octets.split_first() {
        Some((0xff, html)) => (b"shift_jis", html),
        Some((0xfe, html)) => (b"gb18030", html),
        Some((0xfd, html)) => (b"windows-1252", html),
        _ => (b"utf-8", octets),
    };
    let charset = Encoding::for_label(label).expect("a label of the standard");
    let look = |html: &[u8], whole: Option<&Whole>| {
        let knowledge = Knowledge {
            whole,
            ..Knowledge::of(Rules::built_in())
        };
        let limits = Limits::default();
        examine_at(html, charset, Document::Html, &[], &knowledge, &limits)
    };
    let Ok(seen) = look(html, None) else {
        return;
    };
    let mut edits: Vec<&Edit> = Vec::new();
    for finding in &seen.findings {
        assert!(!finding.edits.is_empty() && !finding.evidence.is_empty());
        for edit in &finding.edits {
            assert!(finding.span.start <= edit.range.start && edit.range.end <= finding.span.end);
            assert!(
                !edit
                    .replacement
                    .iter()
                    .any(|octet| matches!(octet, b'\r' | b'\n'))
            );
        }
        edits.extend(&finding.edits);
    }
    edits.sort_by_key(|edit| edit.range.start);
    for pair in edits.windows(2) {
        assert!(pair[0].range.end <= pair[1].range.start, "edits overlap");
    }
    let output = edited(html, edits.iter().copied()).expect("the edits fit");
    let again =
        look(&output, Some(&seen.whole)).expect("what could be examined can be after the edits");
    assert_eq!(again.findings, [], "something is left");
}
