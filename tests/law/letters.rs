//! The letters of a publisher, and what is left of them: written here once, so that a copy can be compared to the octet.

use crate::press::NADIA;

/// The publisher's own pixel.
pub(crate) const OPEN: &str = "https://open.press.example/o?u=9f2c41d07a";
/// The pixel of somebody who sells advertisements.
pub(crate) const AD: &str = "https://ads.broker.example/i?u=77c01fe2b9";
/// One URL for everybody.
pub(crate) const COUNT: &str = "https://count.press.example/c?issue=2026-47";
/// A link that ends the tracking and not the mail.
pub(crate) const STOP: &str =
    "<a href=\"https://press.example/privacy/tracking?t=4f1c\">no tracking</a>";
/// A link that ends the mail.
pub(crate) const LEAVE: &str = "https://press.example/leave?t=4f1c";
/// What stands in the place of a pixel.
const BLANK: &str =
    "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7";

pub(crate) fn pixel(url: &str) -> String {
    format!("<img src=\"{url}\" width=\"1\" height=\"1\" alt=\"\">")
}

/// A letter in text and HTML; the HTML ends with these lines.
pub(crate) fn letter(html: &[&str]) -> Vec<u8> {
    letter_with("", html)
}

/// The same, with further lines in its header.
pub(crate) fn letter_with(header: &str, html: &[&str]) -> Vec<u8> {
    format!(
        "From: The Press <letter@press.example>\r\nTo: <{NADIA}>\r\nSubject: The week\r\nMessage-ID: <issue-4711@press.example>\r\n\
         List-Unsubscribe: <{LEAVE}>, <mailto:leave@press.example>\r\n{header}MIME-Version: 1.0\r\n\
         Content-Type: multipart/alternative; boundary=\"week\"\r\n\r\n\
         --week\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nBread is dear.\r\n\
         --week\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html><body>\r\n<p>Bread is dear.</p>\r\n{}\r\n</body></html>\r\n\
         --week--\r\n",
        html.join("\r\n")
    )
    .into_bytes()
}

/// An issue with the publisher's pixel and the link that ends the tracking.
pub(crate) fn issue() -> Vec<u8> {
    letter(&[STOP, &pixel(OPEN)])
}

/// What a letter is once these pixels are out of it: an empty picture in the place of each, the page as it was. The length
/// stays the same modulo 3, so that no base64 would have to move.
pub(crate) fn without(letter: &[u8], urls: &[&str]) -> Vec<u8> {
    let mut text = String::from_utf8(letter.to_vec()).expect("ASCII");
    for url in urls {
        let gap = 1 + (url.len() + 3 * BLANK.len() - BLANK.len()) % 3;
        let with = format!("<img{}src=\"{BLANK}\"", " ".repeat(gap));
        let before = format!("<img src=\"{url}\"");
        assert!(text.contains(&before), "{url} stood there");
        text = text.replace(&before, &with);
    }
    text.into_bytes()
}

/// Every one of them, one letter each.
#[test]
fn what_is_taken_out_is_out() {
    let letter = letter(&[STOP, &pixel(OPEN), &pixel(AD)]);
    let left = String::from_utf8(without(&letter, &[AD])).expect("ASCII");
    assert!(left.contains(OPEN) && !left.contains(AD));
    assert_eq!(letter.len() % 3, left.len() % 3);
}
