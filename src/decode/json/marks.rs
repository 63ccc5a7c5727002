//! Where texts end: the quotes and backslashes of a payload, found for 64 bytes at a time.
//!
//! Texts of events are short, and there are dozens in each. Looking at a block once and then asking a bit mask costs a
//! fraction of a search for every text. Vectors of 16 bytes are what every x86-64 (SSE2) and aarch64 (NEON) machine has.

use wide::u8x16;

/// Bytes of a block: as many as a mask has bits.
const BLOCK: usize = 64;

/// The marks of the block that was looked at last: a reader goes forward.
#[derive(Debug)]
pub(super) struct Marks {
    /// Number of the block; none at first.
    block: usize,
    bits: u64,
}

impl Marks {
    /// No block was looked at yet.
    pub(super) fn new() -> Marks {
        Marks {
            block: usize::MAX,
            bits: 0,
        }
    }

    /// The place of the next quote or backslash at `at` or behind it.
    #[inline]
    pub(super) fn next(&mut self, bytes: &[u8], at: usize) -> Option<usize> {
        self.look_at(bytes, at / BLOCK)?;
        let mut bits = self.bits & u64::MAX << (at % BLOCK);
        while bits == 0 {
            self.look_at(bytes, self.block + 1)?;
            bits = self.bits;
        }
        Some(self.block * BLOCK + bits.trailing_zeros() as usize)
    }

    #[inline]
    fn look_at(&mut self, bytes: &[u8], block: usize) -> Option<()> {
        if self.block != block {
            let rest = bytes.get(block * BLOCK..).filter(|rest| !rest.is_empty())?;
            self.bits = match rest.first_chunk::<BLOCK>() {
                Some(whole) => bits_of(whole),
                None => {
                    let mut padded = [0; BLOCK];
                    padded[..rest.len()].copy_from_slice(rest);
                    bits_of(&padded)
                }
            };
            self.block = block;
        }
        Some(())
    }
}

/// One bit for every byte that is a quote or a backslash.
#[inline]
fn bits_of(block: &[u8; BLOCK]) -> u64 {
    let (quote, backslash) = (u8x16::splat(b'"'), u8x16::splat(b'\\'));
    let (parts, _) = block.as_chunks::<16>();
    (0..).step_by(16).zip(parts).fold(0, |bits, (shift, part)| {
        let part = u8x16::from(*part);
        let marked = part.simd_eq(quote) | part.simd_eq(backslash);
        bits | u64::from(marked.to_bitmask()) << shift
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn finds_what_a_plain_search_finds(
            bytes in proptest::collection::vec(prop_oneof![5 => any::<u8>(), 1 => Just(b'"'), 1 => Just(b'\\')], 0..300),
            places in proptest::collection::vec(0usize..320, 1..20),
        ) {
            let mut marks = Marks::new();
            for at in places {
                let plain = (at..bytes.len()).find(|at| matches!(bytes[*at], b'"' | b'\\'));
                prop_assert_eq!(marks.next(&bytes, at), plain, "from {}", at);
            }
        }
    }
}
