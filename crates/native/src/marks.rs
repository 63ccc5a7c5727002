//! Where the texts of a JSON document end: one bit for every byte that is a quote or a backslash.
//!
//! Texts of events are short, and there are dozens in each. Looking at all of the document once and then asking a bit
//! mask costs a fraction of a search for every text. AVX2 is used where the machine has it, which is asked at run time;
//! anywhere else vectors of 16 bytes, which every x86-64 (SSE2) and aarch64 (NEON) machine has.

use wide::u8x16;

/// Bytes of a block: as many as a mask has bits.
const BLOCK: usize = 64;

/// The marks of one document after the other. Keeps its memory.
#[derive(Debug, Default)]
pub struct Marks {
    /// A bit for every byte of the document, beginning at the lowest bit of the first; one word more is empty.
    bits: Vec<u64>,
}

impl Marks {
    /// Looks at a document; what was found in the one before is forgotten.
    #[inline]
    pub fn read(&mut self, bytes: &[u8]) {
        self.bits.clear();
        self.bits.resize(words(bytes), 0);
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: this machine has AVX2.
            return unsafe { avx2::read(bytes, &mut self.bits) };
        }
        read(bytes, &mut self.bits);
    }

    /// The place of the next quote or backslash at `at` or behind it.
    #[inline]
    pub fn next(&self, at: usize) -> Option<usize> {
        // A window from here on: whether a text ends in this block or in the next one is nothing that a processor could
        // foresee.
        let (block, shift) = (at / BLOCK, at % BLOCK);
        let (low, high) = (*self.bits.get(block)?, *self.bits.get(block + 1)?);
        let window = low >> shift | (high << 1) << (BLOCK - 1 - shift);
        if window != 0 {
            return Some(at + window.trailing_zeros() as usize);
        }
        self.next_from_block(block + 1)
    }

    fn next_from_block(&self, first: usize) -> Option<usize> {
        let mut block = first;
        loop {
            let bits = *self.bits.get(block)?;
            if bits != 0 {
                return Some(block * BLOCK + bits.trailing_zeros() as usize);
            }
            block += 1;
        }
    }
}

/// Words of a document's bits.
fn words(bytes: &[u8]) -> usize {
    bytes.len().div_ceil(BLOCK) + 1
}

/// A whole block from the last bytes, filled up with zeros.
fn padded(rest: &[u8]) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    block[..rest.len()].copy_from_slice(rest);
    block
}

fn read(bytes: &[u8], bits: &mut [u64]) {
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    for (bits, block) in bits.iter_mut().zip(blocks) {
        *bits = bits_of(block);
    }
    if let (false, Some(bits)) = (rest.is_empty(), bits.get_mut(blocks.len())) {
        *bits = bits_of(&padded(rest));
    }
}

fn bits_of(block: &[u8; BLOCK]) -> u64 {
    let (quote, backslash) = (u8x16::splat(b'"'), u8x16::splat(b'\\'));
    let (parts, _) = block.as_chunks::<16>();
    (0..).step_by(16).zip(parts).fold(0, |bits, (shift, part)| {
        let part = u8x16::from(*part);
        let marked = part.simd_eq(quote) | part.simd_eq(backslash);
        bits | u64::from(marked.to_bitmask()) << shift
    })
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{
        __m256i, _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_movemask_epi8, _mm256_or_si256,
        _mm256_set1_epi8,
    };

    use super::{BLOCK, padded};

    #[target_feature(enable = "avx2")]
    pub(super) fn read(bytes: &[u8], bits: &mut [u64]) {
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        for (bits, block) in bits.iter_mut().zip(blocks) {
            *bits = bits_of(block);
        }
        if let (false, Some(bits)) = (rest.is_empty(), bits.get_mut(blocks.len())) {
            *bits = bits_of(&padded(rest));
        }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn bits_of(block: &[u8; BLOCK]) -> u64 {
        let (low, high) = block.split_at(32);
        u64::from(bits_of_half(low)) | u64::from(bits_of_half(high)) << 32
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn bits_of_half(half: &[u8]) -> u32 {
        debug_assert_eq!(half.len(), 32);
        let Some(half) = half.first_chunk::<32>() else {
            return 0;
        };
        // SAFETY: there are 32 bytes, and they need not be aligned.
        let bytes: __m256i = unsafe { _mm256_loadu_si256(half.as_ptr().cast()) };
        let quotes = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(b'"'.cast_signed()));
        let backslashes = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(b'\\'.cast_signed()));
        _mm256_movemask_epi8(_mm256_or_si256(quotes, backslashes)).cast_unsigned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn finds_what_a_plain_search_finds(
            bytes in proptest::collection::vec(prop_oneof![5 => any::<u8>(), 1 => Just(b'"'), 1 => Just(b'\\')], 0..300),
            before in proptest::collection::vec(any::<u8>(), 0..300),
            places in proptest::collection::vec(0usize..320, 1..20),
        ) {
            let mut marks = Marks::default();
            marks.read(&before);
            marks.read(&bytes);
            for at in places {
                let plain = (at..bytes.len()).find(|at| matches!(bytes[*at], b'"' | b'\\'));
                prop_assert_eq!(marks.next(at), plain, "from {}", at);
            }
        }

        /// The machine of a test has mostly AVX2: what stands in for it must find the same.
        #[test]
        fn every_way_finds_the_same(bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'"'), Just(b'\\')], 0..300)) {
            let mut marks = Marks::default();
            marks.read(&bytes);
            let mut portable = vec![0; words(&bytes)];
            read(&bytes, &mut portable);
            prop_assert_eq!(marks.bits, portable);
        }
    }
}
