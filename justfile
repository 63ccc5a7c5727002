# The habits of this repository. `just` lists them.

default:
    @just --list

# Show what tautline does: a simulated retail chain, the daemon, and a Slack that is not one.
demo *args:
    cargo run --release -- demo {{args}}

# Every test, as CI runs them.
test:
    tests/run

# Format the code.
fmt:
    cargo fmt

# What reviewers would say first.
lint:
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings

# tautline beside librdkafka on one topic; arguments: events, rounds.
bench-peers *args:
    benches/peers/run {{args}}
