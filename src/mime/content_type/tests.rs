use super::*;

fn tokens(value: &str) -> Vec<String> {
    read(value.as_bytes()).tokens
}

fn boundaries(value: &str) -> Vec<String> {
    let value = read(value.as_bytes());
    value
        .parameter("boundary")
        .map(super::super::header::readable)
        .collect()
}

#[test]
fn what_is_in_order_has_one_reading() {
    for value in [
        " multipart/mixed; boundary=\"a b\"; charset=utf-8",
        "multipart/mixed;\r\n\tboundary=abc",
        "Multipart/Mixed;boundary=\"----=_Part_1(2).3\"",
        "multipart/alternative; boundary=_av-1/x'y+z,w?:=v",
        "text/html; charset=\"utf-8\"; format=flowed",
        "text/html",
    ] {
        let read = read(value.as_bytes());
        assert!(!read.disputed && !read.overflows, "{value}: {read:?}");
        assert_eq!(read.tokens.len(), 1, "{value}");
        assert!(read.parameter("boundary").count() <= 1, "{value}");
    }
}

#[test]
fn types() {
    assert_eq!(tokens("TEXT/Html"), ["text/html"]);
    let nested = "text/(a (nested) \\) comment)html ; x";
    assert_eq!(tokens(nested).first().unwrap(), "text/html");
    assert_eq!(tokens("\"text/html\"").first().unwrap(), "text/html");
    assert_eq!(tokens("text/html charset=x").first().unwrap(), "text/html");
    assert_eq!(tokens("(never closed text/html").first().unwrap(), "never");
    assert_eq!(tokens(""), Vec::<String>::new());
    assert_eq!(tokens(" ; charset=x"), Vec::<String>::new());
}

#[test]
fn boundaries_in_all_their_spellings() {
    assert_eq!(boundaries("multipart/mixed; boundary=abc"), ["abc"]);
    assert_eq!(boundaries("multipart/mixed; boundary=\"abc \""), ["abc"]);
    assert_eq!(
        boundaries("multipart/mixed; boundary=abc; boundary=def"),
        ["abc", "def"]
    );
    assert!(
        boundaries("multipart/mixed; boundary*0=ab; boundary*1=\"c\"").contains(&"abc".to_owned())
    );
    assert!(
        boundaries("multipart/mixed; boundary*1*=%63; boundary*0*=us-ascii''a%62")
            .contains(&"abc".to_owned())
    );
    assert!(boundaries("multipart/mixed; boundary*=utf-8'en'a%62c").contains(&"abc".to_owned()));
    assert_eq!(
        boundaries("multipart/mixed; boundary=\"ab\\c\""),
        ["abc", "ab\\c"]
    );
    assert_eq!(
        boundaries("multipart/mixed; boundary=a(b)")[..2],
        ["a(b)", "a"]
    );
    assert_eq!(
        boundaries("multipart/mixed; boundary=a b")[..2],
        ["a", "a b"]
    );
    assert!(boundaries("multipart/mixed; boundary=\"abc; x=y").contains(&"abc".to_owned()));
    assert_eq!(
        boundaries("multipart/mixed boundary=abc charset=x")[0],
        "abc"
    );
    assert_eq!(
        boundaries("multipart/mixed; boundary="),
        Vec::<String>::new()
    );
}

#[test]
fn too_many_readings_are_said_to_be_too_many() {
    let many: String = (0..100)
        .map(|number| format!("; boundary=b{number}"))
        .collect();
    assert!(read(format!("multipart/mixed{many}").as_bytes()).overflows);
    // Parameters nobody asks for do not crowd out the ones that count.
    let others: String = (0..1_000).map(|number| format!("; x{number}=y")).collect();
    assert_eq!(
        boundaries(&format!("multipart/mixed{others}; boundary=abc")),
        ["abc"]
    );
}

#[test]
fn what_only_one_reader_saw_is_disputed() {
    let long = format!("text/html; x={}", "y".repeat(SECOND_READER_OCTETS));
    assert!(read(long.as_bytes()).disputed);
}
