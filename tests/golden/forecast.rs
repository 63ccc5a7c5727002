//! The script behind the table "Forecast" of docs/detection.md, on a small corpus: it runs, no simple method is better than
//! the forecast, and ranges hold about as often as they say. How good forecasts are, the table says.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use jiff::ToSpan;
use jiff::civil::{Date, date};

use super::instances::Chance;

const FIRST: Date = date(2024, 1, 1);
const DAYS: i64 = 274;
const PAIRS: i64 = 12;
/// The day that the first pair has in cents; each of the others has one a week later.
const IN_CENTS: i64 = 160;

/// A corpus folder: KPIs with weekends and a rate that wanders, each with a day in cents, and what they bring.
fn corpus(folder: &Path) {
    let mut chance = Chance(11);
    let mut daily = String::from("pair,arrival_date,event_date,stream,value\n");
    let mut pairs = Vec::new();
    for pair in 0..PAIRS {
        pairs.push(format!(
            r#"{{"pair": "p{pair}", "kpi": "visits", "parent": "sales", "period": "month", "start": "{FIRST}", "days": {DAYS}}}"#
        ));
        let mut wander = 0.0;
        for day in 0..DAYS {
            wander = 0.97 * wander + chance.normal(0.03);
            let weekend = if (day % 7) >= 5 { 0.4 } else { 1.0 };
            let unit = if day == IN_CENTS + 7 * pair { 100.0 } else { 1.0 };
            let event = FIRST.saturating_add(day.days());
            // Every tenth day comes two days late.
            let arrival = event.saturating_add(if day % 10 == 0 { 2 } else { 0 }.days());
            for (stream, mean) in [("kpi", 60.0), ("parent", 900.0)] {
                let value = mean * weekend * unit * (wander + chance.normal(0.15)).exp();
                writeln!(daily, "p{pair},{arrival},{event},{stream},{value:.2}").unwrap();
            }
        }
    }
    let targets = "pair,stream,announced,period_start,period_end,target\n";
    for (name, text) in [
        ("catalog.json", format!("[{}]", pairs.join(",\n"))),
        ("daily.csv", daily),
        ("targets.csv", targets.to_owned()),
    ] {
        std::fs::write(folder.join(name), text).unwrap();
    }
}

#[test]
fn no_simple_method_is_better_than_the_forecast() {
    let folder = std::env::temp_dir().join(format!("tautline-golden-forecast-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    corpus(&folder);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/forecast");
    let done = Command::new(script)
        .arg(&folder)
        .args(["--generators=", "--check", "--corpora"])
        .arg(&folder)
        .env("TAUTLINE", env!("CARGO_BIN_EXE_tautline"))
        .output()
        .unwrap();
    let _ = std::fs::remove_dir_all(&folder);
    let said = [done.stdout, done.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(done.status.success(), "{}", said.concat());
}
