use super::*;

const MESSAGE: &[u8] =
    b"Subject: a\r\n b\r\nX-Empty:\r\njunk line\r\nfrom : x\r\n\tlast\r\n\r\nbody: y\r\n";

fn read(message: &[u8]) -> Vec<(String, String)> {
    fields(message, 0..message.len())
        .map(|field| {
            (
                readable(field.name_octets(message)),
                field.value_text(message),
            )
        })
        .collect()
}

#[test]
fn names_values_and_the_end() {
    let expected = [("Subject", "a b"), ("X-Empty", ""), ("from", "x\tlast")];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(read(MESSAGE), expected);
    assert_eq!(end_of_header(MESSAGE), MESSAGE.len() - b"body: y\r\n".len());
    assert_eq!(end_of_header(b"Subject: x\r\n"), 12);
    assert_eq!(end_of_header(b""), 0);
    assert_eq!(end_of_header(b"\r\nx"), 2);
}

#[test]
fn cutting_a_field_leaves_the_others_whole() {
    let field = fields(MESSAGE, 0..MESSAGE.len()).next().unwrap();
    assert_eq!(&MESSAGE[field.whole], b"Subject: a\r\n b\r\n");
    assert_eq!(&MESSAGE[field.value], b" a\r\n b");
}

#[test]
fn lines_that_are_no_fields() {
    for line in [
        b"no colon\r\n".as_slice(),
        b": no name\r\n",
        b" starts with a blank\r\n",
        b"\xc3\xa9: x\r\n",
        b"two words: x\r\n",
    ] {
        assert_eq!(
            next_entry(line, 0, line.len()),
            Some(Entry::Junk(0..line.len())),
            "{}",
            line.escape_ascii()
        );
    }
    let blanks = b"A: x\r\n \t\r\n y\r\n";
    assert!(matches!(
        next_entry(blanks, 0, blanks.len()),
        Some(Entry::Field(_, Some(10)))
    ));
}

#[test]
fn octets_that_are_no_text_are_shown_and_kept() {
    let message = b"Subject: \xff\xfea\r\n";
    assert_eq!(read(message)[0].1, "\u{fffd}\u{fffd}a");
}
