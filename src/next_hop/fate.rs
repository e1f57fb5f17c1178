//! What became of a forward-path's copy, and which replies speak of us rather than of the mail.
//!
//! It must never know what the mail is, nor what the relay makes of a fate. Replies about us (DESIGN 3) are told apart
//! here and nowhere else: they are our operator's business and reach a client only as 451.

use crate::smtp::reply::{Reply, Severity};

use super::replies;

/// What became of one forward-path's copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// The next hop took it: its 2xx.
    Taken(Reply),
    /// It did not, and may later: its 4xx about this mail.
    NotNow(Reply),
    /// It did not, and it is the way that failed, not the mail: no connection, one that was lost or out of time before the
    /// dot, or a reply about us. Carries the 451 we say.
    Down(Reply),
    /// It did not and will not: its 5xx.
    Refused(Reply),
    /// The dot went out and no answer came: the copy may exist. Carries the 451 we say.
    Unknown(Reply),
}

impl Fate {
    /// The reply, the next hop's own or the one we say in its place.
    pub fn reply(&self) -> &Reply {
        match self {
            Self::Taken(reply)
            | Self::NotNow(reply)
            | Self::Down(reply)
            | Self::Refused(reply)
            | Self::Unknown(reply) => reply,
        }
    }

    /// Whether the next hop has the copy.
    pub fn is_taken(&self) -> bool {
        matches!(self, Self::Taken(_))
    }

    /// From a reply to MAIL, RCPT or DATA that leaves the copy undelivered. A 2xx or 3xx there is none of these: the
    /// caller has taken what it allows, and what is left is a misunderstanding to be tried again.
    pub(super) fn undelivered(reply: Reply) -> Self {
        match reply.severity() {
            Severity::Refused if !is_about_us(&reply) => Self::Refused(reply),
            Severity::NotNow if !is_about_us(&reply) => Self::NotNow(reply),
            _ => Self::Down(replies::about_us(&reply)),
        }
    }

    /// From the reply to the dot.
    pub(super) fn of_dot(reply: Reply) -> Self {
        match reply.severity() {
            Severity::Done => Self::Taken(reply),
            // No server may say this here (RFC 5321 4.3.2). What it did with the message cannot be known.
            Severity::GoOn => Self::Unknown(replies::no_answer_to_dot()),
            Severity::NotNow | Severity::Refused => Self::undelivered(reply),
        }
    }
}

/// Whether a reply says that *we* are not served (shutting down, not understood, not authorised), whatever the mail:
/// 421, 500-504, 521, 530-538.
pub(super) fn is_about_us(reply: &Reply) -> bool {
    matches!(reply.code(), 421 | 500..=504 | 521 | 530..=538)
}

/// A reply to MAIL or RCPT as our client may read it: verbatim when it is about this mail, 451 when it is about us or
/// makes no sense there.
pub(super) fn verdict(reply: Reply) -> Reply {
    if is_about_us(&reply) || reply.severity() == Severity::GoOn {
        replies::about_us(&reply)
    } else {
        reply
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_about_us_never_become_a_refusal() {
        for code in [421, 500, 501, 502, 503, 504, 521, 530, 534, 535, 538] {
            let reply = Reply::new(code, ["5.7.0 text"]);
            assert!(is_about_us(&reply), "{code}");
            assert_eq!(verdict(reply.clone()).code(), 451, "{code}");
            assert!(
                matches!(Fate::of_dot(reply), Fate::Down(ref said) if said.code() == 451),
                "{code}"
            );
        }
    }

    #[test]
    fn replies_about_the_mail_pass_verbatim() {
        for code in [
            250, 251, 252, 450, 451, 452, 455, 550, 551, 552, 553, 554, 555, 571,
        ] {
            let reply = Reply::new(code, ["1.2.3 text", "and more"]);
            assert_eq!(verdict(reply.clone()), reply);
            assert_eq!(Fate::of_dot(reply.clone()).reply(), &reply);
        }
    }

    #[test]
    fn each_class_of_dot_reply_has_its_fate() {
        let fate = |code| Fate::of_dot(Reply::new(code, ["x"]));
        assert!(matches!(fate(250), Fate::Taken(_)));
        assert!(matches!(fate(451), Fate::NotNow(_)));
        assert!(matches!(fate(554), Fate::Refused(_)));
        assert!(matches!(fate(354), Fate::Unknown(ref said) if said.code() == 451));
    }

    #[test]
    fn a_yes_where_none_is_due_is_not_a_delivery() {
        let fate = Fate::undelivered(Reply::new(250, ["ok"]));
        assert!(matches!(fate, Fate::Down(ref said) if said.code() == 451));
    }
}
