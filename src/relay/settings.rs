//! What the operator says about mail: streams, their trackers, how findings are enforced, the stops.
//!
//! Plain values with their defaults, filled by `config`. Knows no sockets and no clock; the checks that need a date or
//! another table are `config`'s. On an unknown key the parser refuses the file.

use serde::Deserialize;

use super::speaks::UNASSIGNED;
use crate::consent::purpose::Purpose;
use crate::consent::stream::StreamKind;
use crate::pixel::{IndividualImages, Mode};

/// `[relay]`: how one message with several recipients is treated, and the bounds of that.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Whether recipients with different consent get different bodies.
    pub mixed_consent: MixedConsent,
    /// What becomes of the rejected recipients of a message whose other recipients are served (SMTP listeners).
    pub partial_reject: PartialReject,
    /// What becomes of a message with mixed consent when the spool is full and it cannot be written ahead.
    pub on_spool_full: OnSpoolFull,
    /// What a client is told while no next hop takes mail.
    pub when_next_hop_down: WhenDown,
    /// What to do with a DKIM-Signature of somebody else on a message that is changed.
    pub existing_signature: ExistingSignature,
    /// How long mail that cannot be examined on a `requested` or `authentication` stream is answered 451 before it is
    /// refused, in seconds from the first sight of it.
    pub hold_limit_seconds: u64,
    /// Most parts of one message that are walked.
    pub parts: usize,
    /// Deepest nesting of parts that is walked.
    pub depth: usize,
    /// Largest single HTML token (tag, comment, style sheet) in octets.
    pub token_octets: usize,
    /// Largest decoded HTML part in octets.
    pub html_octets: usize,
    /// Most findings in one message.
    pub findings: usize,
    /// Milliseconds of processor time that may be spent on reading one message and all variants of it.
    pub examine_cpu_ms: u64,
    /// Most `Received:` fields before a message is taken for one that loops (RFC 5321 6.3).
    pub received_fields: usize,
    /// Most `Received:` fields of our own before a message is taken for one that loops.
    pub own_received_fields: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mixed_consent: MixedConsent::Split,
            partial_reject: PartialReject::Dsn,
            on_spool_full: OnSpoolFull::Tempfail,
            when_next_hop_down: WhenDown::Tempfail,
            existing_signature: ExistingSignature::Keep,
            hold_limit_seconds: 4 * 3600,
            parts: 10_000,
            depth: 100,
            token_octets: 1 << 20,
            html_octets: 16 << 20,
            findings: 10_000,
            examine_cpu_ms: 20_000,
            received_fields: 100,
            own_received_fields: 3,
        }
    }
}

/// `mixed_consent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MixedConsent {
    /// One variant per distinct treatment, written ahead to the spool.
    Split,
    /// One body for all, stripped for everybody if for anybody.
    Strictest,
}

/// `partial_reject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartialReject {
    /// The others are served, a failed DSN goes back for the rejected.
    Dsn,
    /// One rejected recipient refuses the whole message.
    RefuseAll,
}

/// `on_spool_full`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnSpoolFull {
    /// 452: the client keeps its mail.
    Tempfail,
    /// One body for all, stripped for everybody if for anybody, in one transaction that needs no spool.
    Strictest,
}

/// `when_next_hop_down`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenDown {
    /// 451: the client keeps its mail.
    Tempfail,
    /// 250 once the message lies in the spool; it goes out when a next hop is back, decided anew.
    Spool,
}

/// `existing_signature`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExistingSignature {
    /// The signature stays and no longer verifies; counted and logged.
    Keep,
    /// The signature is taken off a message that is changed.
    Remove,
    /// A signed message that would have to be changed is refused.
    Refuse,
}

/// `[stops]`: the two ways to stop that stay lawful. There is no "pass all".
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Stops {
    /// Every tracker is stripped, consent or not.
    pub strip_all: bool,
    /// A message that would be changed is answered 451.
    pub hold_edits: bool,
}

/// `[rules]`: detection rules that the operator switches off, by name. A declared exception to promise 1.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RuleSettings {
    /// Names of rules as `check` lists them.
    pub disabled: Vec<String>,
}

/// One `[[stream]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stream {
    /// What the operator calls it; `Pixelgate-Stream` picks by this name.
    pub name: String,
    /// In whose name the mail is sent (GDPR controller); none: in the name of every controller for which the connection may
    /// speak and no other stream does.
    pub controller: Option<String>,
    /// What kind of mail it is.
    pub kind: StreamKind,
    /// Addresses of the listeners whose mail may belong to it; none: every listener.
    #[serde(default)]
    pub listeners: Vec<String>,
    /// Names of logins whose mail may belong to it; none: whoever may send.
    #[serde(default)]
    pub logins: Vec<String>,
    /// Enforce, or look on for a while.
    #[serde(default)]
    pub enforcement: Enforcement,
    /// Whether a kept tracker needs a link by which the recipient can withdraw (D10).
    pub withdrawal_link: Option<WithdrawalLink>,
    /// How much counts as a finding.
    #[serde(default)]
    pub mode: Mode,
    /// What becomes of visible images that are one person's own; by the stream's kind where nothing is said.
    pub individual_images: Option<IndividualImages>,
    /// Images that have to load as they are, by host and how the path begins: tickets, codes, maps.
    #[serde(default)]
    pub functional_images: Vec<String>,
    /// Parameters of image URLs that are a person.
    #[serde(default)]
    pub identity_parameters: Vec<IdentityParameter>,
    /// Endpoints that count opens, by host and how the path begins.
    #[serde(default)]
    pub endpoints: Vec<String>,
    /// Texts of comments behind which a tracker stands.
    #[serde(default)]
    pub markers: Vec<String>,
    /// `[[stream.tracker]]`: what the controller declares about its trackers.
    #[serde(default, rename = "tracker")]
    pub trackers: Vec<Tracker>,
}

/// One of `identity_parameters`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityParameter {
    /// Host, and how the path begins.
    pub at: String,
    /// Its name.
    pub name: String,
}

/// One `[[stream.tracker]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tracker {
    /// Host names: exact, `*.example.com` for everything below, `*` for all.
    pub hosts: Vec<String>,
    /// What the opens are used for; consent to all of them is needed (D3).
    pub purposes: Vec<Purpose>,
    /// Who learns of the opens: `us`, or the partner's name (D19).
    #[serde(default = "us")]
    pub recipient: String,
}

fn us() -> String {
    "us".to_owned()
}

impl Tracker {
    /// Who learns of the opens beside the controller.
    pub fn partner(&self) -> Option<&str> {
        (self.recipient != "us").then_some(self.recipient.as_str())
    }
}

/// `enforcement`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "toml::Value")]
pub enum Enforcement {
    /// The word `enforce`, or nothing said: decisions act.
    #[default]
    Enforce,
    /// `{ shadow_until = DATE, by = "name", share_percent = N }`.
    Shadow(Shadow),
}

/// Report first: everything is decided and recorded, the original goes out, until a day.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shadow {
    /// The last day (UTC) of looking on, at most 31 days ahead.
    #[serde(deserialize_with = "day")]
    pub shadow_until: jiff::civil::Date,
    /// Who decided that.
    pub by: String,
    /// Percent of subjects that are enforced all the same.
    #[serde(default)]
    pub share_percent: u8,
}

impl TryFrom<toml::Value> for Enforcement {
    type Error = String;

    fn try_from(value: toml::Value) -> Result<Self, String> {
        match value {
            toml::Value::String(word) if word == "enforce" => Ok(Self::Enforce),
            table @ toml::Value::Table(_) => table
                .try_into()
                .map(Self::Shadow)
                .map_err(|error| error.message().to_owned()),
            _ => Err("write \"enforce\" or { shadow_until = DATE, by = \"name\" }".to_owned()),
        }
    }
}

/// A TOML date, without quotes.
fn day<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<jiff::civil::Date, D::Error> {
    let text = toml::value::Datetime::deserialize(deserializer)?.to_string();
    text.parse()
        .map_err(|_| serde::de::Error::custom(format!("`{text}` is not a day; write 2026-12-31")))
}

/// `withdrawal_link`.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "toml::Value")]
pub enum WithdrawalLink {
    /// A link in the HTML part starts with this prefix, or nothing is kept.
    Checked(CheckedLink),
    /// The recipient withdraws elsewhere; the operator says where and why.
    Elsewhere(ElsewhereLink),
}

impl TryFrom<toml::Value> for WithdrawalLink {
    type Error = String;

    fn try_from(value: toml::Value) -> Result<Self, String> {
        let said = |error: toml::de::Error| error.message().to_owned();
        let is_checked = value.get("url_prefix").is_some();
        match is_checked {
            true => value.try_into().map(Self::Checked).map_err(said),
            false => value.try_into().map(Self::Elsewhere).map_err(|error| {
                format!("{}; write {{ url_prefix = \"https://…\" }} or {{ elsewhere = \"where and why\" }}", error.message())
            }),
        }
    }
}

/// `withdrawal_link = { url_prefix = "https://…" }`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckedLink {
    /// How the link begins.
    pub url_prefix: String,
}

/// `withdrawal_link = { elsewhere = "reason" }`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ElsewhereLink {
    /// Where the recipient withdraws, and why that suffices.
    pub elsewhere: String,
}

impl Stream {
    /// The stream of a newcomer: one controller `default` that declares every host for `campaign_performance`.
    /// Its withdrawal link is off, and `serve` and `check` say so.
    pub fn built_in() -> Self {
        Self {
            name: "default".to_owned(),
            controller: Some("default".to_owned()),
            kind: StreamKind::Marketing,
            listeners: Vec::new(),
            logins: Vec::new(),
            enforcement: Enforcement::Enforce,
            withdrawal_link: None,
            mode: Mode::default(),
            individual_images: None,
            functional_images: Vec::new(),
            identity_parameters: Vec::new(),
            endpoints: Vec::new(),
            markers: Vec::new(),
            trackers: vec![Tracker {
                hosts: vec!["*".to_owned()],
                purposes: vec![Purpose::CampaignPerformance],
                recipient: us(),
            }],
        }
    }

    /// Mail of a connection that may speak for several streams and names none of them, or names another: it has no
    /// records, so nothing is kept.
    pub fn unassigned() -> Self {
        Self {
            name: UNASSIGNED.to_owned(),
            controller: Some(UNASSIGNED.to_owned()),
            trackers: Vec::new(),
            ..Self::built_in()
        }
    }
}
