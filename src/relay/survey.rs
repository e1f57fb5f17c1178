//! Where is HTML in this message, and what would load from it? (DESIGN 2 "survey")
//!
//! Takes octets, gives findings with their places; no recipient, no consent, no verdict about what may stay. What no
//! reading can see through is recorded as blind, never skipped in silence.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::consent::reason::Reason;
use crate::mime;
use crate::pixel;
