//! What kind of mail a stream carries, in the law's words.
//!
//! The operator says it; nothing here looks at a message. Kinds differ in which exemption may apply (D4 to D6) and in
//! what happens to a message that cannot be inspected (DESIGN 4).

use super::words::words;

words! {
    /// The kind of a stream.
    StreamKind, "stream kind", {
        /// Codes, password resets, sign-in notices (D4).
        Authentication = "authentication",
        /// Mail tied to a service the recipient asked for (F10).
        Requested = "requested",
        /// Marketing mail.
        Marketing = "marketing",
        /// Mail nobody asked for; no hygiene exemption (D6).
        Prospecting = "prospecting",
        /// Mail that asks for consent and therefore tracks nobody (D9).
        ConsentRequest = "consent_request",
    }
}
