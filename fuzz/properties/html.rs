//! Any document in any charset: the edits of the findings lie within their spans and do not overlap, the edited document is the
//! original outside them, and examining it again finds nothing.

use pixelgate::mime::charset::{Form, RawEdit, View};
use pixelgate::pixel::{
    Document, Encoding, Examination, Finding, IndividualImages, Knowledge, Limits, Mode, Named,
    Needles, Own, Recurring, Rules, Spot, Whole, examine_at,
};

/// One octet in front of a document says how it is looked at: its charset, its kind, what the stream wants.
struct Way {
    form: Form,
    document: Document,
    mode: Mode,
    images: IndividualImages,
}

impl Way {
    /// By the first octet, which is no document's; without such a one every octet is the document.
    fn of(octets: &[u8]) -> (Self, &[u8]) {
        let labelled = |label: &[u8]| {
            Form::Octets(Encoding::for_label(label).expect("a label of the standard"))
        };
        let mut way = Self {
            form: labelled(b"utf-8"),
            document: Document::Html,
            mode: Mode::Balanced,
            images: IndividualImages::Deidentify,
        };
        let Some((first, html)) = octets.split_first() else {
            return (way, octets);
        };
        match first {
            0xff => way.form = labelled(b"shift_jis"),
            0xfe => way.form = labelled(b"gb18030"),
            0xfd => way.form = labelled(b"windows-1252"),
            0xfc => way.document = Document::Amp,
            0xfb => way.mode = Mode::EveryIndividual,
            0xfa => way.mode = Mode::AllRemote,
            0xf9 => way.images = IndividualImages::Blank,
            0xf8 => way.form = Form::Utf7,
            0xf7 => way.form = Form::Utf16Le,
            0xf6 => way.form = Form::Utf16Be,
            0xf5 => way.form = Form::Iso2022Jp,
            0xf4 => way.form = Form::Hz,
            _ => return (way, octets),
        }
        (way, html)
    }
}

/// Holds for every input.
pub(crate) fn hold(octets: &[u8]) {
    let (way, html) = Way::of(octets);
    let needles = Needles::of(["nadia@example.net"]);
    let own = Own {
        endpoints: Spot::parse("t.shop.example/o/").into_iter().collect(),
        markers: vec!["<!--open pixel-->".to_owned()],
        ..Own::default()
    };
    let places = [(Named::ReversePath, "bounce-a8f3k2c97d@shop.example")];
    let recurring = Recurring::of(places, "");
    let look = |view: &View<'_>, recurring: &Recurring, whole: Option<&Whole>| {
        let knowledge = Knowledge {
            mode: way.mode,
            images: way.images,
            needles: &needles,
            recurring,
            own: &own,
            whole,
            ..Knowledge::of(Rules::built_in())
        };
        let (text, charset) = (view.octets(), view.encoding());
        let limits = Limits::default();
        examine_at(text, charset, way.document, &[], &knowledge, &limits)
    };
    let Ok(view) = View::new(way.form, html) else {
        return;
    };
    let Ok(seen) = look(&view, &recurring, None) else {
        return;
    };
    let Some(edits) = made(&view, &seen, way.document) else {
        // Characters that share their octets cannot be parted.
        assert_eq!(way.form, Form::Utf7);
        return;
    };
    let output = edited(html, &edits);
    same_outside(html, &edits, &output);
    let variant = View::new(way.form, &output).expect("what could be read can be after the edits");
    // What recurred in several URLs is nobody's in the variant either.
    let again = look(
        &variant,
        &recurring.without(&seen.spread),
        Some(&seen.whole),
    )
    .expect("what could be examined can be after the edits");
    assert_eq!(again.findings, [], "something is left");
}

/// What the edits of the findings are of the octets, in order of place.
fn made(view: &View<'_>, seen: &Examination, document: Document) -> Option<Vec<RawEdit>> {
    let mut edits = Vec::new();
    for finding in &seen.findings {
        lies_within(finding, document);
        for edit in &finding.edits {
            edits.push(view.raw_edit(edit.range.clone(), &edit.replacement)?);
        }
    }
    edits.sort_by_key(|(range, _)| range.start);
    Some(edits)
}

/// A finding has its reasons and edits nothing but itself.
fn lies_within(finding: &Finding, document: Document) {
    assert!(!finding.edits.is_empty() && !finding.evidence.is_empty());
    for edit in &finding.edits {
        // The end tag of an element that is cut stands behind it.
        let behind = document == Document::Amp && finding.span.end <= edit.range.start;
        assert!(finding.span.start <= edit.range.start);
        assert!(edit.range.end <= finding.span.end || behind);
        let lines = |octet: &u8| matches!(octet, b'\r' | b'\n');
        assert!(!edit.replacement.iter().any(lines));
    }
}

fn edited(html: &[u8], edits: &[RawEdit]) -> Vec<u8> {
    let mut output = Vec::with_capacity(html.len());
    let mut at = 0;
    for (range, replacement) in edits {
        assert!(
            at <= range.start && range.start <= range.end,
            "edits overlap"
        );
        output.extend_from_slice(&html[at..range.start]);
        output.extend_from_slice(replacement);
        at = range.end;
    }
    output.extend_from_slice(&html[at..]);
    output
}

/// Octet by octet, from both ends of what stands between two edits.
fn same_outside(html: &[u8], edits: &[RawEdit], output: &[u8]) {
    let (mut at, mut there) = (0, 0);
    for (range, replacement) in edits {
        let fixed = &html[at..range.start];
        assert!(output[there..].starts_with(fixed), "changed outside");
        there += fixed.len() + replacement.len();
        at = range.end;
    }
    assert_eq!(output[there..], html[at..], "changed behind the last edit");
}
