//! Replies: what the Web API's answer means. It answers 200 to what it refuses, with a word for why.

use jiff::Timestamp;
use serde_json::Value as Json;

use super::Place;
use crate::notify::Answer;
use crate::notify::http::Reply;
use crate::notify::slack::reply;

/// What Slack said to one call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Said {
    /// It is there.
    Posted(Place),
    /// The message that is meant is not there any more, or cannot be changed any more.
    Gone(String),
    /// It is not there, and why.
    Other(Answer),
}

/// Words by which Slack says that a message cannot be changed, or answered below.
const GONE: [&str; 5] = [
    "message_not_found",
    "cant_update_message",
    "edit_window_closed",
    "thread_not_found",
    "cannot_reply_to_message",
];

impl Said {
    /// What it means for the notice.
    pub(super) fn answer(self) -> Answer {
        match self {
            Said::Posted(place) => Answer::Ok {
                shown: serde_json::to_string(&place).ok(),
            },
            Said::Gone(reason) => Answer::Drop { reason },
            Said::Other(answer) => answer,
        }
    }
}

/// Judges an answer.
pub(super) fn judge(reply: &Reply, now: Timestamp) -> Said {
    let body: Json = serde_json::from_str(&reply.body).unwrap_or_default();
    let text = |name: &str| body[name].as_str().map(str::to_owned);
    if reply.status == 200
        && body["ok"] == true
        && let (Some(channel), Some(ts)) = (text("channel"), text("ts"))
    {
        return Said::Posted(Place {
            channel,
            ts,
            shared: false,
        });
    }
    let word = body["error"].as_str().unwrap_or_default();
    if GONE.contains(&word) {
        return Said::Gone(format!("{} {word}", reply.status));
    }
    let answer = reply::judge(reply, now);
    Said::Other(match (answer, hint(word)) {
        (Answer::Disable { reason }, Some(hint)) => Answer::Disable {
            reason: format!("{reason}: {hint}"),
        },
        (answer, _) => answer,
    })
}

/// What to do about a word that says that nothing will be taken.
fn hint(word: &str) -> Option<&'static str> {
    Some(match word {
        "not_in_channel" => "invite the app to the channel, or give it the scope chat:write.public",
        "channel_not_found" => "write the channel's id, and invite the app if the channel is private",
        "missing_scope" => "give the app the scope chat:write, and install it anew",
        "invalid_auth" | "not_authed" | "token_revoked" | "token_expired" | "account_inactive" => {
            "the token is not good any more; install the app anew"
        }
        "is_archived" => "the channel is archived",
        "restricted_action" => "an administrator of the workspace keeps apps from posting there",
        _ => return None,
    })
}
