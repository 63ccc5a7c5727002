//! Makes bad records of good ones.

use rand::Rng;
use rand::rngs::StdRng;

/// Longest input.
const MOST_BYTES: usize = 4096;

/// One of the corpus, changed a few times.
pub(crate) fn mutate(corpus: &[&[u8]], tokens: &[&[u8]], rng: &mut StdRng) -> Vec<u8> {
    let mut bytes = corpus[rng.random_range(0..corpus.len())].to_vec();
    for _ in 0..rng.random_range(0..8) {
        change(&mut bytes, corpus, tokens, rng);
        bytes.truncate(MOST_BYTES);
    }
    bytes
}

fn change(bytes: &mut Vec<u8>, corpus: &[&[u8]], tokens: &[&[u8]], rng: &mut StdRng) {
    let at = rng.random_range(0..=bytes.len());
    let end = (at + rng.random_range(0..16)).min(bytes.len());
    match rng.random_range(0..8) {
        0 if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8),
        1 if at < bytes.len() => bytes[at] = rng.random(),
        2 => drop(bytes.drain(at..end)),
        3 => {
            let copied = bytes[at..end].to_vec();
            for _ in 0..rng.random_range(1..20) {
                bytes.splice(at..at, copied.iter().copied());
            }
        }
        4 => {
            let token = tokens[rng.random_range(0..tokens.len())];
            bytes.splice(at..at, token.iter().copied());
        }
        5 => {
            let token = tokens[rng.random_range(0..tokens.len())];
            bytes.splice(at..end, token.iter().copied());
        }
        6 => {
            let other = corpus[rng.random_range(0..corpus.len())];
            let from = rng.random_range(0..=other.len());
            let to = rng.random_range(from..=other.len());
            bytes.splice(at..end, other[from..to].iter().copied());
        }
        _ => bytes.truncate(at),
    }
}
