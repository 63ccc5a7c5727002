//! Small charts as SVG. Geometry goes into attributes, colour into the style sheet, so that the content security
//! policy can forbid inline styles.

use maud::{Markup, html};

/// A line of the latest daily values; a day without a value is a gap.
pub(super) fn sparkline(daily: &[Option<f64>], label: &str) -> Markup {
    let (width, height) = (96.0, 24.0);
    let Some((low, high)) = range(daily) else {
        return html! { svg.spark viewBox="0 0 96 24" aria-hidden="true" {} };
    };
    let x = |i: usize| 1.0 + (width - 2.0) * i as f64 / (daily.len().max(2) - 1) as f64;
    let y = |value: f64| height - 2.0 - (height - 4.0) * (value - low) / (high - low);
    let mut path = String::new();
    let mut pen_down = false;
    for (i, value) in daily.iter().enumerate() {
        match value {
            Some(value) => {
                let step = if pen_down { 'L' } else { 'M' };
                path.push_str(&format!("{step}{:.1} {:.1}", x(i), y(*value)));
                pen_down = true;
            }
            None => pen_down = false,
        }
    }
    let last = daily
        .iter()
        .enumerate()
        .rev()
        .find_map(|(i, value)| value.map(|value| (i, value)));
    html! {
        svg.spark viewBox="0 0 96 24" role="img" aria-label=(label) {
            path d=(path) {}
            @if let Some((i, value)) = last {
                circle cx=(format!("{:.1}", x(i))) cy=(format!("{:.1}", y(value))) r="1.8" {}
            }
        }
    }
}

/// How far the target is reached, with a tick where the plan expects it to be by now.
pub(super) fn bar(completion: Option<f64>, expected: Option<f64>, tone: &str, label: &str) -> Markup {
    let width = |share: f64| format!("{:.1}%", share.clamp(0.0, 1.0) * 100.0);
    html! {
        svg class={ "bar " (tone) } role="img" aria-label=(label) {
            rect.track width="100%" height="6" y="3" rx="3" {}
            @if let Some(completion) = completion.filter(|c| *c > 0.0) {
                rect.fill width=(width(completion)) height="6" y="3" rx="3" {}
            }
            @if let Some(expected) = expected.filter(|e| *e > 0.0 && *e < 1.0) {
                line.plan x1=(width(expected)) x2=(width(expected)) y1="0" y2="12" {}
            }
        }
    }
}

/// One bar a day, with a line of reference where there is one; `days` are labels for the pointer.
pub(super) fn daily(values: &[Option<f64>], days: &[String], reference: Option<f64>, label: &str) -> Markup {
    let (width, height) = (840.0, 180.0);
    let Some((low, high)) = range(values) else {
        return html! {};
    };
    let (low, high) = (low.min(0.0), high.max(0.0).max(reference.unwrap_or(0.0)));
    let span = if high > low { high - low } else { 1.0 };
    let y = |value: f64| height - height * (value - low) / span;
    let step = width / values.len().max(1) as f64;
    html! {
        svg.daily viewBox="0 -4 840 188" preserveAspectRatio="none" role="img" aria-label=(label) {
            @for (i, value) in values.iter().enumerate() {
                @if let Some(value) = value {
                    @let (top, bottom) = (y(value.max(0.0)), y(value.min(0.0)));
                    rect x=(format!("{:.1}", i as f64 * step + step * 0.14)) y=(format!("{top:.1}"))
                        width=(format!("{:.1}", step * 0.72)) height=(format!("{:.1}", (bottom - top).max(1.0))) {
                        @if let Some(day) = days.get(i) { title { (day) } }
                    }
                }
            }
            line.axis x1="0" x2="840" y1=(format!("{:.1}", y(0.0))) y2=(format!("{:.1}", y(0.0))) {}
            @if let Some(reference) = reference {
                line.plan x1="0" x2="840" y1=(format!("{:.1}", y(reference))) y2=(format!("{:.1}", y(reference))) {}
            }
        }
    }
}

/// Smallest and largest value, apart by at least a little; `None` with no value at all.
fn range(values: &[Option<f64>]) -> Option<(f64, f64)> {
    let finite = || values.iter().flatten().copied().filter(|value| value.is_finite());
    let low = finite().reduce(f64::min)?;
    let high = finite().reduce(f64::max)?;
    Some(if high > low {
        (low, high)
    } else {
        (low - 1.0, high + 1.0)
    })
}
