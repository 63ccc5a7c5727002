use jiff::ToSpan;

use super::*;
use crate::alert::notice::ResolveReason;
use crate::catalog::Grade;
use crate::notify::outbox::{Outbox, Settled, Status};
use crate::notify::samples;
use crate::notify::signer::Signer;
use crate::state::{Commit, Store};
use crate::words::Language;

fn alertmanager() -> Alertmanager {
    Alertmanager {
        replicas: Vec::new(),
        shown: String::new(),
        headers: HeaderMap::new(),
        resend: Duration::from_mins(1),
        wording: Wording {
            language: Language::En,
            page: None,
            signer: Some(Signer::new(b"key")),
            zone: jiff::tz::TimeZone::UTC,
            templates: Default::default(),
        },
    }
}

fn spans(alerts: &[Json]) -> Vec<(&str, &str, &str)> {
    alerts
        .iter()
        .map(|alert| {
            let severity = alert["labels"]["severity"].as_str().unwrap();
            (
                severity,
                alert["startsAt"].as_str().unwrap(),
                alert["endsAt"].as_str().unwrap(),
            )
        })
        .collect()
}

#[test]
fn what_fires_ends_by_itself_and_a_new_severity_ends_the_one_before() {
    let now: Timestamp = "2026-06-25T00:00:00Z".parse().unwrap();
    let alertmanager = alertmanager();
    let (start, ahead) = ("2026-06-20T01:30:00Z", "2026-06-25T00:04:00Z");
    let fired = alertmanager.alerts(&samples::hollow(), now, true);
    assert_eq!(spans(&fired), [("warning", start, ahead)]);
    let worse = alertmanager.alerts(&samples::worse(), now, true);
    let here = "2026-06-25T00:00:00Z";
    assert_eq!(
        spans(&worse),
        [
            ("critical", start, ahead),
            ("info", start, here),
            ("warning", start, here)
        ]
    );
    assert_eq!(
        spans(&alertmanager.alerts(&samples::worse(), now, false)).len(),
        1
    );
    let over = alertmanager.alerts(&samples::over(ResolveReason::Recovered), now, true);
    assert_eq!(spans(&over), [("critical", start, "2026-06-23T01:30:00Z")]);
    // Event time ahead of the clock.
    let early = alertmanager.alerts(
        &samples::over(ResolveReason::Recovered),
        "2026-06-20T01:00:00Z".parse().unwrap(),
        true,
    );
    assert_eq!(
        spans(&early),
        [("critical", "2026-06-20T01:00:00Z", "2026-06-20T01:00:00Z")]
    );
}

/// Each step of a ladder is an alert of its own there: those that it left end, and no other.
#[test]
fn severities_of_the_catalogue_that_were_left_end() {
    let now: Timestamp = "2026-06-25T00:00:00Z".parse().unwrap();
    let [major, outage] = [
        Severity::added("major", Grade::Warning, 1, "Major", "重大"),
        Severity::added("outage", Grade::Critical, 1, "Outage", "停摆"),
    ];
    let left = vec![Severity::WARNING, major, outage];
    let severities = |kind: NoticeKind, severity: Severity| -> Vec<String> {
        let notice = Notice {
            kind,
            severity,
            left: left.clone(),
            ..samples::worse()
        };
        let alerts = alertmanager().alerts(&notice, now, true);
        let names = alerts.iter().map(|alert| alert["labels"]["severity"].as_str());
        names.map(|name| name.unwrap().to_owned()).collect()
    };
    assert_eq!(
        severities(NoticeKind::Escalated, Severity::CRITICAL),
        ["critical", "info", "warning", "major"]
    );
    assert_eq!(
        severities(NoticeKind::DeEscalated, Severity::CRITICAL),
        ["critical", "outage"]
    );
}

#[test]
fn the_outbox_knows_what_stands() {
    let store = Store::in_memory().unwrap();
    let now = Timestamp::now();
    let commit = |notices: &[Notice]| {
        let wall_ms = now.as_millisecond();
        store
            .commit(&Commit {
                notices,
                wall_ms,
                ..Commit::default()
            })
            .unwrap();
    };
    let settle = |status: Status, at: Timestamp| {
        let head = store
            .pending(crate::notify::outbox::Of::Others(&[]), 1)
            .unwrap()
            .remove(0);
        store
            .settle(&[head.position], &Settled::with(status, None), at)
            .unwrap();
    };
    let standing = || -> Vec<String> {
        let found = Outbox::standing(&store, "ops", now - 15.minutes()).unwrap();
        found.into_iter().map(|notice| notice.id).collect()
    };
    commit(&[samples::hollow()]);
    assert!(standing().is_empty(), "nobody knows yet");
    settle(Status::Delivered, now);
    assert_eq!(standing(), ["5e1f.1"]);
    commit(&[samples::worse()]);
    assert_eq!(standing(), ["5e1f.1"]);
    settle(Status::Delivered, now);
    assert_eq!(standing(), ["5e1f.2"]);
    commit(&[samples::over(ResolveReason::Recovered)]);
    assert!(standing().is_empty(), "its end is on its way");
    settle(Status::Delivered, now - 14.minutes());
    assert_eq!(standing(), ["5e1f.3"]);
    let later = Outbox::standing(&store, "ops", now - 13.minutes()).unwrap();
    assert!(later.is_empty());
    assert!(
        Outbox::standing(&store, "boss", now - 15.minutes())
            .unwrap()
            .is_empty()
    );
}
