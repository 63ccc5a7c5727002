//! Sample notices for tests.

use crate::alert::notice::{Aside, Digest, Notice, NoticeKind, ResolveReason};
use crate::alert::record::{Compared, Facts, Figure};
use crate::catalog::Severity;
use crate::evaluate::weights::{Line, LineEvidence, Proposal, Standing, Titled};

/// A KPI that is done while the business it serves is not.
pub(crate) fn hollow() -> Notice {
    let labels = [
        ("alertname", "hollow"),
        ("node", "articles"),
        ("parent", "revenue"),
        ("period", "2026-06"),
    ];
    Notice {
        id: "5e1f.1".into(),
        episode: "5e1f".into(),
        seq: 1,
        receiver: "ops".into(),
        kind: NoticeKind::Fired,
        reason: None,
        alert_kind: "hollow".into(),
        severity: Severity::WARNING,
        left: Vec::new(),
        labels: labels
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        fired_at: "2026-06-20T01:30:00Z".parse().unwrap(),
        decided_at: "2026-06-20T01:30:00Z".parse().unwrap(),
        facts: facts(0.96, 0.41),
        facts_at_firing: None,
        peak: None,
        verdict: None,
        again: None,
        flapping: false,
        told_at: None,
        bundle: String::new(),
        group: Default::default(),
        route: String::new(),
        wait_ms: 0,
        group_fires: false,
        storm: false,
        quiet: false,
        catching_up: false,
        because: None,
        ack: None,
        explains: Vec::new(),
        causes: None,
        aside: None,
    }
}

/// The same, worse, three hours later.
pub(crate) fn worse() -> Notice {
    Notice {
        id: "5e1f.2".into(),
        seq: 2,
        kind: NoticeKind::Escalated,
        severity: Severity::CRITICAL,
        decided_at: "2026-06-20T04:30:00Z".parse().unwrap(),
        facts: facts(1.04, 0.42),
        ..hollow()
    }
}

/// Its end, three days later.
pub(crate) fn over(reason: ResolveReason) -> Notice {
    Notice {
        id: "5e1f.3".into(),
        seq: 3,
        kind: NoticeKind::Resolved,
        reason: Some(reason),
        decided_at: "2026-06-23T01:30:00Z".parse().unwrap(),
        facts: facts(1.04, 0.78),
        facts_at_firing: Some(facts(0.96, 0.41)),
        ..worse()
    }
}

/// The same, with an hour between that was worse than both.
pub(crate) fn over_after_worse(reason: ResolveReason) -> Notice {
    Notice {
        peak: Some(facts(1.01, 0.35)),
        ..over(reason)
    }
}

fn facts(kpi: f64, business: f64) -> Facts {
    let figure = |title: &str, unit: Option<&str>, owner: &str, completion: f64, target: f64| Figure {
        title: title.into(),
        unit: unit.map(str::to_owned),
        owner: Some(owner.into()),
        period: "2026-06".into(),
        value: Some(completion * target),
        target: Some(target),
        completion: Some(completion),
        expected_share: Some(0.65),
        pace: Some(completion / 0.65),
        ..Figure::default()
    };
    let daily = |values: [f64; 8]| values.map(Some).to_vec();
    Facts {
        title: "文章数已完成，营收没有".into(),
        title_zh: None,
        source: None,
        shared: None,
        item: None,
        entry: None,
        delivery: None,
        crowd: None,
        parent_owner: None,
        compared: Compared::default(),
        node: Some(Figure {
            daily: daily([0.0, 2.0, 3.0, 5.0, 6.0, 8.0, 9.0, 14.0]),
            ..figure("文章数", None, "小王", kpi, 100.0)
        }),
        parent: Some(Figure {
            daily: daily([10.0, 10.0, 11.0, 10.0, 10.0, 9.0, 10.0, 10.0]),
            ..figure("营收", Some("CNY"), "老李", business, 1e6)
        }),
        link: None,
    }
}

/// The notice with another identity: episode `e<n>`, and its place in the episode.
pub(crate) fn numbered(notice: Notice, episode: u32) -> Notice {
    Notice {
        id: format!("e{episode}.{}", notice.seq),
        episode: format!("e{episode}"),
        ..notice
    }
}

/// Other weights for the KPIs of revenue, proposed at the close of June.
pub(crate) fn proposed() -> Notice {
    let line = |node: &str, before, after, share| Line {
        node: node.to_owned(),
        before,
        after,
        evidence: Some(LineEvidence {
            share,
            confidence: 0.7,
            strength: 0.4,
            judged_days: 252,
            drift: None,
        }),
    };
    let proposal = Proposal {
        parent: "营收".to_owned(),
        closed: "2026-06".to_owned(),
        at: hollow().decided_at,
        next: "2026-07-01".parse().unwrap(),
        lines: vec![
            line("articles", 90.0, 84.0, 0.12),
            line("visits", 60.0, 66.0, 0.88),
        ],
        standing: Standing::Pending,
    };
    Notice {
        kind: NoticeKind::Proposal,
        aside: Some(Box::new(Aside::Weights(Titled {
            title: "营收".to_owned(),
            owner: Some("ceo".to_owned()),
            titles: vec!["文章".to_owned(), "拜访".to_owned()],
            proposal,
        }))),
        ..hollow()
    }
}

/// A digest in which nothing fires and so many proposals of this parent wait.
pub(crate) fn waiting(parent: &str, many: usize) -> Notice {
    let proposed = proposed();
    let Some(Aside::Weights(proposal)) = proposed.aside.as_deref() else {
        unreachable!("it is about weights");
    };
    let proposal = Titled {
        title: parent.to_owned(),
        ..proposal.clone()
    };
    let digest = Digest {
        name: Some("morning".to_owned()),
        from: proposed.fired_at,
        until: proposed.decided_at,
        open: Vec::new(),
        ended: Vec::new(),
        waiting: vec![proposal; many],
        forecast: Vec::new(),
    };
    Notice {
        kind: NoticeKind::Digest,
        aside: Some(Box::new(Aside::Digest(digest))),
        ..hollow()
    }
}
