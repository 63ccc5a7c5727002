//! Which key comes next: the one that stood there in the event before.
//!
//! Who writes events writes their keys in the same order again and again. What leads from one value to the next, say
//! `,"region":"`, was read once and is known again by four comparisons, without a look for its end and without a
//! look-up. A wrong guess costs these comparisons.

/// Longest lead that is guessed.
const LONGEST: usize = 32;
/// Keys of an object that are guessed.
const MOST: usize = 64;

/// What leads to a value: everything between the end of the value before it, or the brace of its object, and itself; of a
/// text the first quote belongs to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Lead {
    /// Where its key leads.
    pub(super) to: Way,
    /// Whether the value is a text, and its first quote is behind.
    pub(super) opens_text: bool,
}

/// Where a key leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Way {
    /// To nothing that is wanted.
    #[default]
    Nowhere,
    /// To a value that fills this one slot, with nothing wanted in it.
    Slot(usize),
    /// To a node.
    Node(usize),
}

/// The leads of the objects that stood at one place.
#[derive(Debug, Default)]
pub(super) struct Guesses(Vec<Guess>);

#[derive(Clone, Copy, Debug, Default)]
struct Guess {
    words: [u64; LONGEST / 8],
    /// Ones where `words` holds something.
    masks: [u64; LONGEST / 8],
    length: usize,
    lead: Lead,
}

impl Guesses {
    /// The length of the `nth` lead, with which `rest` begins, if it is the one that stood there before.
    #[inline]
    pub(super) fn try_at(&self, nth: usize, rest: &[u8]) -> Option<(usize, Lead)> {
        let guess = self.0.get(nth)?;
        let Some(bytes) = rest.first_chunk::<LONGEST>() else {
            return guess.try_near_end(rest);
        };
        let (words, _) = bytes.as_chunks::<8>();
        let differs = |i: usize| (u64::from_le_bytes(words[i]) ^ guess.words[i]) & guess.masks[i];
        let is_it = guess.length > 0 && differs(0) | differs(1) | differs(2) | differs(3) == 0;
        is_it.then_some((guess.length, guess.lead))
    }

    /// Remembers the `nth` lead.
    pub(super) fn learn(&mut self, nth: usize, text: &[u8], lead: Lead) {
        if nth >= MOST {
            return;
        }
        if self.0.len() <= nth {
            self.0.resize(nth + 1, Guess::default());
        }
        self.0[nth] = Guess::default();
        if text.len() <= LONGEST {
            let (mut bytes, mut ones) = ([0; LONGEST], [0; LONGEST]);
            bytes[..text.len()].copy_from_slice(text);
            ones[..text.len()].fill(u8::MAX);
            self.0[nth] = Guess {
                words: words(&bytes),
                masks: words(&ones),
                length: text.len(),
                lead,
            };
        }
    }
}

impl Guess {
    /// Where less is left than a guess may be long.
    fn try_near_end(&self, rest: &[u8]) -> Option<(usize, Lead)> {
        let mut padded = [0; LONGEST];
        padded.get_mut(..rest.len())?.copy_from_slice(rest);
        let is_it = |(i, word): (usize, u64)| (word ^ self.words[i]) & self.masks[i] == 0;
        let fits = (1..=rest.len()).contains(&self.length);
        (fits && words(&padded).into_iter().enumerate().all(is_it)).then_some((self.length, self.lead))
    }
}

fn words(bytes: &[u8; LONGEST]) -> [u64; LONGEST / 8] {
    let (chunks, _) = bytes.as_chunks::<8>();
    [0, 1, 2, 3].map(|i| u64::from_le_bytes(chunks[i]))
}
