//! The desk of tests of who is told when: an engine with a clock of seconds, and a business of a few nodes.

use super::*;
use crate::alert::dispatch::silence::Silence;
use crate::alert::dispatch::{Command, Refusal};
use crate::alert::notice::Causes;
use crate::evaluate::weights::{Proposal, Titled};

/// An engine whose clock is one of seconds; what fires is said directly.
pub(super) struct Desk {
    pub(super) engine: Engine,
    pub(super) rule: Rule,
    pub(super) routing: Routing,
    pub(super) world: Town,
    pub(super) period_end: Option<Timestamp>,
    /// What fires now, and how badly.
    pub(super) firing: BTreeMap<String, Severity>,
    pub(super) is_back: bool,
    pub(super) catching_up: bool,
    pub(super) kept: String,
    ledger: Ledger,
}

pub(super) fn second(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
}

/// A business in which one node, b1, is made up of all others.
pub(super) struct Town {
    pub(super) nothing: Calendar,
    /// Which share of b1's gap each of them is.
    pub(super) share: Option<f64>,
    /// How far a closed period came after all.
    pub(super) completion: Option<f64>,
    /// Weights that wait for a decision.
    pub(super) proposals: Vec<Titled>,
}

impl Default for Town {
    fn default() -> Town {
        Town {
            nothing: nothing(),
            share: None,
            completion: None,
            proposals: Vec::new(),
        }
    }
}

impl World for Town {
    fn calendar(&self) -> &Calendar {
        self.nothing.calendar()
    }
    fn parent_of(&self, node: &str) -> Option<&str> {
        (node != "b1").then_some("b1")
    }
    fn readers(&self, _: &str) -> Vec<&str> {
        Vec::new()
    }
    fn each_of(&self, _: &str) -> &[String] {
        &[]
    }
    fn share(&self, _: &AlertRecord) -> Option<f64> {
        self.share
    }
    fn shares(&self, _: &AlertRecord, _: &AlertRecord) -> bool {
        false
    }
    fn causes(&self, _: &AlertRecord) -> Option<Causes> {
        None
    }
    fn forecasts(&self) -> Vec<Figure> {
        Vec::new()
    }
    fn proposals(&self) -> Vec<&Proposal> {
        self.proposals.iter().map(|titled| &titled.proposal).collect()
    }
    fn titled(&self, proposal: &Proposal) -> Titled {
        let mut all = self.proposals.iter();
        all.find(|titled| titled.proposal == *proposal).unwrap().clone()
    }
    fn final_facts(&self, record: &AlertRecord) -> Option<Facts> {
        let completion = Some(self.completion?);
        let mut facts = record.facts.clone();
        facts.node.as_mut()?.completion = completion;
        Some(facts)
    }
}

/// A node under the rule, with what the routing may ask of it.
struct Node(String);

impl About for Node {
    fn labels(&self) -> Labels {
        let team = if self.0.starts_with('a') {
            "growth"
        } else {
            "sales"
        };
        [
            ("alertname", "hollow"),
            ("node", self.0.as_str()),
            ("team", team),
            ("owner", "li"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    fn facts(&self) -> Facts {
        Facts {
            title: format!("{} is behind", self.0),
            node: Some(Figure {
                title: self.0.clone(),
                completion: Some(0.4),
                ..Figure::default()
            }),
            ..Facts::default()
        }
    }
}

impl Desk {
    pub(super) fn new(routing: Routing) -> Desk {
        Desk {
            engine: Engine::new("store"),
            rule: rule(&[(Severity::WARNING, 0), (Severity::CRITICAL, 0)], 0),
            routing,
            world: Town::default(),
            period_end: None,
            firing: BTreeMap::new(),
            is_back: false,
            catching_up: false,
            kept: "{}".to_owned(),
            ledger: Ledger::default(),
        }
    }

    /// With the default times, and groups by team.
    pub(super) fn by_team() -> Desk {
        Desk::new(Routing {
            root: Some(Route {
                group_by: GroupBy::Labels(vec!["team".to_owned()]),
                repeat_within: Vec::new(),
                ..Route::to_receiver("ops")
            }),
            ..Routing::default()
        })
    }

    pub(super) fn route(&mut self) -> &mut Route {
        self.routing.root.as_mut().unwrap()
    }

    pub(super) fn fire(&mut self, names: &[&str]) {
        self.firing
            .extend(names.iter().map(|name| ((*name).to_owned(), Severity::WARNING)));
    }

    pub(super) fn worsen(&mut self, name: &str) {
        self.firing.insert(name.to_owned(), Severity::CRITICAL);
    }

    pub(super) fn clear(&mut self, name: &str) {
        self.firing.remove(name);
    }

    pub(super) fn step(&mut self, at: i64, tells: bool) -> Step {
        let rule = self.rule.clone();
        let known: Vec<String> = self
            .engine
            .records()
            .filter_map(|record| record.labels.get("node").cloned())
            .chain(self.firing.keys().cloned())
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect();
        let samples: Vec<Sample<'_, Node>> = known
            .iter()
            .map(|name| Sample {
                rule: &rule,
                node: name,
                fingerprint: fingerprint("hollow", &[("node".to_owned(), name.clone())].into()),
                condition: match self.firing.get(name) {
                    Some(severity) => Condition::Breach(*severity),
                    None => CLEAR,
                },
                period_end: self.period_end,
                is_new: false,
                about: Node(name.clone()),
            })
            .collect();
        let moment = Moment {
            now: second(at),
            routing: &self.routing,
            is_back: self.is_back,
            catching_up: self.catching_up,
            world: &self.world,
        };
        let step = self.engine.step(
            &samples,
            std::slice::from_ref(&rule),
            second(at),
            tells.then_some(moment),
        );
        self.ledger.keep(&step);
        if let Some(kept) = &step.kept {
            self.kept = serde_json::to_string(kept).unwrap();
        }
        step
    }

    /// Messages at this second: `ops[fired a1, fired a2]`.
    pub(super) fn at(&mut self, at: i64) -> String {
        messages(&self.step(at, true).notices)
    }

    /// Every message from one second to another, with its second, restarting all the while.
    pub(super) fn until(&mut self, from: i64, to: i64) -> Vec<String> {
        (from..=to)
            .filter_map(|at| {
                self.restart();
                let told = self.at(at);
                (!told.is_empty()).then(|| format!("{at}: {told}"))
            })
            .collect()
    }

    pub(super) fn restart(&mut self) {
        let records = self.engine.records();
        let records = records.map(|record| serde_json::to_string(record).unwrap());
        self.engine = self.ledger.restart(records.collect::<Vec<_>>(), &self.kept);
    }

    pub(super) fn command(&mut self, command: Command, at: i64) -> Result<String, Refusal> {
        let (answer, step) = self.engine.command(command, &self.routing, second(at));
        if let Some(kept) = &step.kept {
            self.kept = serde_json::to_string(kept).unwrap();
        }
        answer
    }

    pub(super) fn silence(&mut self, matcher: &str, from: i64, to: i64) -> Result<String, Refusal> {
        let silence = Silence {
            id: String::new(),
            matchers: vec![Matcher::parse(matcher).unwrap()],
            starts_at: second(from),
            ends_at: second(to),
            created_by: "wang".to_owned(),
            comment: "stocktaking".to_owned(),
            updated_at: second(from),
            reminded: false,
        };
        self.command(
            Command::Silence {
                silence,
                force: false,
            },
            from,
        )
    }

    pub(super) fn episode(&self, node: &str) -> String {
        let record = self
            .engine
            .records()
            .find(|record| record.labels["node"] == node)
            .unwrap();
        crate::alert::identity::episode_id("store", record.fingerprint, record.episodes)
    }

    pub(super) fn ack(&mut self, node: &str, at: i64) {
        let command = Command::Ack {
            episode: self.episode(node),
            by: "li".to_owned(),
            comment: String::new(),
            lasts: None,
        };
        self.command(command, at).unwrap();
    }
}

pub(super) fn messages(notices: &[Notice]) -> String {
    let mut bundles: Vec<(String, String, Vec<String>)> = Vec::new();
    for notice in notices {
        let quiet = if notice.quiet { "quietly " } else { "" };
        let storm = if notice.storm { "storm " } else { "" };
        let node = notice.labels.get("node").map_or("", String::as_str);
        let word = format!("{storm}{quiet}{} {node}", notice.kind.as_str())
            .trim()
            .to_owned();
        match bundles.iter_mut().find(|(receiver, bundle, _)| {
            *receiver == notice.receiver && *bundle == notice.bundle && !bundle.is_empty()
        }) {
            Some((_, _, words)) => {
                words.push(word);
                if notice.storm {
                    words.sort();
                }
            }
            None => bundles.push((notice.receiver.clone(), notice.bundle.clone(), vec![word])),
        }
    }
    let all = bundles
        .iter()
        .map(|(receiver, _, words)| format!("{receiver}[{}]", words.join(", ")));
    all.collect::<Vec<_>>().join(" ")
}
