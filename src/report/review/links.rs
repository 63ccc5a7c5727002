//! How links have changed over a period: between the closes of the months before it and at its end.

use jiff::ToSpan;
use jiff::civil::Date;
use serde::Serialize;

use super::super::past::Past;
use super::super::title_of;
use crate::catalog::{Catalog, Role};
use crate::evaluate::drift::ClosedLink;
use crate::evaluate::{InstanceKey, Period};
use crate::words::Language;

/// Changes that are named, at the least: of the lag in days, of strength and elasticity.
const OF_LAG: f64 = 3.0;
const OF_STRENGTH: f64 = 0.2;
const OF_ELASTICITY: f64 = 0.2;

/// A link that is not what it was.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct LinkChange {
    /// Title of the KPI, with its dimension values.
    pub kpi: String,
    /// Title of what it serves.
    pub parent: String,
    /// As the last month before the period closed.
    pub before: LinkFigures,
    /// As the last month closed that is over by its end.
    pub after: LinkFigures,
}

impl LinkChange {
    /// Whether it was known how the parent answers, and is no more.
    pub(super) fn is_weaker(&self) -> bool {
        self.before.elasticity.is_some() && self.after.elasticity.is_none()
    }
}

/// What is known of a link at a close.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct LinkFigures {
    /// The day that closed.
    pub day: Date,
    /// How strongly the parent follows, 0 to 1.
    pub strength: f64,
    /// How many days later it follows.
    pub lag_days: f64,
    /// Per cent by which the parent moves when the KPI moves by one; `None` where the link is too weak to tell.
    pub elasticity: Option<f64>,
}

impl LinkFigures {
    fn has_changed(&self, before: &LinkFigures) -> bool {
        let is_known = self.elasticity.is_some();
        if is_known != before.elasticity.is_some() {
            return true;
        }
        // A lag or an elasticity of a link that is too weak to tell says nothing.
        let far = |of: fn(&LinkFigures) -> Option<f64>, least: f64| {
            let both = of(self).zip(of(before));
            both.is_some_and(|(now, then)| (now - then).abs() >= least)
        };
        far(|figures| Some(figures.strength), OF_STRENGTH)
            || far(|figures| figures.elasticity, OF_ELASTICITY)
            || is_known && far(|figures| Some(figures.lag_days), OF_LAG)
    }
}

/// The links that changed, in the order of the nodes.
pub(super) fn changes<'k>(
    past: &Past,
    catalog: &Catalog,
    period: Period,
    last_day: Date,
    instances: impl Iterator<Item = &'k InstanceKey>,
) -> Vec<LinkChange> {
    let figures = |key: &InstanceKey, day: Date| {
        let ClosedLink { day, link } = past.link_closed(key, day)?;
        // Before the warm-up is over nothing is known of a link.
        link.parent_gap?;
        Some(LinkFigures {
            day,
            strength: link.strength?,
            lag_days: link.lag_days?,
            elasticity: link.elasticity,
        })
    };
    let change = |key: &InstanceKey| {
        let node = catalog.node(key.node);
        let parent = node.parent.as_ref().filter(|_| node.role == Role::Kpi)?;
        let before = figures(key, period.start.saturating_sub(1.day()))?;
        let after = figures(key, last_day)?;
        let is_news = after.day > before.day && after.has_changed(&before);
        is_news.then(|| LinkChange {
            kpi: title_of(catalog, key),
            parent: catalog.node(parent.node).title.clone(),
            before,
            after,
        })
    };
    instances.filter_map(change).collect()
}

/// What has changed, in a sentence.
pub(super) fn in_words(change: &LinkChange, language: Language) -> String {
    let LinkChange {
        kpi,
        parent,
        before,
        after,
    } = change;
    let said = |figures: &LinkFigures| match (figures.elasticity, language) {
        (Some(elasticity), Language::Zh) => format!(
            "强度 {:.2}，约 {:.0} 天后反应，每变动 1% 上级变动 {elasticity:.2}%",
            figures.strength, figures.lag_days
        ),
        (Some(elasticity), Language::En) => format!(
            "strength {:.2}, after about {:.0} days, {elasticity:.2}% for each 1%",
            figures.strength, figures.lag_days
        ),
        (None, Language::Zh) => format!("强度 {:.2}，太弱，说不出时间和幅度", figures.strength),
        (None, Language::En) => format!(
            "strength {:.2}, too weak to say when and by how much",
            figures.strength
        ),
    };
    match language {
        Language::Zh => format!(
            "{kpi} → {parent}：{}（{} 时：{}）。",
            said(after),
            before.day,
            said(before)
        ),
        Language::En => format!(
            "{kpi} → {parent}: {} (on {}: {}).",
            said(after),
            before.day,
            said(before)
        ),
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn figures(strength: f64, lag_days: f64, elasticity: Option<f64>) -> LinkFigures {
        LinkFigures {
            day: date(2026, 5, 31),
            strength,
            lag_days,
            elasticity,
        }
    }

    #[test]
    fn small_changes_are_none() {
        let before = figures(0.8, 5.0, Some(0.7));
        for (after, has_changed) in [
            (figures(0.61, 7.0, Some(0.89)), false),
            (figures(0.59, 5.0, Some(0.7)), true),
            (figures(0.8, 8.0, Some(0.7)), true),
            (figures(0.8, 5.0, Some(0.91)), true),
            (figures(0.65, 5.0, None), true),
        ] {
            assert_eq!(after.has_changed(&before), has_changed, "{after:?}");
        }
        // The lag of a link that is too weak to tell is chance.
        assert!(!figures(0.3, 2.0, None).has_changed(&figures(0.2, 14.0, None)));
    }

    #[test]
    fn says_how_it_is_and_how_it_was() {
        let change = LinkChange {
            kpi: "Visits".to_owned(),
            parent: "Revenue".to_owned(),
            before: figures(0.8, 5.0, Some(0.7)),
            after: figures(0.41, 12.0, None),
        };
        assert_eq!(
            in_words(&change, Language::En),
            "Visits → Revenue: strength 0.41, too weak to say when and by how much \
             (on 2026-05-31: strength 0.80, after about 5 days, 0.70% for each 1%)."
        );
        assert_eq!(
            in_words(&change, Language::Zh),
            "Visits → Revenue：强度 0.41，太弱，说不出时间和幅度（2026-05-31 时：强度 0.80，约 5 天后反应，每变动 1% 上级变动 0.70%）。"
        );
    }
}
