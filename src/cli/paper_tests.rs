use super::*;

#[test]
fn numbers_are_read_in_thousands() {
    let shown = [0, 7, 999, 1_000, 12_345, 1_234_567].map(number);
    assert_eq!(shown, ["0", "7", "999", "1,000", "12,345", "1,234,567"]);
    assert_eq!(counted(1, "message", "messages"), "1 message");
    assert_eq!(counted(1_000, "message", "messages"), "1,000 messages");
}

#[test]
fn lines_fit_the_page() {
    let mut text = String::new();
    wrap(&mut text, &"word ".repeat(60), "- ", "  ");
    assert!(
        text.lines().all(|line| line.chars().count() <= WIDTH),
        "{text}"
    );
    assert!(text.lines().skip(1).all(|line| line.starts_with("  word")));
    let mut text = String::new();
    let long = "x".repeat(120);
    wrap(&mut text, &format!("a {long} b"), "", "");
    assert_eq!(text, format!("a\n{long}\nb\n"), "a long word is not cut");
}

#[test]
fn a_table_has_its_numbers_on_the_right() {
    let mut paper = Paper::default();
    let row = |a: &str, b: &str| vec![a.to_owned(), b.to_owned()];
    paper.table(
        &["reason", "trackers"],
        vec![row("a|b", "1,234"), row("c", "7")],
    );
    let text = "reason  trackers\n------  --------\na|b        1,234\nc              7\n";
    assert_eq!(paper.written(Look::Text), text);
    let markdown = "| reason | trackers |\n| --- | ---: |\n| a\\|b | 1,234 |\n| c | 7 |\n";
    assert_eq!(paper.written(Look::Markdown), markdown);
}

/// A name of the operator's is text, not Markdown.
#[test]
fn a_text_cannot_change_the_paper_around_it() {
    let mut paper = Paper::default();
    paper.list(["Ada\n# no title <b>".to_owned()]);
    assert_eq!(
        paper.written(Look::Markdown),
        "- Ada \\# no title \\<b\\>\n"
    );
}
