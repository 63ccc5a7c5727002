//! `mention`: whom a message calls by name.

use super::Checker;

/// People who can be called in one message.
const MOST: usize = 16;
/// Bytes of an id.
const ID: usize = 64;

/// Whom a message about something wrong calls by name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Mention {
    /// Ids of people, as the service knows them.
    pub users: Vec<String>,
    /// Their mobile numbers.
    pub mobiles: Vec<String>,
    /// Everybody in the room.
    pub all: bool,
}

impl Mention {
    /// Whether nobody is called.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty() && self.mobiles.is_empty() && !self.all
    }
}

#[derive(serde::Deserialize, schemars::JsonSchema, Debug, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct MentionEntry {
    users: Vec<String>,
    mobiles: Vec<String>,
    all: bool,
}

/// Whom a service can call.
pub(super) struct Callable {
    pub(super) service: &'static str,
    pub(super) mobiles: bool,
    pub(super) all: bool,
}

pub(super) fn read(
    checker: &mut Checker,
    path: &[&str],
    entry: Option<MentionEntry>,
    callable: &Callable,
) -> Mention {
    let MentionEntry { users, mobiles, all } = entry.unwrap_or_default();
    let path: Vec<&str> = path.iter().copied().chain(["mention"]).collect();
    let service = callable.service;
    if !mobiles.is_empty() && !callable.mobiles {
        let message =
            format!("{service} calls nobody by a mobile number; write their ids: mention: {{users: [...]}}");
        checker.problem(&path, message);
    }
    if all && !callable.all {
        let message =
            format!("{service} cannot call everybody from a webhook; name people: mention: {{users: [...]}}");
        checker.problem(&path, message);
    }
    if users.len() + mobiles.len() > MOST {
        checker.problem(
            &path,
            format!("a message can call {MOST} people at most; write all: true, or fewer of them"),
        );
    }
    let is_id = |id: &str| {
        id.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-.@+".contains(&byte))
    };
    let is_mobile = |id: &str| {
        id.bytes()
            .all(|byte| byte.is_ascii_digit() || b"+-".contains(&byte))
    };
    let bad = users
        .iter()
        .find(|id| !is_id(id))
        .or_else(|| mobiles.iter().find(|id| !is_mobile(id)));
    let bad = bad.or_else(|| {
        users
            .iter()
            .chain(&mobiles)
            .find(|id| id.is_empty() || id.len() > ID)
    });
    if let Some(bad) = bad {
        let message = format!("'{bad}' is no id of a person and no mobile number, as {service} writes them");
        checker.problem(&path, message);
    }
    Mention { users, mobiles, all }
}
