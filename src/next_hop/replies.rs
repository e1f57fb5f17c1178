//! Every text about a next hop that a client of ours may read and that is not the next hop's own.
//!
//! All are 4xx but those about SMTPUTF8 and about a command that cannot be written: nothing that is between us and
//! the next hop may bounce a mail. No text carries the next hop's words, address or reply: those are for the log.

use crate::smtp::reply::Reply;

/// 451 4.4.1: it could not be reached.
pub(super) fn not_reached() -> Reply {
    Reply::new(451, ["4.4.1 next hop not reached, try again later"])
}

/// 451 4.4.2: the connection ended or fell silent before the message was given.
pub(super) fn connection_lost() -> Reply {
    Reply::new(
        451,
        ["4.4.2 connection to the next hop lost, try again later"],
    )
}

/// 451 4.4.2: the message was given and nothing was heard of it.
pub(super) fn no_answer_to_dot() -> Reply {
    Reply::new(
        451,
        ["4.4.2 the next hop has not confirmed the message, try again later"],
    )
}

/// 451 4.4.7: too little time was left to give the message.
pub(super) fn no_time_for_dot() -> Reply {
    Reply::new(
        451,
        ["4.4.7 no time left to deliver the message (dot_time_seconds), try again later"],
    )
}

/// 451 4.4.5: `max_connections` are in use.
pub(super) fn all_connections_busy() -> Reply {
    Reply::new(
        451,
        ["4.4.5 all connections to the next hop are busy (max_connections), try again later"],
    )
}

/// 451 4.4.6: it is one of us.
pub(super) fn loop_found() -> Reply {
    Reply::new(451, ["4.4.6 next hop would be a loop, try again later"])
}

/// 451 4.4.0: it answered, about us and not about the mail. Only the code is told.
pub(super) fn about_us(reply: &Reply) -> Reply {
    Reply::new(
        451,
        [format!(
            "4.4.0 next hop does not serve us at the moment (it said {}), try again later",
            reply.code()
        )],
    )
}

/// Whether a reply is what we say in the place of a verdict that never came: the way failed, or the answer was about us.
pub fn is_about_the_way(reply: &Reply) -> bool {
    let said = reply.text();
    let about_us = about_us(reply).text();
    let same = about_us.split_once('(').zip(said.split_once('('));
    reply.code() == 451
        && (*reply == not_reached()
            || *reply == connection_lost()
            || same.is_some_and(|((ours, _), (theirs, _))| ours == theirs))
}

/// 451 4.3.0: our own file system failed a `maildir:` next hop.
pub(super) fn maildir_failed() -> Reply {
    Reply::new(451, ["4.3.0 message not stored, try again later"])
}

/// 550 5.6.7: RFC 6531 3.2, the envelope or the header needs SMTPUTF8 and the next hop has none.
pub(super) fn needs_smtputf8() -> Reply {
    Reply::new(550, ["5.6.7 next hop does not support SMTPUTF8"])
}

/// 451: the next hop whose turn it is cannot carry the mail, and another one can: it is tried again, not given up.
pub(super) fn not_this_one(enhanced: &str, extension: &str) -> Reply {
    let text =
        format!("{enhanced} the next hop in use now does not support {extension}, try again later");
    Reply::new(451, [text])
}

/// 550 5.7.30: RFC 8689 4.2.1.
pub(super) fn needs_requiretls() -> Reply {
    Reply::new(550, ["5.7.30 REQUIRETLS support required"])
}

/// 554 5.5.4: a path or a value holds what no command line may hold. The session refuses such input, so it comes from
/// a spool file that was changed.
pub(super) fn not_writable() -> Reply {
    Reply::new(554, ["5.5.4 envelope cannot be written as a command"])
}

/// 555 5.5.4: a parameter we do not forward.
pub(super) fn unknown_parameter() -> Reply {
    Reply::new(555, ["5.5.4 parameter not supported"])
}
