//! One mail transaction (RFC 5321 3.3): the reverse-path buffer and the forward-path buffer.

use serde::{Deserialize, Serialize};

use super::parameter::Parameters;
use super::path::{ForwardPath, ReversePath};

/// An accepted MAIL command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// Who gets bounces.
    pub reverse_path: ReversePath,
    /// SIZE, BODY, SMTPUTF8, RET, ENVID, AUTH as the client gave them.
    pub parameters: Parameters,
}

/// An accepted RCPT command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rcpt {
    /// Where this copy goes.
    pub forward_path: ForwardPath,
    /// NOTIFY, ORCPT as the client gave them.
    pub parameters: Parameters,
}

/// One transaction: everything between MAIL and the end of data but the data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// The MAIL command.
    pub mail: Mail,
    /// The RCPT commands that were answered 250, in the client's order.
    pub rcpts: Vec<Rcpt>,
}
