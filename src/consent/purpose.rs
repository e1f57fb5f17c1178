//! What a tracker is used for (law.md F8, F9; D3 to D7).
//!
//! A purpose is declared by the operator and granted or refused by a person; nothing here is guessed from a message.
//! There is no purpose `undeclared`: a tracker that declares nothing wants what [`super::Wanted::undeclared`] says.

use super::words::words;

words! {
    /// One use of an open measurement.
    Purpose, "purpose", {
        /// Measuring and optimising campaigns from opens (F8 a).
        CampaignPerformance = "campaign_performance",
        /// Personalising content, frequency or channel (part of F8 a, granted apart).
        Personalisation = "personalisation",
        /// Profiles used outside mail (F8 b).
        CrossChannelProfiling = "cross_channel_profiling",
        /// Suspected fraud, unusual or mass opens (F8 c).
        FraudDetection = "fraud_detection",
        /// Individual measurement for deliverability outside the exemption (F8 d).
        DeliverabilityOther = "deliverability_other",
        /// Securing authentication (F9 1, D4).
        AuthSecurity = "auth_security",
        /// Date of the last open, to write less or stop writing to the inactive (F9 2, D5).
        DeliverabilityHygiene = "deliverability_hygiene",
        /// Proof that a legally required notice was opened (F16).
        LegalProof = "legal_proof",
        /// One counter for all, the same URL for everybody (F15, D7).
        AggregateAnonymous = "aggregate_anonymous",
    }
}

impl Purpose {
    /// The purposes that only consent permits; an undeclared tracker needs all of them (D2).
    pub const CONSENT: &'static [Self] = &[
        Self::CampaignPerformance,
        Self::Personalisation,
        Self::CrossChannelProfiling,
        Self::FraudDetection,
        Self::DeliverabilityOther,
    ];

    /// Whether some country's law may permit it without consent, under conditions that a profile states.
    pub fn may_be_exempt(self) -> bool {
        !Self::CONSENT.contains(&self)
    }
}
