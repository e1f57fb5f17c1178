//! Every number of the relay as OpenMetrics text.
//!
//! The modules count for themselves; here their numbers get names. Labels are words of the configuration and of our own, never
//! anything that a message or a client said.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, MetricEncoder};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

/// One number.
#[derive(Debug, Clone, PartialEq)]
pub struct Number {
    /// Its name, without the prefix.
    pub name: &'static str,
    /// What it counts.
    pub help: &'static str,
    /// Label and value, where there is one.
    pub label: Option<(&'static str, String)>,
    /// The value.
    pub value: u64,
    /// Whether it only grows.
    pub grows: bool,
}

impl Number {
    /// One that only grows.
    pub fn counter(name: &'static str, help: &'static str, value: u64) -> Self {
        Self {
            name,
            help,
            label: None,
            value,
            grows: true,
        }
    }

    /// One that goes up and down.
    pub fn gauge(name: &'static str, help: &'static str, value: u64) -> Self {
        Self {
            grows: false,
            ..Self::counter(name, help, value)
        }
    }

    /// The same for one of several.
    #[must_use]
    pub fn of(self, label: &'static str, value: impl Into<String>) -> Self {
        Self {
            label: Some((label, value.into())),
            ..self
        }
    }
}

impl Number {
    fn encode(&self, encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        match self.grows {
            true => ConstCounter::new(self.value).encode(encoder),
            false => ConstGauge::new(self.value).encode(encoder),
        }
    }
}

/// Where the numbers come from.
pub trait Source: fmt::Debug + Send + Sync {
    /// Every number now; those of one name stand together.
    fn numbers(&self) -> Vec<Number>;

    /// What keeps the relay from taking mail, in words; nothing: it is ready.
    fn not_ready(&self) -> Vec<String>;
}

/// Encodes what was read.
#[derive(Debug)]
struct Numbers(Vec<Number>);

impl Collector for Numbers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for family in self.0.chunk_by(|one, other| one.name == other.name) {
            let Some(first) = family.first() else {
                continue;
            };
            let kind = match first.grows {
                true => ConstCounter::new(0u64).metric_type(),
                false => ConstGauge::new(0u64).metric_type(),
            };
            let mut metric = encoder.encode_descriptor(first.name, first.help, None, kind)?;
            if first.label.is_none() {
                first.encode(metric)?;
                continue;
            }
            for number in family {
                let labels: Vec<(&str, &str)> = number
                    .label
                    .iter()
                    .map(|(label, value)| (*label, value.as_str()))
                    .collect();
                number.encode(metric.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

/// The text of a scrape.
pub(super) fn text(source: &dyn Source) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("pixelgate");
    registry.register_collector(Box::new(Numbers(source.numbers())));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)?;
    Ok(text)
}
