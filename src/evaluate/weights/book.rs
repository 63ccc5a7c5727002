//! The book of weights: what was declared, proposed and decided, and what has been in force since when. Nothing that
//! stands in it is ever removed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::evidence::{Found, gather};
use super::formula::{Member, propose};
use super::{Rhythm, all_weighted, weighted};
use crate::catalog::attribute::DriftKind;
use crate::catalog::{Catalog, NodeId, WeightMode};
use crate::evaluate::snapshot::{Period, Snapshot};

/// Weights of the KPIs of one parent, from a day on.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Setting {
    /// Name of the parent.
    pub parent: String,
    /// Counts up for each parent, from 1.
    pub number: u32,
    /// The first day; `None`: from the beginning.
    pub from: Option<Date>,
    /// Points by name of the KPI.
    pub weights: BTreeMap<String, f64>,
    /// Why.
    pub why: Why,
    /// Who decided, where somebody did.
    pub by: Option<String>,
    /// What they say.
    pub note: Option<String>,
    /// When it was decided, by the clock.
    pub at: Timestamp,
}

/// Why weights are what they are.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Why {
    /// The catalogue says so.
    Declared,
    /// Somebody approved the proposal of this close.
    Approved {
        /// Name of the closed period.
        closed: String,
    },
    /// The proposal of this close applied by itself.
    Automatic {
        /// Name of the closed period.
        closed: String,
    },
}

/// What the links speak for at one close.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Proposal {
    /// Name of the parent.
    pub parent: String,
    /// Name of the closed period, such as `2026-06`.
    pub closed: String,
    /// Its last moment, in event time.
    pub at: Timestamp,
    /// The first day on which it could apply.
    pub next: Date,
    /// Every weighted KPI of the parent.
    pub lines: Vec<Line>,
    /// How it stands.
    pub standing: Standing,
}

/// What is proposed for one KPI, and the numbers behind.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Line {
    /// Name of the KPI.
    pub node: String,
    /// Points until now.
    pub before: f64,
    /// Points proposed.
    pub after: f64,
    /// What its link says; `None`: nothing yet, and the weight stays.
    pub evidence: Option<LineEvidence>,
}

/// The numbers behind one line.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LineEvidence {
    /// Its share of what the KPIs explain of their parent, 0 to 1.
    pub share: f64,
    /// How far that can be relied on, 0 to 1.
    pub confidence: f64,
    /// How strongly the parent follows, 0 to 1.
    pub strength: f64,
    /// Days judged.
    pub judged_days: u32,
    /// The word of the drift that its link is in: it can only lose.
    pub drift: Option<String>,
}

impl LineEvidence {
    fn of(found: &Found) -> LineEvidence {
        LineEvidence {
            share: found.evidence.share,
            confidence: found.evidence.confidence,
            strength: found.strength,
            judged_days: found.judged_days,
            drift: found.drift.map(|kind| kind.as_str().to_owned()),
        }
    }

    /// The drift that its link is in.
    pub fn drift(&self) -> Option<DriftKind> {
        DriftKind::of(self.drift.as_deref()?)
    }
}

/// How a proposal stands.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Standing {
    /// It waits for somebody to decide.
    Pending,
    /// Somebody approved it.
    Approved {
        /// Who.
        by: String,
        /// What they say.
        note: Option<String>,
        /// When, by the clock.
        at: Timestamp,
        /// From which day on it applies.
        from: Date,
    },
    /// Somebody rejected it.
    Rejected {
        /// Who.
        by: String,
        /// What they say.
        note: Option<String>,
        /// When, by the clock.
        at: Timestamp,
    },
    /// It applies by itself, as the catalogue says.
    Automatic {
        /// From which day on.
        from: Date,
    },
    /// A later close proposed anew before anybody decided.
    Superseded {
        /// Name of the period whose close did.
        by: String,
    },
    /// The catalogue declared other weights, or that none are proposed, before anybody decided.
    Withdrawn {
        /// When, by the clock.
        at: Timestamp,
    },
}

impl Standing {
    /// A word for machines.
    pub fn as_str(&self) -> &'static str {
        match self {
            Standing::Pending => "pending",
            Standing::Approved { .. } => "approved",
            Standing::Rejected { .. } => "rejected",
            Standing::Automatic { .. } => "automatic",
            Standing::Superseded { .. } => "superseded",
            Standing::Withdrawn { .. } => "withdrawn",
        }
    }
}

/// What somebody decides of a proposal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision {
    /// Name of the parent.
    pub parent: String,
    /// Name of the closed period.
    pub closed: String,
    /// Approve, or reject.
    pub approve: bool,
    /// Who.
    pub by: String,
    /// What they say.
    pub note: Option<String>,
}

/// Why a decision is not taken.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    /// There is no such proposal.
    #[error(
        "no weights of the KPIs of '{parent}' were proposed at the close of {closed}; GET /api/v1/weights lists what was"
    )]
    Unknown {
        /// Name of the parent.
        parent: String,
        /// Name of the closed period.
        closed: String,
    },
    /// It is decided.
    #[error("the proposal of {closed} is not pending any more: it is {standing}")]
    Decided {
        /// Name of the closed period.
        closed: String,
        /// How it stands.
        standing: &'static str,
    },
}

/// What changed in the book, to be kept.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Changed {
    /// New settings.
    pub settings: Vec<Setting>,
    /// Proposals that are new or stand otherwise, whole.
    pub proposals: Vec<Proposal>,
}

impl Changed {
    /// Whether nothing did.
    pub fn is_empty(&self) -> bool {
        self.settings.is_empty() && self.proposals.is_empty()
    }

    /// Adds what changed after.
    pub fn extend(&mut self, later: Changed) {
        self.settings.extend(later.settings);
        self.proposals.extend(later.proposals);
    }
}

/// Everything that was declared, proposed and decided.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Book {
    /// By parent, in the order of their numbers.
    settings: BTreeMap<String, Vec<Setting>>,
    /// By parent, the oldest close first.
    proposals: BTreeMap<String, Vec<Proposal>>,
}

impl Book {
    /// The book as it was kept, each in the order in which it was made.
    pub fn restore(settings: Vec<Setting>, proposals: Vec<Proposal>) -> Book {
        let mut book = Book::default();
        for setting in settings {
            book.settings
                .entry(setting.parent.clone())
                .or_default()
                .push(setting);
        }
        for proposal in proposals {
            book.proposals
                .entry(proposal.parent.clone())
                .or_default()
                .push(proposal);
        }
        book
    }

    /// What has been in force for the KPIs of a parent, the oldest first.
    pub fn settings(&self, parent: &str) -> &[Setting] {
        self.settings.get(parent).map_or(&[], Vec::as_slice)
    }

    /// What was proposed for the KPIs of a parent, the oldest first.
    pub fn proposals(&self, parent: &str) -> &[Proposal] {
        self.proposals.get(parent).map_or(&[], Vec::as_slice)
    }

    /// Every proposal, by parent.
    pub fn all_proposals(&self) -> impl Iterator<Item = &Proposal> {
        self.proposals.values().flatten()
    }

    /// Every setting, by parent.
    pub fn all_settings(&self) -> impl Iterator<Item = &Setting> {
        self.settings.values().flatten()
    }

    /// Proposals that wait for somebody to decide; one a parent at most.
    pub fn pending(&self) -> impl Iterator<Item = &Proposal> {
        self.all_proposals()
            .filter(|proposal| proposal.standing == Standing::Pending)
    }

    /// The setting of a parent's KPIs that is in force on a day.
    pub fn setting_on(&self, parent: &str, day: Date) -> Option<&Setting> {
        let settings = self.settings(parent);
        // The one decided last wins, also over one that was to apply from a later day on.
        let in_force = settings
            .iter()
            .rev()
            .find(|setting| setting.from.is_none_or(|from| from <= day));
        in_force.or(settings.first())
    }

    /// The weight of a KPI over a period that begins on `day`: what is in force then, or what is declared where the book
    /// knows of none.
    pub fn weight(&self, catalog: &Catalog, kpi: NodeId, day: Date) -> Option<f64> {
        let node = catalog.node(kpi);
        let declared = node.weight?;
        let decided = node.parent.as_ref().and_then(|link| {
            let setting = self.setting_on(&catalog.node(link.node).name, day)?;
            setting.weights.get(&node.name).copied()
        });
        Some(decided.unwrap_or(declared))
    }

    /// A catalogue is in force from now on. Where it declares other weights for the KPIs of a parent than before, they win
    /// from the running period on; what was proposed of the others is withdrawn. `today` is the local day of the watermark,
    /// `None` before the first event; `at` the clock.
    pub fn declare(&mut self, catalog: &Catalog, today: Option<Date>, at: Timestamp) -> Changed {
        let mut changed = Changed::default();
        let mut parents = Vec::new();
        for (parent, kpis) in all_weighted(catalog) {
            let name = &catalog.node(parent).name;
            parents.push(name.clone());
            let weights: BTreeMap<String, f64> = kpis
                .iter()
                .map(|kpi| catalog.node(*kpi))
                .filter_map(|node| Some((node.name.clone(), node.weight?)))
                .collect();
            let before = self.settings(name);
            let declared = before.iter().rev().find(|setting| setting.why == Why::Declared);
            if declared.is_some_and(|setting| setting.weights == weights) {
                continue;
            }
            let rhythm = rhythm(catalog, &kpis);
            let running = |day| Period::containing(rhythm.begins, day, &catalog.calendar).start;
            let setting = Setting {
                parent: name.clone(),
                number: next_number(before),
                from: declared.and(today).map(running),
                weights,
                why: Why::Declared,
                by: None,
                note: None,
                at,
            };
            let withdrawn = declared.is_some();
            self.set(setting, &mut changed);
            if withdrawn {
                self.settle(name, &Standing::Withdrawn { at }, &mut changed);
            }
        }
        let pending: Vec<String> = self.pending().map(|proposal| proposal.parent.clone()).collect();
        for parent in pending {
            if catalog.weighting.mode == WeightMode::Off || !parents.contains(&parent) {
                self.settle(&parent, &Standing::Withdrawn { at }, &mut changed);
            }
        }
        changed
    }

    /// A local day closes, with this snapshot at its last moment: proposes what the links speak for where a month or
    /// quarter closes with it. A close that was looked at is not looked at again. `at` is the clock.
    pub fn close(&mut self, catalog: &Catalog, snapshot: &Snapshot, at: Timestamp) -> Changed {
        let mut changed = Changed::default();
        let Some(watermark) = snapshot.watermark else {
            return changed;
        };
        if catalog.weighting.mode == WeightMode::Off {
            return changed;
        }
        let day = catalog.calendar.day_of(watermark);
        for (parent, kpis) in all_weighted(catalog) {
            let rhythm = rhythm(catalog, &kpis);
            let Some(period) = rhythm
                .closed_on(day, &catalog.calendar)
                .filter(|_| kpis.len() > 1)
            else {
                continue;
            };
            let name = &catalog.node(parent).name;
            let closed = period.id(&catalog.calendar);
            if self.proposals(name).iter().any(|known| known.closed == closed) {
                continue;
            }
            let Some(lines) = self.lines(catalog, snapshot, name, &kpis) else {
                continue;
            };
            let next = rhythm.next_start(day, &catalog.calendar);
            self.settle(name, &Standing::Superseded { by: closed.clone() }, &mut changed);
            let is_automatic = catalog.weighting.mode == WeightMode::Auto;
            let proposal = Proposal {
                parent: name.clone(),
                closed: closed.clone(),
                at: watermark,
                next,
                lines,
                standing: if is_automatic {
                    Standing::Automatic { from: next }
                } else {
                    Standing::Pending
                },
            };
            if is_automatic {
                let setting = Setting {
                    number: next_number(self.settings(name)),
                    from: Some(next),
                    weights: weights_after(&proposal),
                    why: Why::Automatic { closed },
                    by: None,
                    note: None,
                    at,
                    parent: name.clone(),
                };
                self.set(setting, &mut changed);
            }
            changed.proposals.push(proposal.clone());
            self.proposals.entry(name.clone()).or_default().push(proposal);
        }
        changed
    }

    /// What is proposed for each KPI; `None` where nothing changes.
    fn lines(
        &self,
        catalog: &Catalog,
        snapshot: &Snapshot,
        parent: &str,
        kpis: &[NodeId],
    ) -> Option<Vec<Line>> {
        // The last decision counts, also where it applies only later: it is not to be proposed again.
        let latest = self.settings(parent).last();
        let weight = |kpi: &NodeId| {
            let node = catalog.node(*kpi);
            let decided = latest.and_then(|setting| setting.weights.get(&node.name));
            decided.copied().or(node.weight).unwrap_or(0.0)
        };
        let found = gather(snapshot, kpis);
        let members: Vec<Member> = kpis
            .iter()
            .zip(&found)
            .map(|(kpi, found)| Member {
                weight: weight(kpi),
                evidence: found.map(|found| found.evidence),
            })
            .collect();
        let changes = propose(&members, &catalog.weighting);
        if changes.iter().all(|change| *change == 0) {
            return None;
        }
        let lines = kpis.iter().zip(&found).zip(members.iter().zip(changes));
        Some(
            lines
                .map(|((kpi, found), (member, change))| Line {
                    node: catalog.node(*kpi).name.clone(),
                    before: member.weight,
                    after: member.weight + f64::from(change),
                    evidence: found.as_ref().map(LineEvidence::of),
                })
                .collect(),
        )
    }

    /// Takes a decision. What is approved applies from the start of the next period after `today`, the local day of the
    /// watermark; `at` is the clock.
    ///
    /// # Errors
    /// Where there is no such proposal, or it is not pending any more.
    pub fn decide(
        &mut self,
        catalog: &Catalog,
        decision: Decision,
        today: Date,
        at: Timestamp,
    ) -> Result<Changed, Refused> {
        let Decision {
            parent,
            closed,
            approve,
            by,
            note,
        } = decision;
        let number = next_number(self.settings(&parent));
        let of_parent = self.proposals.get_mut(&parent);
        let found = of_parent.and_then(|all| all.iter_mut().find(|proposal| proposal.closed == closed));
        let Some(proposal) = found else {
            return Err(Refused::Unknown { parent, closed });
        };
        if proposal.standing != Standing::Pending {
            let standing = proposal.standing.as_str();
            return Err(Refused::Decided { closed, standing });
        }
        let mut changed = Changed::default();
        if !approve {
            proposal.standing = Standing::Rejected { by, note, at };
            changed.proposals.push(proposal.clone());
            return Ok(changed);
        }
        let kpis = catalog
            .node_named(&parent)
            .map_or_else(Vec::new, |parent| weighted(catalog, parent));
        let from = rhythm(catalog, &kpis)
            .next_start(today, &catalog.calendar)
            .max(proposal.next);
        proposal.standing = Standing::Approved {
            by: by.clone(),
            note: note.clone(),
            at,
            from,
        };
        let setting = Setting {
            number,
            from: Some(from),
            weights: weights_after(proposal),
            why: Why::Approved { closed },
            by: Some(by),
            note,
            at,
            parent,
        };
        changed.proposals.push(proposal.clone());
        self.set(setting, &mut changed);
        Ok(changed)
    }

    fn set(&mut self, setting: Setting, changed: &mut Changed) {
        changed.settings.push(setting.clone());
        self.settings
            .entry(setting.parent.clone())
            .or_default()
            .push(setting);
    }

    /// Nobody is to decide any more what is pending for a parent.
    fn settle(&mut self, parent: &str, standing: &Standing, changed: &mut Changed) {
        let all = self.proposals.get_mut(parent).into_iter().flatten();
        for proposal in all.filter(|proposal| proposal.standing == Standing::Pending) {
            proposal.standing = standing.clone();
            changed.proposals.push(proposal.clone());
        }
    }
}

fn rhythm(catalog: &Catalog, kpis: &[NodeId]) -> Rhythm {
    Rhythm::of(kpis.iter().map(|kpi| catalog.node(*kpi).period))
}

fn next_number(settings: &[Setting]) -> u32 {
    settings.last().map_or(1, |last| last.number + 1)
}

fn weights_after(proposal: &Proposal) -> BTreeMap<String, f64> {
    let lines = proposal.lines.iter();
    lines.map(|line| (line.node.clone(), line.after)).collect()
}
