//! Links that come apart together: a shock that all stores share is said once, of what they serve, and not by each of them.
//! Pure: what the links say goes in, what they say together comes out; nothing is remembered from one day to the next.

use hashbrown::HashMap;
use jiff::civil::Date;

use super::{sure, whole_of};
use crate::catalog::attribute::DriftKind;
use crate::catalog::{Catalog, NodeId};
use crate::evaluate::instances::Instances;
use crate::evaluate::snapshot::{InstanceKey, LinkFinding, LinkState, SharedDrift};

/// Judged links from which on they can be said to drift together: of fewer, each is told by itself.
pub(super) const LEAST: usize = 5;
/// Evidence from which on a link leans to a side: that below which its own alert would be over.
const LEANS: f64 = 0.25;
/// Distance of a parent from what is explained, as a share, from which on it counts as going that way.
const GOES: f64 = 0.01;
/// Days within which links that drift together begin to.
const TOGETHER: i32 = 28;

/// What one link says, to one side.
#[derive(Clone)]
struct Voice<'a> {
    kpi: &'a InstanceKey,
    is_more: bool,
    evidence: f64,
    /// First day of what it has said; `None` while it only leans.
    since: Option<Date>,
    gap: Option<f64>,
    moves: [Option<f64>; 2],
    /// Probability that it is no chance, by the latest window.
    sure: Option<f64>,
}

impl<'a> Voice<'a> {
    /// The side to which a link leans the most.
    fn of(kpi: &'a InstanceKey, link: &LinkState) -> Option<Voice<'a>> {
        let kinds = [DriftKind::Hollow, DriftKind::Gaming, DriftKind::Uncredited];
        let kind = kinds
            .into_iter()
            .max_by(|a, b| link.score(*a).total_cmp(&link.score(*b)))?;
        let evidence = link.score(kind);
        let finding = link.finding(kind);
        (evidence >= LEANS).then(|| Voice {
            kpi,
            is_more: kind == DriftKind::Uncredited,
            evidence,
            since: finding.and_then(|finding| finding.since),
            gap: finding.and_then(|finding| finding.gap).or(link.parent_gap),
            moves: [
                finding.and_then(|finding| finding.kpi),
                finding.and_then(|finding| finding.parent),
            ],
            sure: link
                .sure
                .map(|sure| sure[usize::from(kind == DriftKind::Uncredited)]),
        })
    }
}

/// Links that serve the same.
#[derive(Default)]
struct Siblings<'a> {
    judged: usize,
    /// By side: the parent brings less, or more.
    leaning: [Vec<Voice<'a>>; 2],
    /// Of each KPI, how its instances go.
    ways: HashMap<NodeId, Ways>,
    /// What all instances of a KPI say as one.
    wholes: Vec<(NodeId, &'a LinkState)>,
}

/// How the instances of a KPI go.
#[derive(Clone, Copy, Default)]
struct Ways {
    judged: usize,
    /// By side: how many go that way, if ever so little.
    going: [usize; 2],
}

/// What all instances of a KPI say as one.
struct Pooled<'a> {
    finding: &'a LinkFinding,
    is_more: bool,
    evidence: f64,
    ways: Ways,
}

impl<'a> Siblings<'a> {
    fn add(&mut self, kpi: &'a InstanceKey, link: &LinkState) {
        self.judged += 1;
        let ways = self.ways.entry(kpi.node).or_default();
        ways.judged += 1;
        if let Some(gap) = link.parent_gap.filter(|gap| gap.abs() >= GOES) {
            ways.going[usize::from(gap > 0.0)] += 1;
        }
        if let Some(voice) = Voice::of(kpi, link) {
            self.leaning[usize::from(voice.is_more)].push(voice);
        }
    }

    /// What all instances of a KPI say as one, as far as it is no matter of a few: half of them go that way, half as many again
    /// as the other, and five at least.
    fn pooled(&self) -> Option<Pooled<'a>> {
        let of_whole = |(node, link): &(NodeId, &'a LinkState)| {
            let ways = self.ways.get(node).copied().unwrap_or_default();
            let weighed = link.findings.iter().filter_map(move |finding| {
                let is_more = side_of(finding.kind)?;
                let [to, other] = [is_more, !is_more].map(|side| ways.going[usize::from(side)] as f64);
                let half = ways.judged as f64 / 2.0;
                let share = to / (1.5 * other).max(half).max(LEAST as f64);
                let evidence = if share >= 1.0 {
                    finding.evidence.unwrap_or(1.0)
                } else {
                    share.min(0.999)
                };
                Some(Pooled {
                    finding,
                    is_more,
                    evidence,
                    ways,
                })
            });
            weighed.max_by(|a, b| a.evidence.total_cmp(&b.evidence))
        };
        let said = self.wholes.iter().filter_map(of_whole);
        said.max_by(|a, b| a.evidence.total_cmp(&b.evidence))
    }

    /// What they say together, of the side to which more of them lean; what all instances say as one where that says more.
    fn together(self, key: InstanceKey) -> SharedDrift {
        let judged = self.judged;
        let pooled = self.pooled();
        let [less, more] = self.leaning.map(at_one_time);
        let said_by_most = of_most(
            key,
            judged,
            if more.len() > less.len() {
                more.clone()
            } else {
                less.clone()
            },
        );
        let Some(pooled) = pooled.filter(|pooled| said_by_most.evidence < pooled.evidence.min(1.0)) else {
            return said_by_most;
        };
        let Pooled { finding, is_more, .. } = pooled;
        let voices = if is_more { more } else { less };
        SharedDrift {
            is_more,
            evidence: pooled.evidence,
            judged: pooled.ways.judged,
            going: Some(pooled.ways.going[usize::from(is_more)]),
            since: finding.since,
            gap: finding.gap,
            kpi: finding.kpi,
            parent: finding.parent,
            confidence: finding.confidence,
            drifting: names(voices),
            ..said_by_most
        }
    }
}

/// What links that lean to one side say, of those that are judged.
fn of_most(key: InstanceKey, judged: usize, voices: Vec<Voice<'_>>) -> SharedDrift {
    let needed = judged / 2 + 1;
    let share = if judged < LEAST {
        0.0
    } else {
        voices.len() as f64 / needed as f64
    };
    // Without one that is sure of itself they have said nothing yet.
    let is_said = voices.iter().any(|voice| voice.evidence >= 1.0);
    let middle = |number: &dyn Fn(&Voice<'_>) -> Option<f64>| {
        let mut numbers: Vec<f64> = voices.iter().filter_map(number).collect();
        numbers.sort_by(f64::total_cmp);
        median(&numbers)
    };
    let days = first_days(&voices);
    SharedDrift {
        key,
        is_more: voices.first().is_some_and(|voice| voice.is_more),
        evidence: if is_said { share } else { share.min(0.999) },
        judged,
        going: None,
        since: days.get(days.len() / 2).copied(),
        gap: middle(&|voice| voice.gap),
        kpi: middle(&|voice| voice.moves[0]),
        parent: middle(&|voice| voice.moves[1]),
        confidence: sure::of_most(judged, voices.iter().filter_map(|voice| voice.sure)),
        drifting: names(voices),
    }
}

fn names(voices: Vec<Voice<'_>>) -> Vec<InstanceKey> {
    voices.into_iter().map(|voice| voice.kpi.clone()).collect()
}

/// Whether a kind says that a parent brings more than its KPI explains; `None` of kinds that are about neither.
fn side_of(kind: DriftKind) -> Option<bool> {
    match kind {
        DriftKind::Hollow | DriftKind::Gaming => Some(false),
        DriftKind::Uncredited => Some(true),
        DriftKind::WeakLink | DriftKind::LagChange | DriftKind::FeedGap | DriftKind::UnitChange => None,
    }
}

/// Those that began in the same days, the surest first. One that has been apart for long is no part of what begins now.
fn at_one_time(mut voices: Vec<Voice<'_>>) -> Vec<Voice<'_>> {
    let days = first_days(&voices);
    if let Some(middle) = days.get(days.len() / 2).copied() {
        let is_near = |day: Date| (day - middle).get_days().abs() <= TOGETHER;
        voices.retain(|voice| voice.since.is_none_or(is_near));
    }
    voices.sort_by(|a, b| b.evidence.total_cmp(&a.evidence).then(a.kpi.cmp(b.kpi)));
    voices
}

/// First days of those that have said something, in order.
fn first_days(voices: &[Voice<'_>]) -> Vec<Date> {
    let mut days: Vec<Date> = voices.iter().filter_map(|voice| voice.since).collect();
    days.sort_unstable();
    days
}

fn median(sorted: &[f64]) -> Option<f64> {
    let at = sorted.len() / 2;
    let upper = *sorted.get(at)?;
    let is_even = sorted.len().is_multiple_of(2);
    Some(if is_even {
        (sorted[at - 1] + upper) / 2.0
    } else {
        upper
    })
}

/// What links say together: of each parent instance with enough links, and, where a node has many instances, of all of them.
/// In the order of parents; the whole of a node before its instances. `whole` is the link of all instances of a KPI as one.
pub fn shared<'a>(
    catalog: &Catalog,
    instances: &'a Instances,
    whole: impl Fn(NodeId) -> Option<&'a LinkState>,
) -> Vec<SharedDrift> {
    let mut sets: HashMap<InstanceKey, Siblings<'a>> = HashMap::new();
    for state in instances {
        let (Some(parent), Some(link)) = (&state.parent, state.link.as_deref()) else {
            continue;
        };
        let says = link.scores.iter().any(|score| *score > 0.0);
        if link.parent_gap.is_none() && !says {
            continue;
        }
        sets.entry(parent.clone()).or_default().add(&state.key, link);
        if !parent.dimensions.is_empty() {
            let all = whole_of(parent.node);
            sets.entry(all).or_default().add(&state.key, link);
        }
    }
    for (node, declared) in (0u32..).map(NodeId).zip(&catalog.nodes) {
        let parent = declared.parent.as_ref().map(|parent| whole_of(parent.node));
        if let (Some(siblings), Some(link)) = (parent.and_then(|key| sets.get_mut(&key)), whole(node)) {
            siblings.wholes.push((node, link));
        }
    }
    let enough = sets.into_iter().filter(|(_, siblings)| siblings.judged >= LEAST);
    let mut all: Vec<SharedDrift> = enough.map(|(key, siblings)| siblings.together(key)).collect();
    all.sort_by(|a, b| a.key.cmp(&b.key));
    all
}

impl SharedDrift {
    /// Whether it says what a link says of a kind: the link is one of those that drift, and to the same side.
    pub fn holds(&self, kpi: &InstanceKey, kind: DriftKind) -> bool {
        side_of(kind) == Some(self.is_more) && self.drifting.contains(kpi)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn key(node: u32, dimensions: &[&str]) -> InstanceKey {
        InstanceKey {
            node: NodeId(node),
            dimensions: dimensions.iter().map(|value| Arc::from(*value)).collect(),
        }
    }

    /// A link with evidence for a kind; what is sure of itself has begun on a day of March.
    fn link(kind: DriftKind, evidence: f64, day: i8, gap: f64) -> LinkState {
        let mut link = LinkState {
            parent_gap: Some(gap),
            ..LinkState::default()
        };
        link.scores[kind as usize] = evidence;
        let confidence = if evidence >= 1.0 { 0.99 } else { 0.95 };
        let mut sure = [0.0; 2];
        sure[usize::from(kind == Uncredited)] = confidence;
        link.sure = Some(sure);
        if evidence >= 1.0 {
            link.findings.push(LinkFinding {
                kind,
                since: Some(jiff::civil::date(2026, 3, day)),
                gap: Some(gap),
                kpi: Some(0.01),
                parent: Some(gap),
                evidence: Some(evidence),
                confidence: Some(confidence),
                stream: None,
                answered: None,
                lag_days: None,
            });
        }
        link
    }

    fn add(siblings: &mut Siblings<'_>, links: &[LinkState], keys: &'static [InstanceKey]) {
        for (link, key) in links.iter().zip(keys) {
            siblings.add(key, link);
        }
    }

    /// What links of one parent say together.
    fn told(links: &[LinkState]) -> SharedDrift {
        let names = (0..links.len()).map(|n| key(1, &[&format!("s{n:02}")]));
        let keys: &'static [InstanceKey] = Vec::leak(names.collect());
        let mut siblings = Siblings::default();
        add(&mut siblings, links, keys);
        siblings.together(key(0, &[]))
    }

    use DriftKind::{Gaming, Hollow, Uncredited};

    /// What forty stores say whose gaps are these, and the sum of them, which is hollow.
    fn as_one(gaps: impl Fn(usize) -> f64) -> SharedDrift {
        let links: Vec<LinkState> = (0..40).map(|n| link(Hollow, 0.1, 1, gaps(n))).collect();
        let names = (0..links.len()).map(|n| key(1, &[&format!("s{n:02}")]));
        let keys: &'static [InstanceKey] = Vec::leak(names.collect());
        // Those of another KPI go their own way.
        let others: &'static [InstanceKey] =
            Vec::leak((0..40).map(|n| key(2, &[&format!("s{n:02}")])).collect());
        let of_others = vec![link(Uncredited, 0.1, 1, 0.3); 40];
        let whole = link(Hollow, 1.3, 4, -0.12);
        let mut siblings = Siblings::default();
        add(&mut siblings, &links, keys);
        add(&mut siblings, &of_others, others);
        siblings.wholes.push((NodeId(1), &whole));
        siblings.together(key(0, &[]))
    }

    #[test]
    fn what_all_instances_say_as_one_is_said_where_enough_of_them_go_that_way() {
        let said = as_one(|n| if n < 24 { -0.08 } else { 0.1 });
        assert_eq!((said.evidence, said.judged, said.going), (1.3, 40, Some(24)));
        assert_eq!(
            (said.gap, said.since),
            (Some(-0.12), Some(jiff::civil::date(2026, 3, 4)))
        );
        // As sure as the sum of all.
        assert_eq!(said.confidence, Some(0.99));
        // One more that goes the other way: 23 of 25.5.
        let said = as_one(|n| if n < 23 { -0.08 } else { 0.1 });
        assert!((said.evidence - 23.0 / 25.5).abs() < 1e-9, "{}", said.evidence);
        // What one large store does: the others do as they please.
        let said = as_one(|n| if n == 0 { -0.9 } else { 0.0 });
        assert_eq!(said.evidence, 0.05);
        // Most of them do as they please, whichever way the others go.
        let said = as_one(|n| if n < 19 { -0.08 } else { 0.0 });
        assert_eq!(said.evidence, 0.95);
    }

    #[test]
    fn most_links_on_one_side_in_the_same_days_are_one_shock() {
        let mut links = vec![
            link(Hollow, 1.2, 4, -0.31),
            link(Hollow, 1.0, 9, -0.25),
            link(Gaming, 0.3, 1, -0.29),
        ];
        links.resize_with(5, LinkState::default);
        // Three of five are more than half; the median gap is −0.29, the middle of the two first days the later one.
        let said = told(&links);
        assert_eq!((said.evidence, said.judged, said.drifting.len()), (1.0, 5, 3));
        assert_eq!(said.gap, Some(-0.29));
        // The third has 0.05 by chance: 5/3 of that.
        let confidence = said.confidence.unwrap();
        assert!(
            (confidence - (1.0 - 0.05 * 5.0 / 3.0)).abs() < 1e-9,
            "{confidence}"
        );
        assert_eq!(said.since, Some(jiff::civil::date(2026, 3, 9)));
        assert!(!said.is_more && said.holds(&key(1, &["s02"]), Gaming));
        assert!(!said.holds(&key(1, &["s02"]), Uncredited) && !said.holds(&key(1, &["s03"]), Hollow));
        // Of six it takes four: 3 of 4.
        links.push(LinkState::default());
        let said = told(&links);
        assert_eq!((said.evidence, said.confidence), (0.75, None));
    }

    #[test]
    fn leaning_alone_and_few_links_say_nothing() {
        let leaning = vec![link(Hollow, 0.9, 1, -0.2); 40];
        assert_eq!(told(&leaning).evidence, 0.999);
        let few = vec![link(Hollow, 1.4, 1, -0.2); 4];
        assert_eq!(told(&few).evidence, 0.0);
        let below = [
            vec![link(Hollow, 1.4, 1, -0.2)],
            vec![link(Hollow, 0.24, 1, -0.2); 39],
        ]
        .concat();
        assert_eq!(told(&below).drifting.len(), 1);
    }

    #[test]
    fn what_has_been_apart_for_long_and_what_goes_the_other_way_is_no_part_of_it() {
        let mut links = vec![link(Hollow, 1.0, 30, -0.2); 4];
        links.push(link(Hollow, 1.5, 1, -0.6));
        links.push(link(Uncredited, 1.5, 30, 0.4));
        let said = told(&links);
        assert_eq!((said.drifting.len(), said.evidence), (4, 1.0));
        assert!(!said.holds(&key(1, &["s04"]), Hollow) && !said.holds(&key(1, &["s05"]), Uncredited));
    }
}
