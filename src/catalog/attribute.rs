//! What rules and titles may ask of a node, a link or an item: `node.pace`, `kpi.completion`, `parent.title`, `link.gap`.

use std::sync::LazyLock;

use super::diagnostic::nearest;
use super::expr::{Type, Variable};
use super::model::RuleOn;

/// What the judgement of a link can say.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum DriftKind {
    /// The KPI is done, the parent falls behind what it explains.
    Hollow,
    /// The KPI rises, the parent does not answer.
    Gaming,
    /// The parent rises without its KPI.
    Uncredited,
    /// The parent no longer moves with its KPI.
    WeakLink,
    /// The parent answers later than it did.
    LagChange,
    /// No data comes.
    FeedGap,
    /// Values are of another size than they were.
    UnitChange,
}

impl DriftKind {
    /// Every kind.
    pub const ALL: [DriftKind; 7] = [
        DriftKind::Hollow,
        DriftKind::Gaming,
        DriftKind::Uncredited,
        DriftKind::WeakLink,
        DriftKind::LagChange,
        DriftKind::FeedGap,
        DriftKind::UnitChange,
    ];

    /// The word for it, in rules, labels and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            DriftKind::Hollow => "hollow",
            DriftKind::Gaming => "gaming",
            DriftKind::Uncredited => "uncredited",
            DriftKind::WeakLink => "weak_link",
            DriftKind::LagChange => "lag_change",
            DriftKind::FeedGap => "feed_gap",
            DriftKind::UnitChange => "unit_change",
        }
    }

    /// The kind of a word.
    pub fn of(word: &str) -> Option<DriftKind> {
        DriftKind::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// Whether a word is one for what is wrong with a feed, before anything is read out of it.
    pub fn is_about_feeds(word: &str) -> bool {
        [DriftKind::FeedGap, DriftKind::UnitChange]
            .iter()
            .any(|kind| kind.as_str() == word)
    }
}

/// Whom a rule asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subject {
    /// `node.*`: the node of a rule on nodes.
    Node,
    /// `kpi.*`: the KPI of a link.
    Kpi,
    /// `parent.*`: the parent of a link.
    Parent,
    /// `link.*`: the link itself.
    Link,
    /// `item.*`: an open item of the node.
    Item,
    /// `source.*`: a source.
    Source,
    /// `siblings.*`: the links that serve one node.
    Siblings,
}

/// What it asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Attribute {
    /// Name in the catalogue.
    Name,
    /// Title for people.
    Title,
    /// Who answers for it.
    Owner,
    /// Level.
    Level,
    /// The running period: `2026-06`.
    Period,
    /// Value so far.
    Value,
    /// Target.
    Target,
    /// Completion.
    Completion,
    /// Pace.
    Pace,
    /// How many times as fast as of late it would have to go to meet its target.
    Burn,
    /// Whether that is said of it at all.
    HasBurn,
    /// Planned share by now.
    ExpectedShare,
    /// Projected final value.
    Forecast,
    /// Probability of meeting the target.
    TargetProbability,
    /// Completion as it counts in a score.
    Score,
    /// Share of the period that has passed.
    Elapsed,
    /// How far its parts are from coming to it, as a share of it.
    Unreconciled,
    /// Days since the end of the period for which an entry is missing; 0 when none is.
    MissedEntryDays,
    /// Days without data, where they are more than chance explains; else 0, and where links watch the feed.
    SilentDays,
    /// How many times their usual size values are since their unit changed; else 1, and where links watch the feed.
    UnitFactor,
    /// Of a link: `kpi.pace − parent.pace`.
    Gap,
    /// Of a link: how strongly the parent follows, 0 to 1.
    Strength,
    /// Of a link: how many days later the parent follows.
    LagDays,
    /// Of an item: what the key says.
    ItemName,
    /// Of an item: days since its start.
    AgeDays,
    /// Of an item: days beyond its node's `overdue_after`.
    OverdueDays,
    /// Of a source: its name.
    SourceName,
    /// Of a source: events that were rejected over the last 24 hours.
    Rejected,
    /// Of a source: rejected events as a share of all, over the last 24 hours.
    RejectedShare,
    /// Of a source: its `max_rejected`.
    MaxRejected,
    /// Of a source: what its bounds let go over the last 24 hours.
    LetGo,
    /// Of a source: its silence as a share of what is too long.
    Staleness,
    /// Of a source: minutes in which nothing came although it could have been heard.
    SilentMinutes,
    /// Of a source: the events of the last hour by those of the busiest one of four weeks.
    Surge,
    /// Of a link: how far the parent is from what its KPI explains, as a share; below 0 where it brings less.
    ParentGap,
    /// Of siblings: links that drift to one side, as a share of more than half of them.
    SharedDrift,
    /// Of siblings: how many of them drift to one side.
    Drifting,
    /// Of siblings: how many are judged.
    JudgedLinks,
    /// Of a link: evidence for a kind of drift, as a share of what it takes to say so.
    Drift(DriftKind),
}

impl Attribute {
    /// Whether it is a whole number of things.
    pub(super) fn is_count(self) -> bool {
        matches!(
            self,
            Attribute::SilentDays
                | Attribute::Rejected
                | Attribute::LetGo
                | Attribute::Drifting
                | Attribute::JudgedLinks
        )
    }
}

/// One variable of a rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RuleVariable {
    /// Whom it asks.
    pub subject: Subject,
    /// What it asks.
    pub attribute: Attribute,
}

const OF_A_NODE: [(&str, Attribute, Type); 20] = [
    ("name", Attribute::Name, Type::Text),
    ("title", Attribute::Title, Type::Text),
    ("owner", Attribute::Owner, Type::Text),
    ("level", Attribute::Level, Type::Text),
    ("period", Attribute::Period, Type::Text),
    ("value", Attribute::Value, Type::Number),
    ("target", Attribute::Target, Type::Number),
    ("completion", Attribute::Completion, Type::Number),
    ("pace", Attribute::Pace, Type::Number),
    ("burn", Attribute::Burn, Type::Number),
    ("has_burn", Attribute::HasBurn, Type::Bool),
    ("expected_share", Attribute::ExpectedShare, Type::Number),
    ("forecast", Attribute::Forecast, Type::Number),
    ("target_probability", Attribute::TargetProbability, Type::Number),
    ("score", Attribute::Score, Type::Number),
    ("elapsed", Attribute::Elapsed, Type::Number),
    ("unreconciled", Attribute::Unreconciled, Type::Number),
    ("missed_entry_days", Attribute::MissedEntryDays, Type::Number),
    ("silent_days", Attribute::SilentDays, Type::Number),
    ("unit_factor", Attribute::UnitFactor, Type::Number),
];

const OF_AN_ITEM: [(&str, Attribute, Type); 3] = [
    ("name", Attribute::ItemName, Type::Text),
    ("age_days", Attribute::AgeDays, Type::Number),
    ("overdue_days", Attribute::OverdueDays, Type::Number),
];

const OF_A_SOURCE: [(&str, Attribute, Type); 8] = [
    ("name", Attribute::SourceName, Type::Text),
    ("rejected", Attribute::Rejected, Type::Number),
    ("rejected_share", Attribute::RejectedShare, Type::Number),
    ("max_rejected", Attribute::MaxRejected, Type::Number),
    ("let_go", Attribute::LetGo, Type::Number),
    ("staleness", Attribute::Staleness, Type::Number),
    ("silent_minutes", Attribute::SilentMinutes, Type::Number),
    ("surge", Attribute::Surge, Type::Number),
];

const OF_SIBLINGS: [(&str, Attribute, Type); 7] = [
    ("name", Attribute::Name, Type::Text),
    ("title", Attribute::Title, Type::Text),
    ("owner", Attribute::Owner, Type::Text),
    ("drift", Attribute::SharedDrift, Type::Number),
    ("drifting", Attribute::Drifting, Type::Number),
    ("judged", Attribute::JudgedLinks, Type::Number),
    ("parent_gap", Attribute::ParentGap, Type::Number),
];

const OF_A_LINK: [(&str, Attribute, Type); 11] = [
    ("gap", Attribute::Gap, Type::Number),
    ("strength", Attribute::Strength, Type::Number),
    ("lag_days", Attribute::LagDays, Type::Number),
    ("parent_gap", Attribute::ParentGap, Type::Number),
    ("hollow", Attribute::Drift(DriftKind::Hollow), Type::Number),
    ("gaming", Attribute::Drift(DriftKind::Gaming), Type::Number),
    (
        "uncredited",
        Attribute::Drift(DriftKind::Uncredited),
        Type::Number,
    ),
    ("weak_link", Attribute::Drift(DriftKind::WeakLink), Type::Number),
    ("lag_change", Attribute::Drift(DriftKind::LagChange), Type::Number),
    ("feed_gap", Attribute::Drift(DriftKind::FeedGap), Type::Number),
    (
        "unit_change",
        Attribute::Drift(DriftKind::UnitChange),
        Type::Number,
    ),
];

/// Variables of a rule with what they ask, index by index.
pub struct Vocabulary {
    /// Names and types, for [`super::expr::Expr::compile`].
    pub variables: Vec<Variable>,
    /// What each asks.
    pub asks: Vec<RuleVariable>,
}

static ON_NODES: LazyLock<Vocabulary> = LazyLock::new(|| vocabulary(&[("node", Subject::Node)]));
static ON_ITEMS: LazyLock<Vocabulary> = LazyLock::new(|| {
    let mut words = vocabulary(&[("node", Subject::Node)]);
    for (name, attribute, kind) in OF_AN_ITEM {
        words.variables.push(Variable::new(format!("item.{name}"), kind));
        words.asks.push(RuleVariable {
            subject: Subject::Item,
            attribute,
        });
    }
    words
});
static ON_SOURCES: LazyLock<Vocabulary> = LazyLock::new(|| only("source", Subject::Source, &OF_A_SOURCE));
static ON_SIBLINGS: LazyLock<Vocabulary> =
    LazyLock::new(|| only("siblings", Subject::Siblings, &OF_SIBLINGS));
static ON_LINKS: LazyLock<Vocabulary> = LazyLock::new(|| {
    let mut words = vocabulary(&[("kpi", Subject::Kpi), ("parent", Subject::Parent)]);
    for (name, attribute, kind) in OF_A_LINK {
        words.variables.push(Variable::new(format!("link.{name}"), kind));
        words.asks.push(RuleVariable {
            subject: Subject::Link,
            attribute,
        });
    }
    words
});

/// Of one subject that is no node.
fn only(prefix: &str, subject: Subject, words: &[(&str, Attribute, Type)]) -> Vocabulary {
    let variable =
        |(name, _, kind): &(&str, Attribute, Type)| Variable::new(format!("{prefix}.{name}"), *kind);
    let asks = |(_, attribute, _): &(&str, Attribute, Type)| RuleVariable {
        subject,
        attribute: *attribute,
    };
    Vocabulary {
        variables: words.iter().map(variable).collect(),
        asks: words.iter().map(asks).collect(),
    }
}

fn vocabulary(subjects: &[(&str, Subject)]) -> Vocabulary {
    let mut words = Vocabulary {
        variables: Vec::new(),
        asks: Vec::new(),
    };
    for (prefix, subject) in subjects {
        for (name, attribute, kind) in OF_A_NODE {
            words
                .variables
                .push(Variable::new(format!("{prefix}.{name}"), kind));
            words.asks.push(RuleVariable {
                subject: *subject,
                attribute,
            });
        }
    }
    words
}

/// The variables of rules on nodes, on links, on items, on sources, or on siblings.
pub fn vocabulary_of(on: RuleOn) -> &'static Vocabulary {
    match on {
        RuleOn::Node => &ON_NODES,
        RuleOn::Link => &ON_LINKS,
        RuleOn::Item => &ON_ITEMS,
        RuleOn::Source => &ON_SOURCES,
        RuleOn::Siblings => &ON_SIBLINGS,
    }
}

/// A title with places for values: `{{ kpi.title }} is done, {{ parent.title }} is not`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Title(pub Vec<TitlePart>);

/// A part of a title.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TitlePart {
    /// As it stands.
    Text(String),
    /// Replaced by a value.
    Value(RuleVariable),
}

impl Title {
    /// Reads a title.
    ///
    /// # Errors
    /// An unknown variable or an open `{{`, with its offset in characters.
    pub fn parse(text: &str, on: RuleOn) -> Result<Title, (usize, String)> {
        let words = vocabulary_of(on);
        let mut parts = Vec::new();
        let mut rest = text;
        let offset = |rest: &str| text.chars().count() - rest.chars().count();
        while let Some(open) = rest.find("{{") {
            if open > 0 {
                parts.push(TitlePart::Text(rest[..open].to_owned()));
            }
            let inside = &rest[open + 2..];
            let close = inside
                .find("}}")
                .ok_or((offset(&rest[open..]), "this {{ is never closed by }}".to_owned()))?;
            let name = inside[..close].trim();
            let at = words
                .variables
                .iter()
                .position(|variable| variable.name == name)
                .ok_or_else(|| {
                    let names = words.variables.iter().map(|variable| variable.name.as_str());
                    let hint = nearest(name, names)
                        .map_or_else(String::new, |near| format!("; did you mean '{near}'?"));
                    (
                        offset(inside.trim_start()),
                        format!("'{name}' is not known in a title{hint}"),
                    )
                })?;
            parts.push(TitlePart::Value(words.asks[at]));
            rest = &inside[close + 2..];
        }
        if !rest.is_empty() {
            parts.push(TitlePart::Text(rest.to_owned()));
        }
        Ok(Title(parts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_have_places_for_values() {
        let title = Title::parse("{{ kpi.title }} is done", RuleOn::Link).unwrap();
        let variable = RuleVariable {
            subject: Subject::Kpi,
            attribute: Attribute::Title,
        };
        assert_eq!(
            title.0,
            [TitlePart::Value(variable), TitlePart::Text(" is done".to_owned())]
        );
        let error = Title::parse("é {{ kpi.titel }}", RuleOn::Link).unwrap_err();
        assert_eq!(
            error,
            (
                5,
                "'kpi.titel' is not known in a title; did you mean 'kpi.title'?".to_owned()
            )
        );
        assert!(Title::parse("{{ kpi.title", RuleOn::Link).is_err());
        assert!(Title::parse("{{ kpi.title }}", RuleOn::Node).is_err());
    }
}
