use super::*;
use proptest::prelude::*;

const WIDE: DataLimits = DataLimits {
    message_octets: 1 << 20,
    line_octets: 1 << 16,
    header_octets: 1 << 16,
};

type Outcome = (usize, Result<Vec<u8>, Violation>);

/// Pushes `input` in chunks that end at `cuts`; the octets consumed and what came of it.
fn read(limits: DataLimits, input: &[u8], cuts: &[usize]) -> Option<Outcome> {
    let mut reader = DataReader::new(limits);
    let mut message = Vec::new();
    let mut at = 0;
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (input.len() + 1)).collect();
    ends.push(input.len());
    ends.sort_unstable();
    for end in ends {
        while at < end {
            let (consumed, outcome) = reader.push(&input[at..end], &mut message);
            at += consumed;
            if let Some(outcome) = outcome {
                return Some((at, outcome.map(|()| message)));
            }
        }
    }
    None
}

/// The specification in its slowest form: where the end is, by looking at the octets before it.
fn model(input: &[u8]) -> Option<Outcome> {
    let mut framed = b"\r\n".to_vec();
    framed.extend_from_slice(input);
    let end = memchr::memmem::find(&framed, b"\r\n.\r\n")?;
    let content = &framed[2..(end + 2).max(2)];
    let mut first = None;
    for (index, octet) in content.iter().enumerate() {
        let violation = match octet {
            0 => Violation::Nul,
            b'\r' if content.get(index + 1) != Some(&b'\n') => Violation::BareCr,
            b'\n' if index == 0 || content[index - 1] != b'\r' => Violation::BareLf,
            _ => continue,
        };
        first = first.or(Some(violation));
    }
    let mut message = Vec::new();
    let mut line_start = true;
    for (index, octet) in content.iter().enumerate() {
        if !(line_start && *octet == b'.') {
            message.push(*octet);
        }
        line_start = content[..=index].ends_with(b"\r\n");
    }
    Some((end + 3, first.map_or(Ok(message), Err)))
}

fn ends_with(input: &[u8], message: &[u8]) {
    for cut in 0..=input.len() {
        assert_eq!(
            read(WIDE, input, &[cut]),
            Some((input.len(), Ok(message.to_vec()))),
            "{input:?} cut at {cut}"
        );
    }
}

#[test]
fn a_dot_at_once_is_an_empty_message() {
    ends_with(b".\r\n", b"");
}

#[test]
fn dots_are_unstuffed_at_every_line_start_and_nowhere_else() {
    ends_with(b"..a\r\n.\r\n", b".a\r\n");
    ends_with(b"...\r\na.b.\r\n..\r\n.\r\n", b"..\r\na.b.\r\n.\r\n");
    ends_with(b".a\r\n.\r\n", b"a\r\n");
    ends_with(b"\r\n\r\n.\r\n", b"\r\n\r\n");
}

#[test]
fn what_follows_the_end_is_left_alone() {
    for cut in 0..20 {
        assert_eq!(
            read(WIDE, b"a\r\n.\r\nMAIL FROM:<>\r\n", &[cut]),
            Some((6, Ok(b"a\r\n".to_vec())))
        );
    }
}

/// faults.md 2.1: everything that somebody, somewhere, took for the end of data.
#[test]
fn no_smuggled_end_is_an_end_at_any_split() {
    let ends: [(&[u8], Violation); 19] = [
        (b"\n\n.\n\n", Violation::BareLf),
        (b"\n\0.\n", Violation::BareLf),
        (b"\r\r.\r\r", Violation::BareCr),
        (b"\r\n\r.\r\n", Violation::BareCr),
        (b"\n.\n", Violation::BareLf),
        (b"\n.\r\n", Violation::BareLf),
        (b"\r\n.\n", Violation::BareLf),
        (b"\r.\r", Violation::BareCr),
        (b"\r.\r\n", Violation::BareCr),
        (b"\r\n.\r", Violation::BareCr),
        (b"\n.\r", Violation::BareLf),
        (b"\r.\n", Violation::BareCr),
        (b"\r\r\n.\r\r\n", Violation::BareCr),
        (b"\r\n.\r\r\n", Violation::BareCr),
        (b"\r\r\n.\r\n\r", Violation::BareCr),
        (b"\r\n\0.\r\n", Violation::Nul),
        (b"\r\n.\0\r\n", Violation::Nul),
        (b"\0\r\n.\r\0\n", Violation::Nul),
        (b"\r\0\n.\r\n", Violation::BareCr),
    ];
    for (end, violation) in ends {
        let mut input = b"Subject: a\r\n\r\nbody".to_vec();
        input.extend_from_slice(end);
        input.extend_from_slice(b"MAIL FROM:<evil@example.org>\r\n.\r\n");
        let truth = model(&input);
        for first in 0..=input.len() {
            for second in first..=input.len() {
                let outcome = read(WIDE, &input, &[first, second]);
                assert_eq!(outcome, truth, "{end:?} at {first}, {second}");
            }
        }
        if end != b"\r\r\n.\r\n\r" {
            assert_eq!(truth, Some((input.len(), Err(violation))), "{end:?}");
        }
    }
}

#[test]
fn other_octets_around_the_dot_are_content() {
    for octet in [b' ', b'\t', 0x0c, 0x0b, 0x85, 0x8d, 0x8a, 0xff, 0x1a] {
        let mut input = b"a\r\n.".to_vec();
        input.extend_from_slice(&[octet, b'\r', b'\n']);
        input.extend_from_slice(b".\r\n");
        let message = [b"a\r\n", &[octet][..], b"\r\n"].concat();
        ends_with(&input, &message);
    }
    // What a seven-bit reader would take for line ends, and what Unicode calls them.
    for end in [
        &b"\x8d\x8a"[..],
        b"\x8a",
        b"\x8d",
        b"\xc2\x85",
        b"\xe2\x80\xa8",
    ] {
        let content = [b"a", end, b".", end, b"QUIT", end].concat();
        ends_with(
            &[&content, &b"\r\n.\r\n"[..]].concat(),
            &[&content, &b"\r\n"[..]].concat(),
        );
    }
}

/// In chunks nothing ends the data, and a bare line end is one wherever the chunks are cut.
#[test]
fn in_chunks_every_smuggled_end_is_refused_at_any_split() {
    for (end, violation) in [
        (&b"\n.\n"[..], Violation::BareLf),
        (b"\n.\r\n", Violation::BareLf),
        (b"\r\n.\n", Violation::BareLf),
        (b"\r.\r", Violation::BareCr),
        (b"\r\n.\r", Violation::BareCr),
        (b"\r\r\n.\r\r\n", Violation::BareCr),
        (b"\r\n.\r\r\n", Violation::BareCr),
        (b"\r\n\0.\r\n", Violation::Nul),
        (b"\r\0\n.\r\n", Violation::BareCr),
    ] {
        let octets = [b"a", end, b"MAIL FROM:<>"].concat();
        for first in 0..=octets.len() {
            for second in first..=octets.len() {
                let chunks = [&octets[..first], &octets[first..second], &octets[second..]];
                let read = chunked(&chunks, BareNewlines::Refuse);
                assert_eq!(read, Err(violation), "{end:?} at {first}, {second}");
            }
        }
    }
}

#[test]
fn without_an_end_there_is_no_message() {
    for input in [
        &b"a\r\n"[..],
        b"a\r\n.",
        b"a\r\n.\r",
        b"a.\r\n",
        b"\r\n..\r\n",
    ] {
        assert_eq!(read(WIDE, input, &[]), None);
    }
}

#[test]
fn limits_hold_at_their_octet_and_are_told_after_the_end() {
    let limits = DataLimits {
        message_octets: 40,
        line_octets: 10,
        header_octets: 20,
    };
    let good = b"0123456789\r\n012345\r\n\r\n0123456789\r\n0\r\n.\r\n";
    assert!(matches!(read(limits, good, &[]), Some((_, Ok(message))) if message.len() == 37));
    for (input, violation) in [
        (&b"0123456789a\r\n.\r\n"[..], Violation::LineTooLong(10)),
        (b"\r\n............\r\n.\r\n", Violation::LineTooLong(10)),
        (
            b"0123456789\r\n0123456\r\n\r\n.\r\n",
            Violation::HeaderTooLarge(20),
        ),
        (
            b"\r\n0123456789\r\n0123456789\r\n0123456789\r\n01\r\n.\r\n",
            Violation::TooLarge(40),
        ),
        (
            b"\r\n0123456789\r\n0123456789\r\n0123456789\r\n0\r\n.\r\n",
            Violation::TooLarge(40),
        ),
        (b"0123456789a\n\r\n.\r\n", Violation::LineTooLong(10)),
        (b"a\n0123456789a\r\n.\r\n", Violation::BareLf),
    ] {
        for cut in 0..=input.len() {
            assert_eq!(
                read(limits, input, &[cut]),
                Some((input.len(), Err(violation))),
                "{input:?} cut at {cut}"
            );
        }
    }
    // The dot that was stuffed is not of the line.
    let dots = b"\r\n...........\r\n.\r\n";
    assert!(matches!(read(limits, dots, &[]), Some((_, Ok(message))) if message.len() == 14));
}

#[test]
fn a_refused_message_is_not_kept_and_not_read_for_ever() {
    let limits = DataLimits {
        message_octets: 1000,
        ..WIDE
    };
    let mut reader = DataReader::new(limits);
    let line = [b'x'; 4096];
    let (mut total, mut out) = (0, Vec::new());
    let violation = loop {
        let (consumed, outcome) = reader.push(&line, &mut out);
        total += consumed;
        assert!(out.is_empty());
        assert!(total < 2 << 20, "never gave up");
        if let Some(outcome) = outcome {
            break outcome.unwrap_err();
        }
    };
    assert!(!violation.end_was_seen());
    assert_eq!(violation, Violation::Endless(1000));
    assert!(Violation::TooLarge(1000).end_was_seen());
}

#[test]
fn refused_from_outside_it_is_still_read_to_its_end() {
    let mut reader = DataReader::new(WIDE);
    let mut out = Vec::new();
    assert_eq!(reader.push(b"a\r\n", &mut out), (3, None));
    assert_eq!(out, b"a\r\n");
    reader.refuse(Violation::Memory(7));
    assert_eq!(
        reader.push(b"b\n\r\n.\r\nQUIT\r\n", &mut out),
        (7, Some(Err(Violation::Memory(7))))
    );
    assert_eq!(out, b"a\r\n");
}

/// Octets that make lines, dots and mistakes likely.
fn wire() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => Just(b"\r\n".to_vec()),
        2 => Just(b".".to_vec()),
        2 => Just(b"\r\n.\r\n".to_vec()),
        1 => Just(b"\r".to_vec()),
        1 => Just(b"\n".to_vec()),
        1 => Just(vec![0]),
        4 => proptest::collection::vec(any::<u8>(), 0..9),
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn agrees_with_the_model_in_any_chunks(input in wire(), cuts in proptest::collection::vec(any::<usize>(), 0..8)) {
        prop_assert_eq!(read(WIDE, &input, &cuts), model(&input));
    }

    #[test]
    fn limits_do_not_depend_on_chunks(
        input in wire(), cuts in proptest::collection::vec(any::<usize>(), 0..8),
        message_octets in 0usize..60, line_octets in 0usize..20, header_octets in 0usize..40,
    ) {
        let limits = DataLimits { message_octets, line_octets, header_octets };
        let every: Vec<usize> = (0..input.len()).collect();
        let whole = read(limits, &input, &[]);
        prop_assert_eq!(&read(limits, &input, &cuts), &whole);
        prop_assert_eq!(&read(limits, &input, &every), &whole);
        if let Some((_, Ok(message))) = whole {
            prop_assert!(message.len() <= message_octets);
            prop_assert!(message.split(|octet| *octet == b'\n').all(|line| line.len() <= line_octets + 1));
        }
    }
}

/// Reads with bare LFs normalised, in chunks that end at `cut`.
fn normalized(input: &[u8], cut: usize) -> Option<Outcome> {
    let mut reader = DataReader::new(WIDE).with_newlines(BareNewlines::Normalize);
    let (mut at, mut message) = (0, Vec::new());
    for end in [cut, input.len()] {
        while at < end {
            let (consumed, outcome) = reader.push(&input[at..end], &mut message);
            at += consumed;
            if let Some(outcome) = outcome {
                return Some((at, outcome.map(|()| message)));
            }
        }
    }
    None
}

#[test]
fn a_normalised_lf_ends_a_line_and_never_the_data() {
    for (input, message) in [
        (&b"a\nb\r\n.\r\n"[..], &b"a\r\nb\r\n"[..]),
        (b"a\n.\nb\r\n.\r\n", b"a\r\n.\r\nb\r\n"),
        (
            b"a\n.\r\nMAIL FROM:<x>\r\n.\r\n",
            b"a\r\n.\r\nMAIL FROM:<x>\r\n",
        ),
        (b"a\r\n.\nb\r\n.\r\n", b"a\r\n.\r\nb\r\n"),
        (b".\nb\r\n.\r\n", b".\r\nb\r\n"),
        (b"a\n..b\n\r\n.\r\n", b"a\r\n.b\r\n\r\n"),
        (b"\n\n\r\n.\r\n", b"\r\n\r\n\r\n"),
    ] {
        for cut in 0..=input.len() {
            assert_eq!(
                normalized(input, cut),
                Some((input.len(), Ok(message.to_vec()))),
                "{input:?} cut at {cut}"
            );
        }
    }
    for (input, violation) in [
        (&b"a\rb\r\n.\r\n"[..], Violation::BareCr),
        (b"a\r\r\n.\r\r\n\r\n.\r\n", Violation::BareCr),
        (b"a\n.\r.\r\n\r\n.\r\n", Violation::BareCr),
        (b"a\0\n\r\n.\r\n", Violation::Nul),
    ] {
        for cut in 0..=input.len() {
            assert_eq!(
                normalized(input, cut),
                Some((input.len(), Err(violation))),
                "{input:?} cut at {cut}"
            );
        }
    }
    assert_eq!(normalized(b"a\n.\n", 1), None);
    assert_eq!(normalized(b"a\n.\r\n", 2), None);
}

/// Chunks, as BDAT brings them.
fn chunked(chunks: &[&[u8]], newlines: BareNewlines) -> Result<Vec<u8>, Violation> {
    let mut reader = DataReader::chunked(WIDE).with_newlines(newlines);
    let mut message = Vec::new();
    for chunk in chunks {
        let (consumed, outcome) = reader.push(chunk, &mut message);
        assert_eq!((consumed, outcome), (chunk.len(), None));
    }
    reader.end(&mut message).map(|()| message)
}

#[test]
fn in_chunks_no_dot_means_anything_and_line_ends_are_as_strict() {
    let octets = b"..a\r\n.\r\nQUIT\r\n.b\r\n\r\n.\r\n";
    for cut in 0..=octets.len() {
        let (one, two) = octets.split_at(cut);
        assert_eq!(
            chunked(&[one, two], BareNewlines::Refuse),
            Ok(octets.to_vec()),
            "cut at {cut}"
        );
    }
    assert_eq!(
        chunked(&[b"a"], BareNewlines::Refuse),
        Ok(b"a\r\n".to_vec())
    );
    assert_eq!(
        chunked(&[b"."], BareNewlines::Refuse),
        Ok(b".\r\n".to_vec())
    );
    assert_eq!(chunked(&[], BareNewlines::Refuse), Ok(Vec::new()));
    for (octets, violation) in [
        (&b"a\r"[..], Violation::BareCr),
        (b"a\rb", Violation::BareCr),
        (b"a\nb", Violation::BareLf),
        (b"a\0b", Violation::Nul),
    ] {
        for cut in 0..=octets.len() {
            let (one, two) = octets.split_at(cut);
            let read = chunked(&[one, two], BareNewlines::Refuse);
            assert_eq!(read, Err(violation), "{octets:?} cut at {cut}");
        }
    }
    assert_eq!(
        chunked(&[b"a\n", b".\nb"], BareNewlines::Normalize),
        Ok(b"a\r\n.\r\nb\r\n".to_vec())
    );
}
