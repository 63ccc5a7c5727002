use super::super::load::tests::load_text;
use super::*;

fn load(receiver: &str) -> Result<Receiver, String> {
    let text = format!("kafka: {{brokers: b}}\nreceivers:\n  ops: {{{receiver}}}\n");
    let mut settings = load_text(&text)?;
    Ok(settings.receivers.remove("ops").unwrap())
}

#[test]
fn a_receiver_is_one_channel() {
    for (receiver, expected) in [
        (
            "slak_webhook: {url: https://a.example/s}",
            "unknown key 'slak_webhook'; did you mean 'slack_webhook'?",
        ),
        (
            "",
            "receiver 'ops' has no channel; write one of dingtalk, feishu, slack_bot, slack_webhook, teams, wecom",
        ),
        (
            "feishu: {url: https://a.example/s}, wecom: {url: https://a.example/s}",
            "receiver 'ops' has several channels: feishu, wecom; make it one receiver each",
        ),
        (
            "slack_webhook: {url: https://a.example/s, timeuot: 1s}",
            "unknown key 'timeuot'; did you mean 'timeout'?",
        ),
    ] {
        let found = load(receiver).map(|_| ()).unwrap_err();
        assert!(found.lines().next().unwrap().contains(expected), "{found}");
    }
}

#[test]
fn what_every_channel_has_is_read_or_left_as_it_is() {
    let plain = load("slack_webhook: {url: https://a.example/s}").unwrap();
    assert_eq!(plain.timeout, Duration::from_secs(15));
    assert_eq!(plain.give_up_after, Duration::from_hours(24));
    assert!(!plain.allow_private);
    let set = load(
        "slack_webhook: {url: http://10.1.2.3/s, timeout: 3s, give_up_after: 2h, allow_private: true, allow_insecure: true}",
    )
    .unwrap();
    assert_eq!(set.timeout, Duration::from_secs(3));
    assert_eq!(set.give_up_after, Duration::from_hours(2));
    assert!(set.allow_private);
}

#[test]
fn an_address_that_messages_should_not_go_to_is_refused_and_never_shown() {
    for (entry, expected) in [
        (
            "url: verysecret",
            "the URL cannot be read; it looks like https://hooks.slack.com/services/T…/B…/…",
        ),
        ("url: 'data:verysecret'", "the URL cannot be read; it looks like"),
        ("url: ftp://a.example/verysecret", "the URL must begin with https"),
        (
            "url: http://a.example/verysecret",
            "the URL must begin with https",
        ),
        (
            "url: https://10.0.0.1/verysecret",
            "the URL goes to a private network; if that is meant, add allow_private: true",
        ),
        (
            "url: https://169.254.169.254/verysecret",
            "the URL goes to a private network",
        ),
        (
            "url: 'https://[fd00::1]/verysecret'",
            "the URL goes to a private network",
        ),
        (
            "url: http://127.0.0.1:9/verysecret",
            "the URL goes to this machine; if that is meant, add allow_private: true",
        ),
        (
            "url: http://localhost:9/verysecret",
            "the URL goes to this machine; if that is meant, add allow_private: true",
        ),
        (
            "url: https://a.example/verysecret, timeout: 0s",
            "with no time for it nothing is sent; write timeout: 10s",
        ),
    ] {
        let found = load(&format!("slack_webhook: {{{entry}}}"))
            .map(|_| ())
            .unwrap_err();
        assert!(found.lines().next().unwrap().contains(expected), "{found}");
        assert!(!found.contains("verysecret"), "{found}");
    }
    assert!(load("slack_webhook: {url: 'http://[::1]:1/s', allow_private: true}").is_ok());
    assert!(load("slack_webhook: {url: https://10.0.0.1/s, allow_private: true}").is_ok());
}

#[test]
fn robots_are_read_with_their_secrets_and_people() {
    let receiver = load("dingtalk: {url: https://a.example/s?access_token=verysecret, secret: SECverysecret, mention: {mobiles: ['13800000000'], all: true}}").unwrap();
    assert!(!format!("{receiver:?}").contains("verysecret"));
    let Channel::DingTalk(robot) = receiver.channel else {
        panic!("another channel")
    };
    assert_eq!(robot.secret.unwrap().reveal(), "SECverysecret");
    assert_eq!(robot.mention.mobiles, ["13800000000"]);
    assert!(robot.mention.all);
    assert!(load("feishu: {url: https://a.example/s, mention: {users: [ou_1], all: true}}").is_ok());
    assert!(
        load(
            "teams: {url: https://prod-1.westeurope.logic.azure.com/w?sig=s, mention: {users: [a@b.example]}}"
        )
        .is_ok()
    );
}

#[test]
fn what_a_service_cannot_do_is_said_at_the_start() {
    let many = vec!["u"; 17].join(", ");
    for (receiver, expected) in [
        (
            "feishu: {url: https://a.example/s, mention: {mobiles: ['138']}}",
            "Feishu calls nobody by a mobile number",
        ),
        (
            "teams: {url: https://a.example/s, mention: {all: true}}",
            "Teams cannot call everybody from a webhook",
        ),
        (
            "wecom: {url: https://a.example/s, mention: {users: ['a><@b']}}",
            "'a><@b' is no id of a person",
        ),
        (
            "wecom: {url: https://a.example/s, mention: {mobiles: [me]}}",
            "'me' is no id of a person",
        ),
        (
            &format!("wecom: {{url: https://a.example/s, mention: {{users: [{many}]}}}}"),
            "a message can call 16 people at most",
        ),
        (
            "teams: {url: https://a.webhook.office.com/webhookb2/verysecret}",
            "this is an Office 365 connector, which Microsoft has retired",
        ),
        (
            "teams: {url: https://outlook.office.com/webhook/verysecret}",
            "this is an Office 365 connector",
        ),
        (
            "feishu: {url: https://a.example/s, secret: s, secret_file: f}",
            "write either secret_file: /run/secrets/robot or secret: ${ROBOT_SECRET}",
        ),
    ] {
        let found = load(receiver).map(|_| ()).unwrap_err();
        assert!(found.lines().next().unwrap().contains(expected), "{found}");
        assert!(!found.contains("verysecret"), "{found}");
    }
}

#[test]
fn a_slack_workspace_takes_so_many_messages_a_minute() {
    let hook = "url: https://hooks.slack.com/services/T01/B01/s";
    let per_minute = |receiver: &str| match load(receiver).unwrap().channel {
        Channel::SlackWebhook(webhook) => webhook.workspace_per_minute.get(),
        Channel::SlackBot(bot) => bot.workspace_per_minute.get(),
        _ => panic!("another channel"),
    };
    assert_eq!(per_minute(&format!("slack_webhook: {{{hook}}}")), 300);
    assert_eq!(
        per_minute(&format!("slack_webhook: {{{hook}, workspace_per_minute: 60}}")),
        60
    );
    let bot = "token: xoxb-1, channel: C1";
    assert_eq!(
        per_minute(&format!(
            "slack_bot: {{{bot}, workspace: T01, workspace_per_minute: 60}}"
        )),
        60
    );
    let said = load(&format!("slack_webhook: {{{hook}, workspace_per_minute: 0}}")).unwrap_err();
    assert!(
        said.contains("with no message a minute nothing is sent"),
        "{said}"
    );
    let said = load(&format!("slack_bot: {{{bot}, workspace: acme}}")).unwrap_err();
    assert!(
        said.contains("this is no id of a workspace, which begins with T"),
        "{said}"
    );
}

#[test]
fn an_app_beside_a_webhook_is_asked_for_its_workspace() {
    let warnings = |bot: &str| -> Vec<String> {
        let hook = "slack_webhook: {url: https://hooks.slack.com/services/T01/B01/s}";
        let text = format!(
            "kafka: {{brokers: b}}\nreceivers:\n  boss: {{slack_bot: {{token: xoxb-1, channel: C1{bot}}}}}\n  ops: {{{hook}}}\nroutes: {{receiver: ops}}\n"
        );
        let found = load_text(&text).unwrap().warnings;
        found.into_iter().map(|warning| warning.message).collect()
    };
    assert_eq!(
        warnings(""),
        [
            "this app does not share its rate with the webhooks of its workspace; if it is theirs, add workspace: T01"
        ]
    );
    assert!(warnings(", workspace: T01").is_empty());
}

#[test]
fn a_slack_bot_has_a_token_and_a_channel() {
    let good = "slack_bot: {token: xoxb-verysecret, channel: C0123456789, signing_secret: verysecret}";
    let receiver = load(good).unwrap();
    assert!(!format!("{receiver:?}").contains("verysecret"));
    let Channel::SlackBot(bot) = receiver.channel else {
        panic!("another channel")
    };
    assert_eq!(bot.api_url.as_str(), "https://slack.com/api");
    for (receiver, expected) in [
        (
            "slack_bot: {channel: C1}",
            "write either token_file: /run/secrets/slack_token",
        ),
        ("slack_bot: {token: xoxb-verysecret}", "the channel is missing"),
        (
            "slack_bot: {token: xoxp-verysecret, channel: C1}",
            "this is no token of a bot, which begins with xoxb-",
        ),
        (
            "slack_bot: {token: xoxb-verysecret, channel: C1, api_url: http://slack.example/api}",
            "the URL must begin with https",
        ),
    ] {
        let found = load(receiver).map(|_| ()).unwrap_err();
        assert!(found.lines().next().unwrap().contains(expected), "{found}");
        assert!(!found.contains("verysecret"), "{found}");
    }
}

#[test]
fn own_wording_is_checked_where_it_is_written() {
    let settings = |templates: &str| {
        load_text(&format!(
            "kafka: {{brokers: b}}\nreceivers:\n  ops:\n    slack_webhook:\n      url: https://a.example/s\n      templates:\n{templates}"
        ))
    };
    let good = "        title: '{{ node.title }} {{ labels.region }}'\n        rules: {done-but-flat: {text: '{{ text }} {{ url }}'}}\n";
    let templates = settings(good).unwrap().receivers["ops"].templates.clone();
    assert_eq!(templates.of("other").text, None);
    assert_eq!(
        templates.of("done-but-flat").text.as_deref(),
        Some("{{ text }} {{ url }}")
    );
    assert!(templates.of("done-but-flat").title.is_some());
    for (templates, expected) in [
        (
            "        title: 'x'\n        text: '{{ node.completoin | percent }}'\n",
            "tautline.yaml:8:15: text: there is no field 'node.completoin'; did you mean 'node.completion'?",
        ),
        (
            "        rules:\n          done: {title: '{{ titel }}'}\n",
            "tautline.yaml:8:25: title: there is no field 'titel'; did you mean 'title'?",
        ),
        (
            "        title: '{{ title'\n",
            "tautline.yaml:7:16: title: syntax error",
        ),
        (
            "        titel: x\n",
            "tautline.yaml:7:9: unknown key 'titel'; did you mean 'title'?",
        ),
    ] {
        let found = settings(templates).map(|_| ()).unwrap_err();
        assert!(found.lines().next().unwrap().starts_with(expected), "{found}");
    }
}

#[test]
fn a_body_of_ones_own_is_checked_where_it_is_written() {
    let hook = |more: &str| {
        format!(
            "kafka: {{brokers: b}}\nreceivers:\n  ops:\n    webhook:\n      url: https://a.example/verysecret\n{more}"
        )
    };
    let good = "      body: {text: '{{ title | cut(10) }}', n: 1, list: [{a: '{{ node.completion | percent }}'}]}\n      end: {path: '/{{ episode }}/close'}\n      authorization: Bearer verysecret\n";
    let settings = load_text(&hook(good)).unwrap();
    let Channel::Webhook(webhook) = &settings.receivers["ops"].channel else {
        panic!("another channel")
    };
    assert!(!format!("{webhook:?}").contains("verysecret"));
    let end = webhook.own.as_ref().unwrap().end.as_ref().unwrap();
    assert_eq!(end.path_of("5e1f", "5e1f.2"), "/5e1f/close");
    for (more, expected) in [
        (
            "      body:\n        text: '{{ titel }}'\n",
            "tautline.yaml:7:15: text: there is no field 'titel'; did you mean 'title'?",
        ),
        (
            "      body: {list: [{a: '{{ title | shout }}'}]}\n",
            "tautline.yaml:6:14: list: unknown filter",
        ),
        (
            "      body: {a: b}\n      end: {path: 'close'}\n",
            "tautline.yaml:7:19: this is no path behind the URL",
        ),
        (
            "      body: {a: b}\n      end: {path: '/{{ title }}'}\n",
            "tautline.yaml:7:19: this is no path behind the URL",
        ),
        (
            "      body: {a: b}\n      format: events\n",
            "tautline.yaml:4:5: a body of one's own has no format",
        ),
        (
            "      end: {path: /close}\n",
            "tautline.yaml:4:5: end goes with a body of one's own",
        ),
    ] {
        let found = load_text(&hook(more)).map(|_| ()).unwrap_err();
        assert!(found.lines().next().unwrap().starts_with(expected), "{found}");
    }
}

#[test]
fn mail_and_pagerduty_are_checked() {
    let mail = |more: &str| {
        format!("email: {{server: smtp.example.com, from: kpi@example.com, to: [ops@example.com]{more}}}")
    };
    let Channel::Email(email) = load(&mail(", username: u, password: verysecret"))
        .unwrap()
        .channel
    else {
        panic!("another channel")
    };
    assert_eq!((email.port, email.tls), (587, MailTls::Starttls));
    assert!(!format!("{email:?}").contains("verysecret"));
    let key = "verysecretverysecretverysecret00";
    assert!(load(&format!("pagerduty: {{routing_key: {key}}}")).is_ok());
    for (receiver, expected) in [
        (mail(", tls: none"), "mail goes unencrypted to this machine only"),
        (mail(", tls: startls"), "'startls' is not one of"),
        (mail(", password: verysecret"), "a password without a user"),
        (mail(", ca_file: nowhere.pem"), "nowhere.pem cannot be used"),
        (
            mail("").replace("smtp.example.com", "10.0.0.1"),
            "the mail server is on a private network",
        ),
        (
            mail("").replace("smtp.example.com", "'smtp.example.com:25'"),
            "this is no name of a mail server",
        ),
        (
            mail("").replace("[ops@example.com]", "[ops]"),
            "'ops' is no mail address",
        ),
        (
            mail("").replace("[ops@example.com]", "[]"),
            "a mail goes to 1 to 50 people",
        ),
        (
            mail("").replace("from: kpi@example.com, ", ""),
            "the sender is missing",
        ),
        (
            "pagerduty: {routing_key: verysecret}".to_owned(),
            "this is no routing key, which has 32 letters and digits",
        ),
        (
            format!("pagerduty: {{routing_key: {key}, api_url: http://events.example}}"),
            "the URL must begin with https",
        ),
    ] {
        let found = load(&receiver).map(|_| ()).unwrap_err();
        assert!(found.lines().next().unwrap().contains(expected), "{found}");
        assert!(!found.contains("verysecret"), "{found}");
    }
}
