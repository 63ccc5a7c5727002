//! `backfill:` what is read again must still be there: in Kafka.

use super::sources::Sources;
use super::{Loader, Owned, entries};
use crate::catalog::file::MetricEntry;
use crate::catalog::model::{Metric, MetricKind, Source, SourceId};

impl Loader<'_> {
    /// Checks that every metric with `backfill` comes of records that can be read again.
    pub(super) fn backfills(&mut self, declared: &Owned<MetricEntry>, metrics: &[Metric], sources: &Sources) {
        for (index, entry) in entries(declared).enumerate() {
            let Some(length) = &entry.value.backfill else {
                continue;
            };
            let name = &entry.name.value;
            if length.value.0.is_zero() {
                let message = format!(
                    "metric '{name}' reads nothing again; write how far back, such as P90D, or remove 'backfill'"
                );
                self.problem(entry.at(length), message);
                continue;
            }
            let of = sources_of(metrics, index);
            let of = of.iter().map(|id| &sources.sources[id.0 as usize]);
            if let Some(reason) = of.into_iter().find_map(cannot_be_read_again) {
                self.problem(entry.at(length), format!("metric '{name}' {reason}"));
            }
        }
    }
}

/// Why the past of a source is not in Kafka, and what to write instead.
fn cannot_be_read_again(source: &Source) -> Option<String> {
    let name = &source.name;
    if source.manual {
        Some("is made of what people type in, all of which is kept: there is nothing to read again; remove 'backfill', or write it at the metrics of Kafka sources that it is made of".to_owned())
    } else if source.topics.is_empty() {
        Some(format!(
            "comes of source '{name}', whose events are sent over HTTP and not kept: there is no history to read again; remove 'backfill', or let the events go through a Kafka topic"
        ))
    } else if source.http {
        Some(format!(
            "comes of source '{name}', which also takes events over HTTP: those are not kept, and what was read again would lack them; remove 'backfill', or declare a source of its own for what is sent over HTTP"
        ))
    } else {
        None
    }
}

/// The sources of everything that a metric is made of.
fn sources_of(metrics: &[Metric], metric: usize) -> Vec<SourceId> {
    let mut sources = Vec::new();
    let mut open = vec![metric];
    // There are no circles: they were refused before.
    while let Some(at) = open.pop() {
        match &metrics[at].kind {
            MetricKind::Simple(simple) => sources.push(simple.source),
            MetricKind::Duration(duration) => sources.push(duration.marks.source),
            MetricKind::Conversion(conversion) => {
                sources.extend([conversion.base.step.source, conversion.goal.step.source]);
            }
            MetricKind::Ratio {
                numerator,
                denominator,
            } => open.extend([numerator.0 as usize, denominator.0 as usize]),
            MetricKind::Derived { inputs, .. } => open.extend(inputs.iter().map(|input| input.0 as usize)),
        }
    }
    sources
}
