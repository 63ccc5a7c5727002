//! What people type in: kept with who and when, corrected and never erased, counted once whatever happens.

use std::time::Duration;

use jiff::{Timestamp, ToSpan};
use serde_json::json;

use crate::parts::daemon::{Daemon, Site, TOKEN, shown, tautline, zone_at_noon};
use crate::parts::http::{Answer, send};
use crate::parts::scratch;

const WITHIN: Duration = Duration::from_secs(30);

#[test]
fn an_answered_entry_and_its_correction_survive_a_crash() {
    let site = Site::without_broker().declares(&catalog());
    let mut daemon = site.start();
    let first = post(&daemon, "complaints", &[], &json!({"value": 5, "by": "lead"}));
    assert_eq!(
        (first.status, &first.json()["data"]["number"]),
        (200, &1.into()),
        "{first:?}"
    );
    let keyed = [("Idempotency-Key", "one")];
    let second = json!({"value": "7.5", "by": "王芳", "note": "第 2 周"});
    post(&daemon, "complaints", &keyed, &second);
    daemon.kill();

    daemon = site.start();
    daemon.wait_for_value("complaints", WITHIN, 12.5);
    let again = post(&daemon, "complaints", &keyed, &second).json();
    assert_eq!(
        (&again["data"]["number"], &again["data"]["repeated"]),
        (&2.into(), &true.into())
    );
    // 5 should have been 50: what was wrong is taken back, and still stands in the list.
    let corrected = post(
        &daemon,
        "complaints",
        &[],
        &json!({"value": 50, "by": "lead", "replaces": 1}),
    );
    assert_eq!(corrected.status, 200, "{corrected:?}");
    daemon.kill();

    daemon = site.start();
    daemon.wait_for_value("complaints", WITHIN, 57.5);
    let list = daemon.get("/api/v1/entries/complaints").json();
    let entries: Vec<String> = list["data"]["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            format!(
                "{} {} {} {} {}",
                entry["number"], entry["value"], entry["by"], entry["replaces"], entry["replaced_by"]
            )
        })
        .collect();
    assert_eq!(
        entries,
        [
            r#"3 "50" "lead" 1 null"#,
            r#"2 "7.5" "王芳" null null"#,
            r#"1 "5" "lead" null 3"#
        ]
    );
    // The newest correction of a level counts, whatever the order of the days.
    post(&daemon, "nps", &[], &json!({"value": 40, "by": "lead"}));
    post(
        &daemon,
        "nps",
        &[],
        &json!({"value": 42, "by": "lead", "replaces": 1}),
    );
    daemon.wait_for_value("nps", WITHIN, 42.0);

    for (metric, entry, status, says) in [
        (
            "complaints",
            json!({"value": 1, "by": "me"}),
            422,
            "entered_by has lead, 王芳",
        ),
        (
            "complaints",
            json!({"value": 1, "by": "lead", "replaces": 1}),
            422,
            "corrected already",
        ),
        (
            "complaints",
            json!({"value": 1, "by": "lead", "replaces": 9}),
            404,
            "no entry of this number",
        ),
        (
            "complaints",
            json!({"value": 1, "by": "lead", "at": "2999-01-01"}),
            422,
            "in the future",
        ),
        (
            "complaint",
            json!({"value": 1, "by": "lead"}),
            404,
            "did you mean 'complaints'?",
        ),
    ] {
        let answer = post(&daemon, metric, &[], &entry);
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(answer.body.contains(says), "{answer:?}");
    }
    let json = ("Content-Type", "application/json");
    let nobody = send(daemon.port(), "/api/v1/entries/nps", &[json], b"{}").unwrap();
    assert_eq!(nobody.status, 401, "{nobody:?}");
    daemon.wait_for_evaluations(2);
    daemon.wait_for_value("complaints", WITHIN, 57.5);
    daemon.stop();
}

#[test]
fn the_form_on_the_page_takes_an_entry_once() {
    let site = Site::without_broker().declares(&catalog());
    let daemon = site.start();
    crate::parts::wait::until("the page is there", WITHIN, || {
        (daemon.get("/nodes/complaints").status == 200).then_some(())
    });
    let page = daemon.get("/nodes/complaints?lang=en").body;
    assert!(page.contains("id=\"entry-form\""), "{page}");
    let form = |fields: &str| {
        let kind = ("Content-Type", "application/x-www-form-urlencoded");
        send(
            daemon.port(),
            "/nodes/complaints/entries?lang=en",
            &[kind],
            fields.as_bytes(),
        )
        .unwrap()
    };
    let today = Timestamp::now().to_string()[..10].to_owned();
    let good = format!("key=k1&value=8.5&by=lead&at={today}&note=a+b&token={TOKEN}");
    let taken = form(&good);
    assert_eq!(taken.status, 303, "{taken:?}");
    assert_eq!(form(&good).status, 303, "a second click");
    daemon.wait_for_value("complaints", WITHIN, 8.5);
    let refused = form("key=k2&value=abc&by=lead&token=wrong");
    assert!(
        refused.status == 401 && refused.body.contains("role=\"alert\""),
        "{refused:?}"
    );
    let refused = form(&format!("key=k2&value=abc&by=lead&token={TOKEN}"));
    assert!(
        refused.status == 422 && refused.body.contains("and this is 'abc'"),
        "{refused:?}"
    );
    let refused = form(&format!("key=k2&value=12,000&by=lead&token={TOKEN}"));
    assert!(
        refused.status == 422 && refused.body.contains("has a comma"),
        "{refused:?}"
    );
    assert!(!refused.body.contains(TOKEN), "a token is shown");
    let page = daemon.get("/nodes/complaints?lang=en&correct=1").body;
    assert!(
        page.contains("Correct entry 1") && page.contains("name=\"replaces\""),
        "{page}"
    );
    daemon.stop();
}

#[test]
fn a_missed_entry_is_told_with_who_should_enter_it_and_a_file_brings_it() {
    let site = Site::without_broker().declares(&catalog());
    let daemon = site.start();
    let missed = |daemon: &Daemon| {
        let alerts = daemon.get("/api/v1/alerts").json();
        let all = alerts["data"]["alerts"].as_array().unwrap().clone();
        all.into_iter()
            .filter(|alert| alert["labels"]["alertname"] == "entry_missed")
            .collect::<Vec<_>>()
    };
    // Nobody typed anything in: that is no 0.
    assert_eq!(
        daemon
            .metrics()
            .get("tautline_kpi_value", &[("node", "complaints")]),
        None
    );
    let settings = site.settings();
    let folder = scratch("entries");
    let import = |name: &str, lines: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, format!("value,by,at,note\n{lines}")).unwrap();
        tautline(&[
            "import",
            "--entries",
            "nps",
            "--config",
            settings.to_str().unwrap(),
            file.to_str().unwrap(),
        ])
    };
    // What was declared today is missed for no week before; an entry says that there was one.
    assert_eq!(missed(&daemon).len(), 0);
    let before_last = Timestamp::now() - (24 * 14).hours();
    let brought = import("older.csv", &format!("39,lead,{before_last},\n"));
    assert_eq!(brought.status.code(), Some(0), "{}", shown(&brought));
    crate::parts::wait::until_ok("the entry is missed", WITHIN, || {
        let found = missed(&daemon);
        if found.len() == 1 {
            Ok(())
        } else {
            Err(daemon.get("/api/v1/alerts").body)
        }
    });
    let alert = missed(&daemon).remove(0);
    assert_eq!(alert["labels"]["node"], "nps", "{alert}");
    let page = daemon.get("/?lang=zh").body;
    assert!(
        page.contains("该填报了") && page.contains("请 lead 在节点页面上填写"),
        "{page}"
    );

    let last_week = Timestamp::now() - (24 * 7).hours();
    let lines = format!("41,lead,{last_week},from the survey\n41,nobody,{last_week},\n");
    let first = import("nps.csv", &lines);
    assert_eq!(first.status.code(), Some(1), "{}", shown(&first));
    assert!(
        shown(&first).contains("nps.csv:3: 'nobody' may not enter 'nps'"),
        "{}",
        shown(&first)
    );
    let second = import("nps.csv", &lines);
    assert!(
        shown(&second).contains("1 entries taken, 1 rejected; 1 of them had been imported before"),
        "{}",
        shown(&second)
    );
    crate::parts::wait::until_ok("the alert is over", WITHIN, || {
        let found = missed(&daemon);
        if found.is_empty() {
            Ok(())
        } else {
            Err(format!("{found:?}"))
        }
    });
    let list = daemon.get("/api/v1/entries/nps").json();
    assert_eq!(list["data"]["entries"].as_array().unwrap().len(), 2);
    daemon.stop();
}

/// Lines are those that an editor shows, whatever stands in between: a byte order mark, either end of a line, blank
/// lines, and cells that go over several lines, some of them blank.
#[test]
fn a_table_that_is_imported_names_the_line_of_every_mistake() {
    let site = Site::without_broker().declares(&catalog());
    let daemon = site.start();
    let settings = site.settings();
    let folder = scratch("table");
    let import = |name: &str, file: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, file).unwrap();
        let (config, path) = (settings.to_str().unwrap(), path.to_str().unwrap());
        tautline(&["import", "--entries", "complaints", "--config", config, path])
    };
    for (name, end) in [("unix.csv", "\n"), ("windows.csv", "\r\n")] {
        let lines = [
            "",                               // 1
            "value,by,note",                  // 2
            "",                               // 3
            &format!("1,lead,of {name}"),     // 4
            "",                               // 5
            "",                               // 6
            &format!("2,lead,\"of {name}"),   // 7
            "",                               // 8
            "three lines\"",                  // 9
            "many,lead,",                     // 10
            "3,nobody,\"a \"\"name\"\"",      // 11
            "that is not there\"",            // 12
            "",                               // 13
            "4,lead,one, too many",           // 14
            &format!("5,\"lead\",of {name}"), // 15
            "6",                              // 16
            "\"12,000\",lead,\"with a comma", // 17
            "\"",                             // 18
        ];
        let mut file = format!("\u{feff}{}", lines.join(end)).into_bytes();
        file.extend_from_slice(format!("{end}{end}7,J").as_bytes());
        file.extend_from_slice(b"\xfcrgen,\n"); // 20
        let answer = import(name, &file);
        assert_eq!(answer.status.code(), Some(1), "{}", shown(&answer));
        let said = String::from_utf8_lossy(&answer.stderr).into_owned();
        let place = format!("{}/{name}:", folder.path().display());
        let mistakes: Vec<&str> = said
            .lines()
            .filter_map(|line| Some(line.split_once(&place)?.1))
            .collect();
        let expected = [
            "10: 'value' is a number such as 8.4, and this is 'many'",
            "11: 'nobody' may not enter 'complaints'; entered_by has lead, 王芳",
            "14: the row has 4 cells, and the header has 3; quote a cell that holds a comma",
            "16: the row has 1 cells, and the header has 3; quote a cell that holds a comma",
            "17: '12,000' has a comma, which some read as a point",
            "20: cell 2 is not UTF-8",
        ];
        assert_eq!(mistakes.len(), expected.len(), "{said}");
        for (mistake, expected) in mistakes.iter().zip(expected) {
            assert!(mistake.starts_with(expected), "{mistake}, not {expected}");
        }
        assert!(
            String::from_utf8_lossy(&answer.stdout).starts_with("3 entries taken, 6 rejected"),
            "{}",
            shown(&answer)
        );
        // So does a header that does not fit.
        let header = import(
            &format!("header-{name}"),
            format!("{end}{end}value,bye{end}1,lead{end}").as_bytes(),
        );
        assert!(
            shown(&header).contains(&format!("header-{name}:3: there is no column 'bye'")),
            "{}",
            shown(&header)
        );
    }
    daemon.wait_for_value("complaints", WITHIN, 2.0 * (1.0 + 2.0 + 5.0));
    daemon.stop();
}

fn post(daemon: &Daemon, metric: &str, headers: &[(&str, &str)], entry: &serde_json::Value) -> Answer {
    let bearer = format!("Bearer {TOKEN}");
    let mut all = vec![
        ("Content-Type", "application/json"),
        ("Authorization", bearer.as_str()),
    ];
    all.extend(headers);
    send(
        daemon.port(),
        &format!("/api/v1/entries/{metric}"),
        &all,
        entry.to_string().as_bytes(),
    )
    .unwrap()
}

fn catalog() -> String {
    format!(
        "calendar: {{timezone: {zone}}}\n\
         metrics:\n  complaints: {{title: Complaints, type: manual, agg: sum, unit: items, entered_by: [lead, 王芳]}}\n  \
         nps: {{title: NPS, type: manual, unit: points, entered_by: [lead], every: week, grace: 0d}}\n\
         nodes:\n  complaints: {{metric: complaints, role: business, period: year, target: 100, owner: service}}\n  \
         nps: {{metric: nps, role: business, period: year, target: 60, owner: service}}\n",
        zone = zone_at_noon()
    )
}
