//! Whatever stands in an envelope of the spool: what can be read is written as what reads the same, its name stays within its
//! directory, and no path of it could become a second command.

use pixelgate::smtp::reply::Reply;
use pixelgate::spool::Envelope;

/// Holds for every input.
pub(crate) fn hold(input: &[u8]) {
    let Ok(envelope) = serde_json::from_slice::<Envelope>(input) else {
        return;
    };
    let written = serde_json::to_vec(&envelope).expect("it can be written");
    let again: Envelope = serde_json::from_slice(&written).expect("what we write can be read");
    assert_eq!(again, envelope);
    assert_eq!(
        serde_json::to_vec(&again).expect("it can be written"),
        written
    );
    let name = envelope.id.as_str();
    assert!(!name.is_empty() && !name.contains(['/', '.', '\0']));
    let clean = |path: &str| assert!(!path.chars().any(char::is_control), "{path:?}");
    clean(envelope.mail().reverse_path.as_str());
    for recipient in &envelope.recipients {
        clean(recipient.rcpt().forward_path.as_str());
        assert!(!recipient.forward_path.as_str().is_empty());
        if let Some(kept) = &recipient.last_reply {
            for line in Reply::from(kept).to_wire().split_terminator("\r\n") {
                clean(line);
            }
        }
    }
}
