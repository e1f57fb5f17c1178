//! Any document in any charset: the edits of the findings lie within their spans and do not overlap, and examining the edited
//! document again finds none of what was stripped.

use std::ops::Range;

use pixelgate::mime::charset::{Form, RawEdit, View};
use pixelgate::pixel::{Document, Encoding, Examination, Finding, Limits, Rules, examine};

/// Holds for every input.
pub(crate) fn hold(octets: &[u8]) {
    let labelled =
        |label: &[u8]| Form::Octets(Encoding::for_label(label).expect("a label of the standard"));
    // The first octet picks the charset.
    let (form, html) = match octets.split_first() {
        Some((0xff, html)) => (labelled(b"shift_jis"), html),
        Some((0xfe, html)) => (labelled(b"gb18030"), html),
        Some((0xfd, html)) => (labelled(b"windows-1252"), html),
        Some((0xfc, html)) => (Form::Utf16Le, html),
        Some((0xfb, html)) => (Form::Utf16Be, html),
        Some((0xfa, html)) => (Form::Iso2022Jp, html),
        Some((0xf9, html)) => (Form::Hz, html),
        Some((0xf8, html)) => (Form::Utf7, html),
        _ => (labelled(b"utf-8"), octets),
    };
    let Some((view, seen)) = look(form, html) else {
        return;
    };
    let mut edits: Vec<RawEdit> = Vec::new();
    for finding in &seen.findings {
        let Some(theirs) = made(&view, finding) else {
            // Characters that share their octets cannot be parted.
            assert_eq!(form, Form::Utf7);
            return;
        };
        edits.extend(theirs);
    }
    edits.sort_by_key(|(range, _)| range.start);
    let mut output = Vec::with_capacity(html.len());
    let mut at = 0;
    for (range, replacement) in &edits {
        assert!(
            at <= range.start && range.start <= range.end,
            "edits overlap"
        );
        output.extend_from_slice(&html[at..range.start]);
        output.extend_from_slice(replacement);
        at = range.end;
    }
    output.extend_from_slice(&html[at..]);
    let (_, again) = look(form, &output).expect("what could be examined can be after the edits");
    assert_eq!(again.findings, [], "something is left");
}

fn look(form: Form, html: &[u8]) -> Option<(View<'_>, Examination)> {
    let view = View::new(form, html).ok()?;
    let seen = examine(
        view.octets(),
        view.encoding(),
        Document::Html,
        Rules::built_in(),
        &Limits::default(),
    );
    seen.ok().map(|seen| (view, seen))
}

/// What a finding's edits are of the octets.
fn made(view: &View<'_>, finding: &Finding) -> Option<Vec<RawEdit>> {
    assert!(!finding.edits.is_empty() && !finding.evidence.is_empty());
    let inside = |inner: &Range<usize>, outer: &Range<usize>| {
        outer.start <= inner.start && inner.end <= outer.end
    };
    let edits = finding.edits.iter().map(|edit| {
        assert!(inside(&edit.range, &finding.span));
        assert!(
            !edit
                .replacement
                .iter()
                .any(|octet| matches!(octet, b'\r' | b'\n'))
        );
        view.raw_edit(edit.range.clone(), &edit.replacement)
    });
    edits.collect()
}
