//! Definitions on one line, in the catalogue's own words.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Language;
use crate::catalog::{Catalog, MetricId, MetricKind};

/// Since when a metric is counted under its definition, and what that means for the running period.
pub fn counted_since(language: Language, since: Timestamp, zone: &TimeZone, is_judged: bool) -> String {
    let since = language.moment(since, zone);
    match (language, is_judged) {
        (Language::Zh, false) => format!(
            "现行口径自 {since} 起统计，此前的事件不在其中。本期不完整：不计完成度、进度和预测，也不告警，从下一期开始评判。"
        ),
        (Language::Zh, true) => format!("现行口径自 {since} 起统计，不与此前比较。"),
        (Language::En, false) => format!(
            "Counted under this definition since {since}; earlier events are not in it. This period is not whole: it has no completion, pace or forecast and raises no alert. The next one is judged."
        ),
        (Language::En, true) => {
            format!("Counted under this definition since {since}, and not compared with what was before.")
        }
    }
}

/// Since when a metric is reckoned of others as it is.
pub fn reckoned_since(language: Language, since: Timestamp, zone: &TimeZone) -> String {
    let since = language.moment(since, zone);
    match language {
        Language::Zh => {
            format!("现行公式自 {since} 起生效：此前各日已按现行公式重算，与上级的关联从头学起。")
        }
        Language::En => format!(
            "Reckoned by this formula since {since}: earlier days are reckoned anew by it, and its links learn from the beginning."
        ),
    }
}

/// A metric: `revenue = sum(orders.amount) where type == "order.paid"`.
pub fn of_metric(catalog: &Catalog, id: MetricId) -> String {
    let metric = catalog.metric(id);
    match &metric.kind {
        MetricKind::Simple(simple) if metric.manual.is_some() => {
            let who = metric.manual.iter().flat_map(|manual| manual.entered_by.iter());
            let who: Vec<&str> = who.map(String::as_str).collect();
            format!("{} = {}(entries by {})", metric.name, simple.agg, who.join(", "))
        }
        MetricKind::Simple(simple) => {
            let source = catalog.source(simple.source);
            let field = simple
                .field
                .and_then(|field| source.fields.get(usize::from(field.0)));
            let of = field.map_or_else(
                || source.name.clone(),
                |field| format!("{}.{}", source.name, field.name),
            );
            let filter = simple
                .filter
                .as_ref()
                .map_or_else(String::new, |filter| format!(" where {}", filter.source()));
            let within = simple.keys.as_ref().and_then(|keys| keys.within.as_ref());
            let within = within.map_or_else(String::new, |within| format!(" within {}d", within.days));
            format!("{} = {}({of}){filter}{within}", metric.name, simple.agg)
        }
        MetricKind::Duration(duration) => {
            let source = catalog.source(duration.marks.source);
            let key = source.fields.get(usize::from(duration.key.0));
            format!(
                "{} = {}({}.{}) from {} to {}",
                metric.name,
                duration.marks.agg,
                source.name,
                key.map_or("", |field| field.name.as_str()),
                duration.start.source(),
                duration.end.source()
            )
        }
        MetricKind::Conversion(conversion) => {
            let name = |id: MetricId| catalog.metric(id).name.as_str();
            let base = &conversion.base;
            let source = catalog.source(base.step.source);
            let entity = source.fields.get(usize::from(base.entity.0));
            let window = jiff::SignedDuration::from_millis(conversion.window_ms);
            format!(
                "{} = share of {} from {} to {} within {window:#}",
                metric.name,
                entity.map_or("", |field| field.name.as_str()),
                name(base.metric),
                name(conversion.goal.metric),
            )
        }
        MetricKind::Ratio {
            numerator,
            denominator,
        } => format!(
            "{} = {} / {}",
            metric.name,
            catalog.metric(*numerator).name,
            catalog.metric(*denominator).name
        ),
        MetricKind::Derived { expr, .. } => format!("{} = {}", metric.name, expr.source()),
    }
}
