//! Why a load looks like tracking and what was done to it, in whole sentences, by the codes of the ledger.
//!
//! It must never name a person, nor more of a URL than its host. A code it does not know is shown as it is.

/// One piece of evidence, `code` or `code:detail`.
pub(in crate::cli) fn evidence(word: &str) -> String {
    let (code, detail) = word.split_once(':').unwrap_or((word, ""));
    match code {
        "known_endpoint" => {
            format!("It is loaded from an address known for counting openings (rule {detail}).")
        }
        "tiny" => format!("Nobody can see it: it is drawn at {detail} pixels."),
        "unseen" => {
            let why = hidden(detail);
            format!("Nobody can see it ({why}), and its address looks made for one person.")
        }
        "recipient" => {
            let form = form(detail);
            format!("The address it is loaded from names the recipient: {form}.")
        }
        "recurring" => {
            let place = place(detail);
            format!(
                "The address it is loaded from has an identifier that {place} has, too, and no other picture has it."
            )
        }
        "operator" => "The configuration says that it counts openings.".to_owned(),
        "learned" => {
            format!(
                "Of {detail} people nearly everybody got an address of their own in this place."
            )
        }
        "remote" => {
            "It is loaded from elsewhere, and this stream wants nothing that is (mode all-remote)."
                .to_owned()
        }
        _ => word.replace('_', " "),
    }
}

fn hidden(why: &str) -> &str {
    match why {
        "display_none" => "it is not displayed",
        "visibility" => "it is set invisible",
        "opacity" => "it is transparent",
        "clipped" => "all of it is clipped away",
        "scaled_to_nothing" => "it is scaled to nothing",
        "off_screen" => "it stands outside the page",
        "zero_box" => "it stands in a box without room",
        "zero_side" => "one of its sides is zero",
        "no_box" => "it shows nothing at all",
        other => other,
    }
}

fn form(form: &str) -> String {
    match form {
        "plain" => "the mail address is written out".to_owned(),
        "fragment" => "by a part of the mail address, or of its digest".to_owned(),
        "md5" | "sha1" | "sha256" | "sha384" | "sha512" => {
            format!("by a digest of the mail address ({form})")
        }
        other => format!("the mail address stands in it encoded ({other})"),
    }
}

fn place(named: &str) -> &str {
    match named {
        "reverse_path" => "the sender's address for bounces",
        "list_unsubscribe" => "the link for unsubscribing",
        other => other,
    }
}

/// What a finding is.
pub(in crate::cli) fn verdict(word: &str) -> &str {
    match word {
        "tracker" => "a tracker: it reports that this person opened the message",
        "aggregate" => "a counter: it reports that somebody opened the message",
        "individual_content" => {
            "a picture in sight that is this person's own: it shows something, and reports who opened the message"
        }
        other => other,
    }
}

/// What takes a finding out of a copy.
pub(in crate::cli) fn treatment(word: &str) -> &str {
    match word {
        "blank_image" => "the picture keeps its place and size and shows nothing",
        "cut_element" => {
            "the element is gone; it took up no room, or its kind cannot stay without a source"
        }
        "cut_source" => "the element stays without its source",
        "cut_background" => "the element stays without this background",
        "neutral_url" => "the element stays and leads nowhere",
        "empty_attribute" => "the attribute stays and is empty",
        "css_none" => "the style stays without this picture",
        "css_empty_url" => "the style stays and leads nowhere",
        "css_blank_image" => "the style stays with a transparent picture",
        "css_blank_sheet" => "an empty style sheet is loaded instead",
        "deidentified" => "the picture stays and is loaded without what names the person",
        other => other,
    }
}

/// What loads something, as the beginning of a sentence.
pub(in crate::cli) fn vector(word: &str) -> String {
    match word {
        "img" => "picture".to_owned(),
        "style_attribute" => "picture in a style attribute".to_owned(),
        "style_element" => "address in a style sheet".to_owned(),
        "background" => "background picture".to_owned(),
        "picture_source" => "choice for a picture".to_owned(),
        "link_stylesheet" => "style sheet from elsewhere".to_owned(),
        "link_hint" | "link_preload" => "link that is fetched ahead".to_owned(),
        "vml_image" | "vml_fill" | "vml_imagedata" | "vml" => {
            format!("picture for Outlook ({word})")
        }
        other => format!("element {}", other.replace('_', " ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pixel::{Evidence, Form, Named, Treatment, Verdict};
    use crate::relay::record;

    /// Whoever adds a code writes its sentence: one that is shown as it is has been forgotten here.
    #[test]
    fn every_code_has_a_sentence() {
        let all = [
            Evidence::KnownEndpoint {
                rule: "r".to_owned(),
                vendor: "v".to_owned(),
            },
            Evidence::Tiny {
                width: 1,
                height: 1,
            },
            Evidence::Unseen { why: "opacity" },
            Evidence::Recipient { form: Form::Plain },
            Evidence::Recurring {
                named: Named::ListUnsubscribe,
            },
            Evidence::Operator {
                spot: String::new(),
            },
            Evidence::Learned { recipients: 64 },
            Evidence::Remote,
        ];
        for one in all {
            let said = evidence(&record::evidence(&one));
            assert!(said.ends_with('.') && !said.contains('_'), "{said}");
        }
        for why in [
            "display_none",
            "visibility",
            "opacity",
            "clipped",
            "scaled_to_nothing",
            "off_screen",
            "zero_box",
            "zero_side",
            "no_box",
        ] {
            assert_ne!(hidden(why), why);
        }
        for one in [
            Treatment::BlankImage,
            Treatment::CutElement,
            Treatment::CutSource,
            Treatment::CutBackground,
            Treatment::NeutralUrl,
            Treatment::EmptyAttribute,
            Treatment::CssNone,
            Treatment::CssEmptyUrl,
            Treatment::CssBlankImage,
            Treatment::CssBlankSheet,
            Treatment::Deidentified,
        ] {
            assert_ne!(treatment(one.as_str()), one.as_str());
        }
        for one in [
            Verdict::Tracker,
            Verdict::Aggregate,
            Verdict::IndividualContent,
        ] {
            assert_ne!(verdict(one.as_str()), one.as_str());
        }
    }
}
