//! Roles: what the tokens of the server allow.

use std::fmt;

/// What a token allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Read pages, metrics and the API. As soon as one token has this role, nothing is read without a token.
    Viewer,
    /// Send events, and enter what people type in.
    Ingest,
    /// Enter what people type in.
    Entry,
    /// Acknowledge and silence alerts, all of them or those of its scope.
    Responder,
    /// Approve and reject weights that are proposed.
    Approver,
    /// Enter, acknowledge, silence and decide.
    Editor,
    /// Everything. As soon as one token has this role, nothing is reloaded without it.
    Admin,
}

impl Role {
    /// Whether somebody with this role may.
    pub fn allows(self, right: Right) -> bool {
        right.roles().contains(&self)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Viewer => "viewer",
            Role::Ingest => "ingest",
            Role::Entry => "entry",
            Role::Responder => "responder",
            Role::Approver => "approver",
            Role::Editor => "editor",
            Role::Admin => "admin",
        })
    }
}

/// What somebody wants to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Right {
    /// Read pages, metrics and the API.
    Read,
    /// Send events.
    Send,
    /// Enter what people type in.
    Enter,
    /// Acknowledge and silence alerts.
    Respond,
    /// Decide on weights.
    Decide,
    /// Reload settings and catalogue.
    Reload,
}

impl Right {
    /// The roles that allow it; the first is made for it.
    pub fn roles(self) -> &'static [Role] {
        use Role::{Admin, Approver, Editor, Entry, Ingest, Responder, Viewer};
        match self {
            Right::Read => &[Viewer, Entry, Responder, Approver, Editor, Admin],
            Right::Send => &[Ingest, Admin],
            Right::Enter => &[Entry, Ingest, Editor, Admin],
            Right::Respond => &[Responder, Editor, Admin],
            Right::Decide => &[Approver, Editor, Admin],
            Right::Reload => &[Admin],
        }
    }
}

/// As in "nobody may …".
impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Right::Read => "read",
            Right::Send => "send events",
            Right::Enter => "enter anything",
            Right::Respond => "acknowledge or silence",
            Right::Decide => "decide on weights",
            Right::Reload => "reload",
        })
    }
}
