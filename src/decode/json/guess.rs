//! Which key comes next: the one that stood there in the event before.
//!
//! Who writes events writes their keys in the same order again and again. A key that was read once is known again by
//! three comparisons, without a look for its end and without a look-up. A wrong guess costs these comparisons.

/// Longest key that is guessed, with its quotes, its colon and the space around it.
const LONGEST: usize = 24;
/// Keys of an object that are guessed.
const MOST: usize = 64;

/// The keys of the objects that stood at one place.
#[derive(Debug, Default)]
pub(super) struct Guesses(Vec<Guess>);

#[derive(Clone, Copy, Debug, Default)]
struct Guess {
    words: [u64; LONGEST / 8],
    /// Ones where `words` holds something.
    masks: [u64; LONGEST / 8],
    length: usize,
    child: Option<usize>,
}

impl Guesses {
    /// The length of the text at the beginning of `bytes` from the `nth` key up to its value, and where the key leads,
    /// if it is the one that stood there before.
    #[inline]
    pub(super) fn try_at(&self, nth: usize, bytes: &[u8]) -> Option<(usize, Option<usize>)> {
        let guess = self.0.get(nth)?;
        let (words, _) = bytes.first_chunk::<LONGEST>()?.as_chunks::<8>();
        let differs = |i: usize| (u64::from_le_bytes(words[i]) ^ guess.words[i]) & guess.masks[i];
        let is_it = guess.length > 0 && differs(0) | differs(1) | differs(2) == 0;
        is_it.then_some((guess.length, guess.child))
    }

    /// Remembers the text from the `nth` key up to its value.
    pub(super) fn learn(&mut self, nth: usize, text: &[u8], child: Option<usize>) {
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
                child,
            };
        }
    }
}

fn words(bytes: &[u8; LONGEST]) -> [u64; LONGEST / 8] {
    let (chunks, _) = bytes.as_chunks::<8>();
    [0, 1, 2].map(|i| u64::from_le_bytes(chunks[i]))
}
