//! Any document: the edits of the findings lie within their spans and do not overlap, the edited document is the original outside
//! them, and examining it again finds nothing.

use pixelgate::pixel::{
    Document, Edit, Encoding, Examination, Finding, IndividualImages, Knowledge, Limits, Mode,
    Named, Needles, Own, Recurring, Rules, Spot, Uninspectable, Whole, edited, examine_at,
};

/// One octet in front of a document says how it is looked at: its charset, its kind, what the stream wants.
struct Way {
    charset: &'static str,
    document: Document,
    mode: Mode,
    images: IndividualImages,
}

impl Way {
    /// By the first octet, which is no document's; without such a one every octet is the document.
    fn of(octets: &[u8]) -> (Self, &[u8]) {
        let mut way = Self {
            charset: "utf-8",
            document: Document::Html,
            mode: Mode::Balanced,
            images: IndividualImages::Deidentify,
        };
        let Some((first, html)) = octets.split_first() else {
            return (way, octets);
        };
        match first {
            0xff => way.charset = "shift_jis",
            0xfe => way.charset = "gb18030",
            0xfd => way.charset = "windows-1252",
            0xfc => way.document = Document::Amp,
            0xfb => way.mode = Mode::EveryIndividual,
            0xfa => way.mode = Mode::AllRemote,
            0xf9 => way.images = IndividualImages::Blank,
            _ => return (way, octets),
        }
        (way, html)
    }
}

/// Holds for every input.
pub(crate) fn hold(octets: &[u8]) {
    let (way, html) = Way::of(octets);
    let charset = Encoding::for_label(way.charset.as_bytes()).expect("a label of the standard");
    let needles = Needles::of(["nadia@example.net"]);
    let own = Own {
        endpoints: Spot::parse("t.shop.example/o/").into_iter().collect(),
        markers: vec!["<!--open pixel-->".to_owned()],
        ..Own::default()
    };
    let places = [(Named::ReversePath, "bounce-a8f3k2c97d@shop.example")];
    let recurring = Recurring::of(places, "");
    let look = |html: &[u8],
                recurring: &Recurring,
                whole: Option<&Whole>|
     -> Result<Examination, Uninspectable> {
        let knowledge = Knowledge {
            mode: way.mode,
            images: way.images,
            needles: &needles,
            recurring,
            own: &own,
            whole,
            ..Knowledge::of(Rules::built_in())
        };
        let limits = Limits::default();
        examine_at(html, charset, way.document, &[], &knowledge, &limits)
    };
    let Ok(seen) = look(html, &recurring, None) else {
        return;
    };
    let mut edits: Vec<&Edit> = Vec::new();
    for finding in &seen.findings {
        lies_within(finding, way.document);
        edits.extend(&finding.edits);
    }
    edits.sort_by_key(|edit| edit.range.start);
    for pair in edits.windows(2) {
        assert!(pair[0].range.end <= pair[1].range.start, "edits overlap");
    }
    let output = edited(html, edits.iter().copied()).expect("the edits fit");
    same_outside(html, &edits, &output);
    // What recurred in several URLs is nobody's in the variant either.
    let again = look(&output, &recurring.without(&seen.spread), Some(&seen.whole))
        .expect("what could be examined can be after the edits");
    assert_eq!(again.findings, [], "something is left");
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

/// Octet by octet, without what made the output.
fn same_outside(html: &[u8], edits: &[&Edit], output: &[u8]) {
    let (mut at, mut there) = (0, 0);
    for edit in edits {
        let fixed = &html[at..edit.range.start];
        assert!(output[there..].starts_with(fixed), "changed outside");
        there += fixed.len() + edit.replacement.len();
        at = edit.range.end;
    }
    assert_eq!(output[there..], html[at..], "changed behind the last edit");
}
