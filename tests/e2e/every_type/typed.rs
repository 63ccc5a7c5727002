//! What people type in and what is sent over HTTP, while the daemon dies again and again: sent until it is answered.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::iso;
use crate::parts::daemon::TOKEN;
use crate::parts::http::{Answer, send};

const REQUESTS: usize = 80;
/// Time before a request is sent again.
const AGAIN_AFTER: Duration = Duration::from_millis(10);
/// That nothing more is to be sent.
pub(super) const GIVEN_UP: usize = usize::MAX;

enum Request {
    Entry {
        metric: &'static str,
        /// In hundredths.
        value: i64,
        /// Local day, and whether it is in the period.
        day: (String, bool),
        /// Which request it corrects.
        corrects: Option<usize>,
    },
    Events {
        at: i64,
        people: Vec<i64>,
    },
}

/// Everything that is sent.
pub(super) struct Typed(Vec<Request>);

impl Typed {
    /// `days` with whether they are in the period; `at` in milliseconds since the epoch.
    pub(super) fn make(days: &[(String, bool)], at: i64, seed: u64) -> Typed {
        let rng = &mut StdRng::seed_from_u64(seed);
        let mut requests: Vec<Request> = Vec::new();
        let mut corrected = Vec::new();
        for n in 0..REQUESTS {
            let metric = ["complaints", "satisfaction", "stock", "walk_ins"][rng.random_range(0..4)];
            let value = rng.random_range(0..10_000);
            let is_open = |earlier: &usize| {
                let same =
                    matches!(&requests[*earlier], Request::Entry { metric: other, .. } if *other == metric);
                same && !corrected.contains(earlier)
            };
            let earlier = (0..n).rfind(is_open);
            let request = match earlier {
                _ if rng.random_bool(0.3) => Request::Events {
                    at,
                    people: (0..rng.random_range(1..50))
                        .map(|_| rng.random_range(1..9))
                        .collect(),
                },
                // Of a level the newest entry counts: it is not corrected here, and of one day.
                _ if metric == "stock" => Request::Entry {
                    metric,
                    value,
                    day: days[0].clone(),
                    corrects: None,
                },
                Some(earlier) if rng.random_bool(0.3) => {
                    corrected.push(earlier);
                    let Request::Entry { day, .. } = &requests[earlier] else {
                        unreachable!("only entries are corrected");
                    };
                    Request::Entry {
                        metric,
                        value,
                        day: day.clone(),
                        corrects: Some(earlier),
                    }
                }
                _ => Request::Entry {
                    metric,
                    value,
                    day: days[rng.random_range(0..days.len())].clone(),
                    corrects: None,
                },
            };
            requests.push(request);
        }
        Typed(requests)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Sends one after the other, as far as `allowed` says, each until it is answered.
    pub(super) fn send_all(&self, port: u16, allowed: &AtomicUsize) {
        let mut numbers: Vec<Option<Value>> = Vec::new();
        while numbers.len() < self.0.len() && allowed.load(Ordering::Relaxed) != GIVEN_UP {
            let n = numbers.len();
            let answer = (n < allowed.load(Ordering::Relaxed)).then(|| self.send(port, n, &numbers));
            match answer {
                Some(Ok(answer)) if answer.status == 200 => {
                    numbers.push(answer.json()["data"].get("number").cloned());
                }
                // It is starting, or knows not yet what it counts.
                Some(Ok(answer)) => assert_eq!(answer.status, 503, "{answer:?}"),
                // It was killed, maybe after it had taken what was sent.
                Some(Err(_)) | None => std::thread::sleep(AGAIN_AFTER),
            }
        }
    }

    fn send(&self, port: u16, n: usize, numbers: &[Option<Value>]) -> std::io::Result<Answer> {
        let (path, body) = match &self.0[n] {
            Request::Entry {
                metric,
                value,
                day,
                corrects,
            } => {
                let mut body = json!({"value": hundredths(*value), "by": "lead"});
                match corrects {
                    Some(earlier) => body["replaces"] = numbers[*earlier].clone().unwrap(),
                    None => body["at"] = day.0.clone().into(),
                }
                (format!("/api/v1/entries/{metric}"), body)
            }
            Request::Events { at, people } => {
                let events = people
                    .iter()
                    .map(|people| json!({"at": iso(*at), "people": people}));
                ("/api/v1/events/counter".to_owned(), events.collect())
            }
        };
        let (bearer, key) = (format!("Bearer {TOKEN}"), format!("request-{n}"));
        let headers = [
            ("Authorization", bearer.as_str()),
            ("Content-Type", "application/json"),
            ("Idempotency-Key", key.as_str()),
        ];
        send(port, &path, &headers, body.to_string().as_bytes())
    }

    /// What its nodes must have.
    pub(super) fn expected(&self) -> Vec<(&'static str, f64)> {
        let mut corrected = Vec::new();
        let (mut groups, mut people_sum) = (0, 0);
        for request in &self.0 {
            match request {
                Request::Entry { corrects, .. } => corrected.extend(*corrects),
                Request::Events { people, .. } => {
                    groups += people.len();
                    people_sum += people.iter().sum::<i64>();
                }
            }
        }
        let values = |wanted: &str| -> Vec<i64> {
            let counts = |(n, request): (usize, &Request)| match request {
                Request::Entry {
                    metric, value, day, ..
                } if *metric == wanted && day.1 && !corrected.contains(&n) => Some(*value),
                _ => None,
            };
            self.0.iter().enumerate().filter_map(counts).collect()
        };
        let (complaints, satisfaction) = (values("complaints"), values("satisfaction"));
        let sum = |values: &[i64]| match values {
            [] => f64::NAN,
            values => hundredths(values.iter().sum()),
        };
        vec![
            ("groups", groups as f64),
            ("people", people_sum as f64),
            ("complaints", sum(&complaints)),
            ("satisfaction", sum(&satisfaction) / satisfaction.len() as f64),
            ("walk_ins", counted(values("walk_ins").len())),
            (
                "stock",
                values("stock")
                    .last()
                    .map_or(f64::NAN, |value| hundredths(*value)),
            ),
        ]
    }
}

/// Entries, or nothing where there is none.
fn counted(entries: usize) -> f64 {
    if entries == 0 { f64::NAN } else { entries as f64 }
}

fn hundredths(number: i64) -> f64 {
    number as f64 / 100.0
}
