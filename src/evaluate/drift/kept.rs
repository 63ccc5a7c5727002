//! What is kept over a restart beside a link or a feed: what it was learned of. A catalogue may name another metric,
//! another parent or another direction under the same name, and then what was learned says nothing.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, Direction, Node, NodeId};

/// What one side of a link, or a feed, is made of.
#[derive(PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct SideOf {
    metric: String,
    /// Names of the `each` dimensions.
    each: Vec<String>,
    is_lower_better: bool,
}

impl SideOf {
    pub(super) fn new(catalog: &Catalog, node: &Node) -> SideOf {
        SideOf {
            metric: catalog.metric(node.metric).name.clone(),
            each: node.each.clone(),
            is_lower_better: node.direction == Direction::Lower,
        }
    }
}

/// What a link is between.
#[derive(PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct LinkOf {
    kpi: SideOf,
    /// Name of the parent's node, and what it is made of.
    parent: Option<(String, SideOf)>,
}

impl LinkOf {
    /// Of a KPI and its parent.
    pub(super) fn new(catalog: &Catalog, kpi: NodeId) -> LinkOf {
        let kpi = catalog.node(kpi);
        let parent = kpi.parent.as_ref().map(|parent| catalog.node(parent.node));
        LinkOf {
            kpi: SideOf::new(catalog, kpi),
            parent: parent.map(|parent| (parent.name.clone(), SideOf::new(catalog, parent))),
        }
    }
}

/// What was learned, of what, and how late data comes. `None` does not happen: numbers, texts and lists of them can be encoded.
pub(super) fn encode(
    learned: &impl Serialize,
    of: &impl Serialize,
    arrivals: &impl Serialize,
) -> Option<Vec<u8>> {
    postcard::to_allocvec(&(learned, of, arrivals)).ok()
}

/// What was learned, where it can be read and was learned of the same, and how late data comes. What was kept before it was said
/// of what, is taken at its word; of what was kept before it was said how late it comes, nothing is late.
pub(super) fn decode<L, O, A>(body: &[u8], of: &O) -> Option<(L, A)>
where
    L: DeserializeOwned,
    O: DeserializeOwned + PartialEq,
    A: DeserializeOwned + Default,
{
    let (learned, rest) = postcard::take_from_bytes::<L>(body).ok()?;
    if rest.is_empty() {
        return Some((learned, A::default()));
    }
    let (learned_of, rest) = postcard::take_from_bytes::<O>(rest).ok()?;
    let arrivals = postcard::from_bytes(rest).unwrap_or_default();
    (learned_of == *of).then_some((learned, arrivals))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::link::{Before, DayInput, Days, Link, Tuning};
    use super::super::{Closes, Feed, Judged, state_of};
    use super::*;
    use crate::catalog::load::{Files, load};
    use crate::evaluate::drift::{Learned, StoredFeed, StoredLink};
    use crate::evaluate::{Evaluator, InstanceKey};
    use crate::fold::plan::Plan;

    /// 2024-01-01.
    const FIRST: i32 = 19_723;

    const CATALOG: &str = "
sources: {s: {topics: [t], format: json, fields: {v: v, shop: shop}}}
metrics:
  sales:  {source: s, agg: sum, expr: v}
  visits: {source: s, agg: count}
  buyers: {source: s, agg: count, filter: v > 0}
nodes:
  revenue: {metric: sales, role: business, period: month}
  other:   {metric: sales, role: business, period: month}
  kpi:     {metric: visits, role: kpi, parent: revenue, period: month}
  shops:   {metric: visits, role: kpi, parent: revenue, each: [shop], period: month}
  alone:   {metric: visits, role: business, period: month}
";

    fn evaluator(catalog: &str) -> Evaluator {
        let catalog = load(&Files::new("", [("a.yaml", catalog)]))
            .map_err(|problems| problems.to_string())
            .unwrap();
        let catalog = Arc::new(catalog);
        let plan = Arc::new(Plan::compile(&catalog));
        Evaluator::new(catalog, plan)
    }

    fn key(evaluator: &Evaluator, name: &str, dimensions: &[String]) -> InstanceKey {
        InstanceKey {
            node: evaluator.catalog.node_named(name).unwrap(),
            dimensions: dimensions.iter().map(|value| value.as_str().into()).collect(),
        }
    }

    /// A link that has brought half of what its KPI explains for a few days: evidence, and not enough to say so.
    fn link() -> Judged {
        let (days, tuning) = (Days::default(), Tuning::default());
        let mut link = Link::new(FIRST, Before::default(), Before::default(), &days, &tuning);
        for day in 0..150 {
            let wave = |day: usize| 1.0 + 0.1 * (day as f64 / 9.0).sin();
            let latest = || day.max(47) - 47..=day;
            let kpi: Vec<_> = latest().map(|day| Some(100.0 * wave(day))).collect();
            let share = |day: usize| if day < 146 { 1.0 } else { 0.5 };
            let parent: Vec<_> = latest()
                .map(|day| Some(5000.0 * wave(day) * share(day)))
                .collect();
            let input = |flow| DayInput { flow, targets: &[] };
            link.close(FIRST + day as i32, input(&kpi), input(&parent), &days, &tuning);
        }
        Judged {
            link,
            announced: [None; 2],
            whole_from: None,
            closes: Closes::default(),
            arrivals: Default::default(),
            state: None,
        }
    }

    /// What an evaluator has learned that knows the link of `kpi` and the feed of `alone`.
    fn learned() -> Learned {
        let mut before = evaluator(CATALOG);
        let (kpi, alone) = (key(&before, "kpi", &[]), key(&before, "alone", &[]));
        before.drift.links.insert(kpi, link());
        before.drift.feeds[alone.node.0 as usize] = Some(Feed::new(FIRST, None));
        before.all_learned()
    }

    /// Whether link and feed are known after a restart under a catalogue.
    fn restored(catalog: &str, learned: Learned) -> (bool, bool) {
        let mut after = evaluator(catalog);
        after.restore_learned(learned);
        let (kpi, alone) = (key(&after, "kpi", &[]), key(&after, "alone", &[]));
        let has_feed = after.drift.feeds[alone.node.0 as usize].is_some();
        (after.drift.links.contains_key(&kpi), has_feed)
    }

    #[test]
    fn what_was_learned_is_given_once_and_what_was_restored_not_at_all() {
        fn close(evaluator: &mut Evaluator) {
            let kpi = key(evaluator, "kpi", &[]);
            let judged = evaluator.drift.links.get_mut(&kpi).unwrap();
            let day = judged.link.closed_to() + 1;
            let nothing = || DayInput {
                flow: &[],
                targets: &[],
            };
            let (days, tuning) = (Days::default(), Tuning::default());
            judged.link.close(day, nothing(), nothing(), &days, &tuning);
            evaluator.drift.closed_to = Some(day);
        }
        let mut after = evaluator(CATALOG);
        after.restore_learned(learned());
        assert!(after.take_learned().is_empty());
        close(&mut after);
        let taken = after.take_learned();
        let names: Vec<&str> = taken.links.iter().map(|link| link.node.as_str()).collect();
        assert_eq!(names, ["kpi"]);
        assert!(taken.feeds.is_empty(), "its last day is one of long before");
        assert!(after.take_learned().is_empty());
        close(&mut after);
        close(&mut after);
        assert_eq!(after.take_learned().links.len(), 1);
        close(&mut after);
        after.let_go_learned();
        assert!(after.take_learned().is_empty());
    }

    #[test]
    fn what_was_learned_of_another_pair_is_not_taken_over() {
        assert_eq!(restored(CATALOG, learned()), (true, true));
        let changes = [
            (
                "kpi:     {metric: visits",
                "kpi:     {metric: buyers",
                (false, true),
            ),
            (
                "role: kpi, parent: revenue, period",
                "role: kpi, parent: other, period",
                (false, true),
            ),
            (
                "revenue: {metric: sales",
                "revenue: {metric: buyers",
                (false, true),
            ),
            (
                "role: kpi, parent: revenue, period",
                "role: kpi, direction: lower, parent: revenue, period",
                (false, true),
            ),
            (
                "sales, role: business, period",
                "sales, role: business, direction: lower, period",
                (false, true),
            ),
            (
                "alone:   {metric: visits",
                "alone:   {metric: sales",
                (true, false),
            ),
            // What is only said of it changes nothing.
            ("alone:   {", "alone:   {title: Alone, ", (true, true)),
            (
                "kpi:     {",
                "kpi:     {title: Visits, weight: 30, target: 10, ",
                (true, true),
            ),
        ];
        for (from, to, expected) in changes {
            let changed = CATALOG.replace(from, to);
            assert_ne!(changed, CATALOG, "{from}");
            assert_eq!(restored(&changed, learned()), expected, "{to}");
        }
    }

    #[test]
    fn what_was_kept_before_it_was_said_of_what_is_taken_over() {
        let plain = Learned {
            links: vec![StoredLink {
                node: "kpi".to_owned(),
                dimensions: Vec::new(),
                body: postcard::to_allocvec(&link()).unwrap(),
            }],
            forgotten: Vec::new(),
            feeds: vec![StoredFeed {
                node: "alone".to_owned(),
                body: postcard::to_allocvec(&Feed::new(FIRST, None)).unwrap(),
            }],
        };
        assert_eq!(restored(CATALOG, plain.clone()), (true, true));
        // And before it was said how late its data comes.
        let before = evaluator(CATALOG);
        let (kpi, alone) = (key(&before, "kpi", &[]).node, key(&before, "alone", &[]).node);
        let of_feed = SideOf::new(&before.catalog, before.catalog.node(alone));
        let mut punctual = plain.clone();
        punctual.links[0].body = postcard::to_allocvec(&(link(), LinkOf::new(&before.catalog, kpi))).unwrap();
        punctual.feeds[0].body = postcard::to_allocvec(&(Feed::new(FIRST, None), of_feed)).unwrap();
        assert_eq!(restored(CATALOG, punctual), (true, true));
        let cut = |body: &mut Vec<u8>| body.truncate(body.len() / 2);
        let mut broken = plain;
        broken.links.iter_mut().for_each(|link| cut(&mut link.body));
        broken.feeds.iter_mut().for_each(|feed| cut(&mut feed.body));
        assert_eq!(restored(CATALOG, broken), (false, false));
    }

    #[test]
    fn a_restart_says_the_same_in_a_large_catalogue() {
        let mut after = evaluator(CATALOG);
        let body = encode(
            &link(),
            &LinkOf::new(&after.catalog, key(&after, "shops", &[]).node),
            &link().arrivals,
        )
        .unwrap();
        let links = (0..2000).map(|shop| StoredLink {
            node: "shops".to_owned(),
            dimensions: vec![format!("shop {shop}")],
            body: body.clone(),
        });
        after.restore_learned(Learned {
            links: links.collect(),
            ..Learned::default()
        });
        let said = |tuning: &Tuning| state_of(&link().link, tuning).scores;
        let shop = key(&after, "shops", &["shop 7".to_owned()]);
        let state = after.drift.links[&shop].state.clone().unwrap();
        assert_eq!(state.scores, said(&Tuning::default().of_a_fleet(2000)));
        assert_ne!(state.scores, said(&Tuning::default()), "limits are higher there");
    }
}
