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
        ("", "receiver 'ops' has no channel; write one of slack_webhook"),
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
    assert_eq!(plain.timeout, Duration::from_secs(10));
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
    assert!(load("slack_webhook: {url: 'http://[::1]:1/s'}").is_ok());
    assert!(load("slack_webhook: {url: https://10.0.0.1/s, allow_private: true}").is_ok());
}
