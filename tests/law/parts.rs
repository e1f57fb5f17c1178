//! S14 and S20: pixels in every part that is shown, and parts that nobody may edit.

use crate::letters::{OPEN, STOP, pixel, without};
use crate::press::{FRANCE, NADIA, OTTO, PRESS, Press, grant, own, same, stream};

const A: &str = "campaign_performance";
const AMP_BODY: &str = "<!doctype html>\r\n<html amp4email><head><meta charset=\"utf-8\"><script async src=\"https://cdn.ampproject.org/v0.js\"></script></head>\
     <body><amp-pixel src=\"https://open.press.example/o?u=9f2c41d07a\" layout=\"nodisplay\"></amp-pixel><p>Bread is dear.</p><a href=\"https://press.example/privacy/tracking?t=4f1c\">no tracking</a></body></html>";

/// Plain, AMP and HTML, and a letter that was forwarded with its own HTML: four pixels.
fn nested() -> Vec<u8> {
    format!(
        "From: The Press <letter@press.example>\r\nTo: <{NADIA}>\r\nMessage-ID: <issue-4711@press.example>\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=\"all\"\r\n\r\nprologue\r\n\
         --all\r\nContent-Type: multipart/alternative; boundary=\"alt\"\r\n\r\n\
         --alt\r\nContent-Type: text/plain\r\n\r\n{OPEN} is no pixel here.\r\n\
         --alt\r\nContent-Type: text/x-amp-html\r\n\r\n{AMP_BODY}\r\n\
         --alt\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html><body>\r\n<p>Bread  is dear.</p>{STOP}\r\n{0}\r\n<p>.</p>\r\n{0}\r\n</body></html>\r\n\
         --alt--\r\n\
         --all\r\nContent-Type: message/rfc822\r\n\r\n\
         From: Somebody <else@press.example>\r\nSubject: forwarded\r\nMIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n<html><body><i>look</i>{STOP}\r\n{0}\r\n</body></html>\r\n\
         --all--\r\nepilogue\r\n",
        pixel(OPEN)
    )
    .into_bytes()
}

/// The AMP body without its pixel: the element goes, start and end tag each an empty comment.
fn amp_body_stripped() -> String {
    AMP_BODY
        .replace(
            "<amp-pixel src=\"https://open.press.example/o?u=9f2c41d07a\" layout=\"nodisplay\">",
            "<!--  -->",
        )
        .replace("</amp-pixel>", "<!--  -->")
}

#[test]
fn s14_every_part_that_is_shown_is_stripped_and_the_rest_stays() {
    let press = Press::start(&format!("{FRANCE}{}", stream("requested", &own(&[A]))));
    let told = press.deliver(&[OTTO], &nested());
    assert!(told.reply.starts_with("250 "), "{}", told.reply);
    let mail = String::from_utf8(nested())
        .unwrap()
        .replace(AMP_BODY, &amp_body_stripped());
    same(
        told.copy_to(OTTO).without_received(),
        &without(mail.as_bytes(), &[OPEN]),
    );
    let blind = &told.intent["uninspectable"];
    assert_eq!(blind.as_array().map_or(0, Vec::len), 0, "{blind}");
    let group = &told.intent["groups"][0];
    assert_eq!(group["copy"], "stripped");
    let list = |value: &serde_json::Value| value.as_array().cloned().unwrap();
    let findings = list(&told.intent["findings"]);
    let places: Vec<(&str, &str)> = findings
        .iter()
        .map(|finding| {
            let word = |key: &str| finding[key].as_str().unwrap();
            (word("part"), word("vector"))
        })
        .collect();
    assert_eq!(
        places,
        [
            ("1.1.2", "amp_pixel"),
            ("1.1.3", "img"),
            ("1.1.3", "img"),
            ("1.2.1", "img")
        ],
        "all four pixels"
    );
    for decision in list(&group["decisions"]) {
        let words = (&decision["action"], &decision["reason"]);
        assert_eq!(words, (&"stripped".into(), &"no_consent".into()));
    }

    // Who consented gets all of it as it was: the link stands in each part.
    press.import(&[grant(NADIA, &[A])]);
    let told = press.deliver(&[NADIA], &nested());
    same(told.copy_to(NADIA).without_received(), &nested());
    press.finish();
}

/// On a stream whose mail nobody waits for, a part that nobody sees into is refused, in words that blame no address.
#[test]
fn s14_on_marketing_a_part_that_nobody_sees_into_is_refused() {
    let press = Press::start(&format!("{FRANCE}{}", stream("marketing", &own(&[A]))));
    let unread = String::from_utf8(nested()).unwrap().replace(
        "Content-Type: text/x-amp-html\r\n",
        "Content-Type: text/x-amp-html\r\nContent-Transfer-Encoding: x-uuencode\r\n",
    );
    let told = press.deliver(&[OTTO], unread.as_bytes());
    assert!(told.reply.starts_with("550 5.6.0 "), "{}", told.reply);
    assert!(told.reply.contains("valid"), "{}", told.reply);
    assert!(told.copies.is_empty());
    assert_eq!(told.intent["groups"][0]["copy"], "rejected");
    press.finish();
}

/// What is marked as a file to save is none of what a client shows by itself: it passes as it was, counted (DESIGN 4). A
/// known limit, which the README names.
#[test]
fn d26_a_forwarded_letter_that_is_marked_as_a_file_passes_and_is_counted_out_of_scope() {
    let press = Press::start(&format!("{FRANCE}{}", stream("requested", &own(&[A]))));
    let marked = String::from_utf8(nested()).unwrap().replace(
        "Content-Type: message/rfc822\r\n",
        "Content-Type: message/rfc822\r\nContent-Disposition: attachment; filename=\"week.eml\"\r\n",
    );
    let told = press.deliver(&[OTTO], marked.as_bytes());
    assert!(told.reply.starts_with("250 "), "{}", told.reply);
    let copy = told.copy_to(OTTO).without_received();
    let forwarded = marked.split_once("Subject: forwarded").unwrap().1;
    assert!(copy.ends_with(forwarded.as_bytes()), "as it was");
    assert_eq!(
        told.intent["out_of_scope"],
        serde_json::json!({ "attachment": 1 }),
        "{}",
        told.intent
    );
    assert_eq!(told.intent["findings"].as_array().unwrap().len(), 3);
    press.finish();
}

/// What asks for a receipt is a tracker that the reader can refuse: named in the ledger, nothing is changed.
#[test]
fn a_request_for_a_receipt_is_recorded_and_stays() {
    let press = Press::start(&format!("{FRANCE}{}", stream("requested", &own(&[A]))));
    let asks = b"From: The Press <letter@press.example>\r\nDisposition-Notification-To: <letter@press.example>\r\n\
        Subject: week\r\n\r\nBread.\r\n";
    let told = press.deliver(&[OTTO], asks);
    assert!(told.reply.starts_with("250 "), "{}", told.reply);
    same(told.copy_to(OTTO).without_received(), asks);
    assert_eq!(
        told.intent["reported"],
        serde_json::json!([{ "kind": "receipt_request", "part": "1", "line": 2 }]),
        "{}",
        told.intent
    );
    press.finish();
}

fn signed(html: &str) -> Vec<u8> {
    format!(
        "From: The Press <letter@press.example>\r\nTo: <{NADIA}>\r\nMessage-ID: <issue-4711@press.example>\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\"; micalg=sha-256; boundary=\"sig\"\r\n\r\n\
         --sig\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html><body>{STOP}\r\n{html}\r\n</body></html>\r\n\
         --sig\r\nContent-Type: application/pkcs7-signature; name=\"smime.p7s\"\r\nContent-Transfer-Encoding: base64\r\n\
         Content-Disposition: attachment; filename=\"smime.p7s\"\r\n\r\nMIIBAgMEBQYHCAkKCwwNDg8=\r\n--sig--\r\n"
    )
    .into_bytes()
}

/// Editing would break the signature, passing it on would track: it is refused, and says so (D29).
#[test]
fn s20_signed_mail_with_a_forbidden_pixel_is_rejected_in_clear_words() {
    for kind in ["marketing", "requested"] {
        let press = Press::start(&format!("{FRANCE}{}", stream(kind, &own(&[A]))));
        let mail = signed(&pixel(OPEN));
        let told = press.deliver(&[OTTO], &mail);
        assert!(told.reply.starts_with("550 5.6.0 "), "{}", told.reply);
        for word in ["signed", "no_consent", "valid"] {
            assert!(told.reply.contains(word), "{word}: {}", told.reply);
        }
        assert!(told.copies.is_empty());
        assert_eq!(
            press.verdict(&told.intent, PRESS, OTTO, "open.press.example"),
            "rejected no_consent fr-2026"
        );
        // It is the pixel that is refused, not the signature.
        let plain = signed("<p>Bread is dear.</p>");
        let told = press.deliver(&[OTTO], &plain);
        same(told.copy_to(OTTO).without_received(), &plain);
        press.import(&[grant(NADIA, &[A])]);
        assert_eq!(
            press.gets(NADIA, &mail, &mail, "open.press.example"),
            "kept consent fr-2026"
        );
        press.finish();
    }
}
