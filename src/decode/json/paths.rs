//! Wanted paths, and what is known of the objects on the way to them.

use super::Span;
use super::guess::{Guesses, Way};

/// Wanted paths as a tree of keys.
#[derive(Debug)]
pub(in crate::decode) struct Paths {
    pub(super) nodes: Vec<Node>,
}

#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) children: Vec<(Key, usize)>,
    /// Slots that this path fills.
    pub(super) slots: Vec<usize>,
    /// Keys of the objects that stood here.
    pub(super) guesses: Guesses,
}

impl Paths {
    pub(in crate::decode) fn new<'p>(paths: impl Iterator<Item = (&'p [String], usize)>) -> Paths {
        let mut nodes = vec![Node::default()];
        for (path, slot) in paths {
            let mut at = 0;
            for key in path {
                let known = nodes[at]
                    .children
                    .iter()
                    .find(|(name, _)| *name.text == *key.as_bytes())
                    .map(|(_, to)| *to);
                at = known.unwrap_or_else(|| {
                    nodes.push(Node::default());
                    let to = nodes.len() - 1;
                    nodes[at].children.push((Key::new(key.as_bytes()), to));
                    to
                });
            }
            nodes[at].slots.push(slot);
        }
        Paths { nodes }
    }

    /// No paths: everything is stepped over.
    pub(in crate::decode) fn none() -> Paths {
        Paths { nodes: Vec::new() }
    }

    /// The node from which all paths lead on.
    pub(in crate::decode) const ROOT: usize = 0;

    /// Number of nodes.
    pub(in crate::decode) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Slots that the value at a node fills.
    pub(in crate::decode) fn slots(&self, node: usize) -> &[usize] {
        &self.nodes[node].slots
    }

    /// Keys that lead on from a node, and where to.
    pub(in crate::decode) fn children(&self, node: usize) -> impl Iterator<Item = (&[u8], usize)> {
        let children = self.nodes[node].children.iter();
        children.map(|(key, to)| (&*key.text, *to))
    }

    /// Forgets what was found at a node and behind it.
    pub(in crate::decode) fn clear_below(&self, node: usize, spans: &mut [Span]) {
        for &slot in &self.nodes[node].slots {
            spans[slot] = Span::Missing;
        }
        for (_, child) in &self.nodes[node].children {
            self.clear_below(*child, spans);
        }
    }

    /// The node that a key leads to.
    pub(in crate::decode) fn child_of(&self, node: usize, key: &[u8]) -> Option<usize> {
        self.child(node, key, 0, key.len())
    }

    /// The way to a node.
    pub(super) fn way(&self, node: Option<usize>) -> Way {
        let Some(node) = node else {
            return Way::Nowhere;
        };
        match (&*self.nodes[node].slots, self.nodes[node].children.is_empty()) {
            ([slot], true) => Way::Slot(*slot),
            _ => Way::Node(node),
        }
    }

    /// The node that a key leads to. The key stands at `start..end` of `bytes`.
    #[inline]
    pub(super) fn child(&self, node: usize, bytes: &[u8], start: usize, end: usize) -> Option<usize> {
        let children = &self.nodes[node].children;
        let word = first_word(bytes, start, end);
        let is_it = |name: &Key| name.start == word && (end - start < 8 || *name.text == bytes[start..end]);
        children.iter().find(|(name, _)| is_it(name)).map(|(_, to)| *to)
    }
}

/// A key with its first bytes as a number: most keys are told apart by one comparison.
#[derive(Debug)]
pub(super) struct Key {
    text: Box<[u8]>,
    start: u64,
}

impl Key {
    fn new(text: &[u8]) -> Key {
        Key {
            text: text.into(),
            start: first_word(text, 0, text.len()),
        }
    }
}

/// The first eight bytes of a key. A shorter key is followed by the byte 255, which no text holds, and zeros: it is
/// known by its number.
#[inline]
fn first_word(bytes: &[u8], start: usize, end: usize) -> u64 {
    let length = end - start;
    let word = match bytes[start..].first_chunk::<8>() {
        Some(word) => u64::from_le_bytes(*word),
        None => {
            let mut padded = [0; 8];
            padded[..length].copy_from_slice(&bytes[start..end]);
            u64::from_le_bytes(padded)
        }
    };
    if length >= 8 {
        return word;
    }
    let own = (1 << (8 * length)) - 1;
    word & own | 255 << (8 * length)
}
