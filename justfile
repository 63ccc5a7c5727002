# The habits of this repository. `just` lists them.

default:
    @just --list

# Show what tautline does: a simulated retail chain, the daemon, and a Slack that is not one.
demo *args:
    cargo run --release -- demo {{args}}

# Check settings and catalogue: the example's, or `just check --config FILE`.
check *args:
    cargo run --release --quiet -- check {{args}}

# The daemon with the example in config/, or `just run --config FILE`.
run *args:
    cargo run --release -- run {{args}}

# Every test, as CI runs them.
test:
    tests/run

# Bad records at every decoder, so many seconds each; a failure prints how to see it again.
fuzz seconds="60":
    TAUTLINE_FUZZ_SECONDS={{seconds}} cargo test --test fuzz -- --nocapture

# Format the code.
fmt:
    cargo fmt --all

# What reviewers would say first.
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings

# The map of the code, private modules too, in a browser.
docs:
    cargo doc --workspace --no-deps --document-private-items --open

# Licences, sources and advisories of what we depend on. Needs cargo-deny.
dependencies:
    cargo deny check

# The container image.
image:
    docker build --tag tautline .

# tautline beside librdkafka and Kafka Streams on one topic, in one run; arguments: events, rounds.
bench-peers *args:
    benches/peers/run {{args}}

# How well links are judged, on labelled corpora: the table of docs/detection.md. Arguments: the folder of the generators
# and their scorer, then perhaps `--seeds 11` or `--generators causal`.
detection scenarios *args:
    tests/scenarios/detection {{scenarios}} {{args}}

# How good forecasts are, on the same corpora, beside simple methods: a table of docs/detection.md. Arguments as above.
forecast scenarios *args:
    tests/scenarios/forecast {{scenarios}} {{args}}
