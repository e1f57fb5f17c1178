//! What clients send: letters with two trackers for people with four kinds of consent, plain letters, attempts to smuggle; and
//! whose letter a copy is, octet for octet.

use crate::dice::Dice;

/// Who consented to what: to the first tracker's purpose (bit 0), to the second's (bit 1).
pub(crate) const PEOPLE: [(&str, u8); 10] = [
    ("nobody.knows@none.example", 0),
    ("nils@none.example", 0),
    ("nora@none.example", 0),
    ("anna@one.example", 1),
    ("arno@one.example", 1),
    ("bert@two.example", 2),
    ("bea@two.example", 2),
    ("cleo@both.example", 3),
    ("carl@both.example", 3),
    ("o'dd+tag=x@both.example", 3),
];

pub(crate) fn consent_of(address: &str) -> Option<u8> {
    PEOPLE
        .iter()
        .find(|(person, _)| *person == address)
        .map(|(_, consent)| *consent)
}

/// A message as its client means it.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub(crate) octets: Vec<u8>,
    /// `before, tracker, between, tracker, behind`; none where it has no trackers.
    parts: Option<[Vec<u8>; 5]>,
}

/// What no relay may take: its octets as they go over the wire, the dot included.
#[derive(Debug, Clone)]
pub(crate) struct Smuggler {
    pub(crate) wire: Vec<u8>,
}

/// The field by which a copy is known again.
const MARK: &str = "X-Simulation: ";

/// Ends of data that are none, and others' idea of a line end.
const FALSE_ENDS: [&[u8]; 14] = [
    b"\n.\n",
    b"\n.\r\n",
    b"\r\n.\n",
    b"\r.\r",
    b"\r.\r\n",
    b"\r\n.\r",
    b"\r\r\n.\r\r\n",
    b"\n\n.\n\n",
    b"\r\n\n.\r\n",
    b"\n\r.\r\n",
    b"\r\n\0.\r\n",
    b"\r\n.\0\r\n",
    b"\r\n.\n\r\n",
    b"\0",
];

/// A sender that nobody has: who sees it saw a smuggled message.
pub(crate) const EVIL: &str = "evil@smuggled.example";

fn header(number: usize, sender: &str) -> String {
    format!(
        "{MARK}{number}\r\nFrom: The Crumb <{sender}>\r\nTo: everybody:;\r\nSubject: simulated {number}\r\n\
         Message-ID: <{number}@news.example.com>\r\nDate: Sun, 22 Nov 2026 08:00:00 +0100\r\nMIME-Version: 1.0\r\n"
    )
}

/// Lines that a relay may trip over: dots, none, long ones, 8-bit ones, commands.
fn lines(dice: &mut Dice, most: usize) -> Vec<u8> {
    let mut octets = Vec::new();
    for _ in 0..dice.below(most) {
        match dice.below(10) {
            0 => octets.extend_from_slice(b"."),
            1 => octets.extend_from_slice(b".."),
            2 => octets.extend_from_slice(b".QUIT"),
            3 => {}
            4 => octets.extend_from_slice(b"MAIL FROM:<x@y.example>"),
            5 => octets.extend_from_slice("gr\u{fc}\u{df}e".as_bytes()),
            6 => octets.extend(std::iter::repeat_n(b'x', dice.below(3000))),
            7 => octets.extend_from_slice(b". \t"),
            _ => octets.extend_from_slice(format!("line {}", dice.next()).as_bytes()),
        }
        octets.extend_from_slice(b"\r\n");
    }
    octets
}

impl Letter {
    /// Letter `number` of a run.
    pub(crate) fn new(dice: &mut Dice, number: usize, sender: &str) -> Self {
        let most = match dice.below(12) {
            0 => 1500,
            _ => 12,
        };
        if dice.chance(20) {
            let mut octets = header(number, sender).into_bytes();
            octets.extend_from_slice(b"Content-Type: text/plain; charset=utf-8\r\n\r\n");
            octets.extend(lines(dice, most));
            return Self {
                octets,
                parts: None,
            };
        }
        let tracker = |host: &str, token: u64| {
            format!("<img src=\"https://{host}.track.example/open?u={number}x{token:x}\" width=\"1\" height=\"1\" alt=\"\">").into_bytes()
        };
        let mut before = header(number, sender).into_bytes();
        before.extend_from_slice(
            b"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n<html><body>\r\n",
        );
        before.extend(lines(dice, most));
        let between = [&b"\r\n<p>"[..], number.to_string().as_bytes(), b"</p>\r\n"].concat();
        let mut behind = b"\r\n".to_vec();
        behind.extend(lines(dice, 6));
        behind.extend_from_slice(b"</body></html>\r\n");
        let (first, second) = (tracker("a", dice.next()), tracker("b", dice.next()));
        let parts = [before, first, between, second, behind];
        Self {
            octets: parts.concat(),
            parts: Some(parts),
        }
    }

    /// Which trackers a copy of this letter still has; `None` where it is not one. A letter without trackers has none to lose.
    pub(crate) fn kept_in(&self, copy: &[u8]) -> Option<u8> {
        let Some([before, first, between, second, behind]) = &self.parts else {
            return (copy == self.octets).then_some(0);
        };
        let inner = copy.strip_prefix(&before[..])?.strip_suffix(&behind[..])?;
        let at = find(inner, between)?;
        let (one, two) = (&inner[..at], &inner[at + between.len()..]);
        // What takes a tracker's place loads nothing and is not longer than it.
        let kept = |now: &[u8], was: &[u8]| match now == was {
            true => Some(1),
            false => {
                (now.len() <= was.len() + 64 && find(now, b"track.example").is_none()).then_some(0)
            }
        };
        Some(kept(one, first)? | kept(two, second)? << 1)
    }

    /// Whether it has trackers.
    pub(crate) fn tracks(&self) -> bool {
        self.parts.is_some()
    }

    /// Stuffed, with its dot.
    pub(crate) fn on_the_wire(&self) -> Vec<u8> {
        let mut wire = Vec::new();
        for line in self.octets.split_inclusive(|octet| *octet == b'\n') {
            if line.starts_with(b".") {
                wire.push(b'.');
            }
            wire.extend_from_slice(line);
        }
        wire.extend_from_slice(b".\r\n");
        wire
    }
}

impl Smuggler {
    pub(crate) fn new(dice: &mut Dice, number: usize, sender: &str) -> Self {
        let mut wire = header(number, sender).into_bytes();
        wire.extend_from_slice(b"\r\nhello");
        wire.extend_from_slice(dice.pick(&FALSE_ENDS));
        wire.extend_from_slice(
            format!("MAIL FROM:<{EVIL}>\r\nRCPT TO:<anna@one.example>\r\nDATA\r\n{MARK}666\r\n\r\nevil\r\n")
                .as_bytes(),
        );
        wire.extend_from_slice(b".\r\n");
        Self { wire }
    }
}

/// The number in the mark of a message.
pub(crate) fn number_of(message: &[u8]) -> Option<usize> {
    let at = find(message, format!("\r\n{MARK}").as_bytes())? + 2 + MARK.len();
    let digits: Vec<u8> = message[at..]
        .iter()
        .copied()
        .take_while(u8::is_ascii_digit)
        .collect();
    String::from_utf8(digits).ok()?.parse().ok()
}

/// A copy without the one field that is ours to add; `None` where it has none on top.
pub(crate) fn without_received(copy: &[u8]) -> Option<&[u8]> {
    if !copy.starts_with(b"Received: ") {
        return None;
    }
    let mut end = 0;
    for line in copy.split_inclusive(|octet| *octet == b'\n') {
        if end > 0 && !line.starts_with(b"\t") && !line.starts_with(b" ") {
            break;
        }
        end += line.len();
    }
    Some(&copy[end..])
}

pub(crate) fn find(octets: &[u8], needle: &[u8]) -> Option<usize> {
    octets
        .windows(needle.len())
        .position(|window| window == needle)
}
