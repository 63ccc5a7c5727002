//! Wire: a notice for programs, all that is known of it as JSON of a bounded size.

use serde_json::{Map, Value as Json, json};

use super::Form;
use super::message::{Item, Message};
use super::text::Fitter;
use crate::alert::notice::{Notice, NoticeKind};
use crate::alert::record::{Facts, Figure, Labels};

/// Shares of the room, in bytes as JSON holds them. Together they stay below 20 000.
const ID: usize = 160;
const TITLE: usize = 600;
const LEAD: usize = 1500;
const NAME: usize = 160;
const LABELS: usize = 24;
const LABEL: usize = 160;
const ITEM: usize = 300;
const NAMED: usize = 5;
const URL: usize = 600;

/// A notice with the words that people read of it. In the plain form without what is only good to know.
pub(super) fn notice(notice: &Notice, message: &Message, form: Form) -> Json {
    let mut fit = Fitter::default();
    let mut out = json!({
        "id": fit.json_bytes(&notice.id, ID),
        "episode": fit.json_bytes(&notice.episode, ID),
        "seq": notice.seq,
        "kind": notice.kind.as_str(),
        "reason": notice.reason,
        "alert_kind": fit.json_bytes(&notice.alert_kind, NAME),
        "severity": notice.severity.as_str(),
        "title": fit.json_bytes(&message.title, TITLE),
        "lead": fit.json_bytes(&message.lead, LEAD),
        "labels": labels(&mut fit, &notice.labels),
        "fired_at": notice.fired_at.to_string(),
        "decided_at": notice.decided_at.to_string(),
        "told_at": notice.told_at.map(|at| at.to_string()),
        "quiet": notice.quiet,
        "flapping": notice.flapping,
        "links": links(&mut fit, message),
    });
    if notice.catching_up {
        out["catching_up"] = json!(true);
    }
    if notice.kind == NoticeKind::Resolved {
        out["duration_seconds"] = json!(notice.duration().as_secs());
        out["verdict"] = json!(notice.verdict);
    }
    if form == Form::Full {
        details(&mut fit, &mut out, notice, message);
    }
    if fit.cut {
        out["shortened"] = json!(true);
    }
    without_nulls(out)
}

fn details(fit: &mut Fitter, out: &mut Json, notice: &Notice, message: &Message) {
    let facts = |fit: &mut Fitter, facts: &Facts| {
        let mut both = Map::new();
        for (name, figure) in [("node", &facts.node), ("parent", &facts.parent)] {
            if let Some(figure) = figure {
                both.insert(name.to_owned(), self::figure(fit, figure));
            }
        }
        Json::Object(both)
    };
    out["facts"] = facts(fit, &notice.facts);
    out["facts"]["link"] = json!(notice.facts.link.as_ref().map(|link| json!({
        "since": link.since.map(|day| day.to_string()),
        "gap_ratio": link.gap,
        "confidence_ratio": link.confidence,
        "evidence_ratio": link.evidence,
        "lag_days": link.lag_days,
        "strength_ratio": link.strength,
        "answered_ratio": link.answered,
        "answered_after_days": link.answered_after,
    })));
    out["facts"]["shared"] = json!(notice.facts.shared.as_ref().map(|shared| json!({
        "direction": if shared.is_more { "more" } else { "less" },
        "drifting": shared.drifting,
        "judged": shared.judged,
        "going": shared.going,
        "names": shared.names.iter().take(NAMED).map(|name| fit.json_bytes(name, NAME)).collect::<Vec<_>>(),
        "since": shared.since.map(|day| day.to_string()),
        "gap_ratio": shared.gap,
        "confidence_ratio": shared.confidence,
    })));
    out["facts"]["delivery"] = json!(notice.facts.delivery.as_ref().map(|delivery| json!({
        "receiver": fit.json_bytes(&delivery.receiver, NAME),
        "lost": delivery.lost,
        "since": delivery.since.map(|at| at.to_string()),
        "reason": delivery.reason.as_ref().map(|reason| fit.json_bytes(reason, ITEM)),
        "others": delivery.others.iter().take(NAMED).map(|name| fit.json_bytes(name, NAME)).collect::<Vec<_>>(),
    })));
    out["facts_at_firing"] = match &notice.facts_at_firing {
        Some(then) if notice.kind == NoticeKind::Resolved => facts(fit, then),
        _ => Json::Null,
    };
    out["facts_at_peak"] = match &notice.peak {
        Some(peak) if notice.kind == NoticeKind::Resolved => facts(fit, peak),
        _ => Json::Null,
    };
    if let Some(ack) = &notice.ack {
        out["acknowledged"] = json!({
            "by": fit.json_bytes(&ack.by, NAME),
            "comment": fit.json_bytes(&ack.comment, ITEM),
            "at": ack.at.to_string(),
            "until": ack.until.to_string(),
        });
    }
    out["because"] = json!(notice.because);
    out["episodes_in_24h"] = json!(notice.again.as_ref().map(|again| again.count));
    let explains: Vec<String> = notice
        .explains
        .iter()
        .take(NAMED)
        .map(|heading| fit.json_bytes(heading.text(message.language), NAME))
        .collect();
    if !explains.is_empty() {
        out["explains"] = json!({"titles": explains, "count": notice.explains.len()});
    }
    let items: Vec<Json> = message.items.iter().map(|item| self::item(fit, item)).collect();
    if !items.is_empty() {
        out["items"] = json!({"listed": items, "more": message.more});
    }
}

fn figure(fit: &mut Fitter, figure: &Figure) -> Json {
    json!({
        "title": fit.json_bytes(&figure.title, NAME),
        "instance": fit.json_bytes(&figure.instance, NAME),
        "unit": figure.unit.as_ref().map(|unit| fit.json_bytes(unit, NAME)),
        "owner": figure.owner.as_ref().map(|owner| fit.json_bytes(owner, NAME)),
        "period": fit.json_bytes(&figure.period, NAME),
        "value": figure.value,
        "target": figure.target,
        "target_band": figure.band.map(|band| [band.low, band.high]),
        "completion_ratio": figure.completion,
        "expected_ratio": figure.expected_share,
        "pace_ratio": figure.pace,
        "forecast": figure.forecast,
        "target_probability": figure.target_probability,
    })
}

fn item(fit: &mut Fitter, item: &Item) -> Json {
    json!({"title": fit.json_bytes(&item.title, ITEM), "lead": fit.json_bytes(&item.lead, ITEM)})
}

/// So many labels, and how many there are beyond them.
fn labels(fit: &mut Fitter, labels: &Labels) -> Json {
    let shown = labels.iter().take(LABELS);
    if labels.len() > LABELS {
        fit.cut = true;
    }
    shown
        .map(|(name, value)| {
            (
                fit.json_bytes(name, LABEL / 2),
                json!(fit.json_bytes(value, LABEL)),
            )
        })
        .collect::<Map<String, Json>>()
        .into()
}

/// An address that is cut leads nowhere: one that is too long is left out.
fn links(fit: &mut Fitter, message: &Message) -> Json {
    let fits = message.links.iter().filter(|link| link.url.len() <= URL);
    fits.map(|link| json!({"label": fit.json_bytes(&link.label, NAME), "url": link.url}))
        .collect()
}

fn without_nulls(value: Json) -> Json {
    match value {
        Json::Object(map) => {
            let kept = map.into_iter().filter(|(_, value)| !value.is_null());
            kept.map(|(name, value)| (name, without_nulls(value)))
                .collect::<Map<_, _>>()
                .into()
        }
        Json::Array(list) => list.into_iter().map(without_nulls).collect(),
        other => other,
    }
}
