//! Where the boxes of the tree stand: of several layouts the one that is largest on a slide.

use crate::catalog::{Catalog, NodeId};

pub(super) const BOX_WIDTH: f64 = 250.0;
pub(super) const MARGIN: f64 = 28.0;
const COLUMN_GAP: f64 = 84.0;
/// Under the boxes.
pub(super) const LEGEND_HEIGHT: f64 = 46.0;
/// The legend of four levels and two lines needs its room, whatever the tree.
const LEGEND_WIDTH: f64 = 704.0;
/// A slide of 16 : 9, in the units of the picture.
const SLIDE: (f64, f64) = (1600.0, 900.0);

/// How tall the boxes are and how far from each other.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Rows {
    pub(super) height: f64,
    gap: f64,
}

/// Titles of two lines.
pub(super) const ROOMY: Rows = Rows {
    height: 110.0,
    gap: 20.0,
};
/// Titles of one line, for a tree of many nodes.
pub(super) const DENSE: Rows = Rows {
    height: 74.0,
    gap: 10.0,
};

/// A box with the place of its upper left corner.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) id: NodeId,
    pub(super) x: f64,
    pub(super) y: f64,
}

/// A tree whose boxes have places.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) placed: Vec<Placed>,
    pub(super) rows: Rows,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// Which way a branch grows.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    Right,
    Left,
}

impl Layout {
    /// The layout that is largest on a slide; of equal ones the roomiest that reads from left to right.
    pub(super) fn best(catalog: &Catalog) -> Layout {
        let first = Layout::new(catalog, ROOMY, false);
        [(DENSE, false), (ROOMY, true), (DENSE, true)]
            .into_iter()
            .map(|(rows, both_sides)| Layout::new(catalog, rows, both_sides))
            .fold(
                first,
                |best, other| {
                    if other.scale() > best.scale() { other } else { best }
                },
            )
    }

    /// How much it must be made smaller for a slide; 1 when it need not.
    fn scale(&self) -> f64 {
        (SLIDE.0 / self.width).min(SLIDE.1 / self.height).min(1.0)
    }

    fn new(catalog: &Catalog, rows: Rows, both_sides: bool) -> Layout {
        let mut placed = Vec::new();
        let mut next_y = MARGIN;
        for (index, node) in (0u32..).zip(&catalog.nodes) {
            if node.parent.is_some() {
                continue;
            }
            let root = NodeId(index);
            let children: Vec<NodeId> = catalog.children(root).collect();
            let on_right = if both_sides {
                half(catalog, &children)
            } else {
                children.len()
            };
            let (right, left) = children.split_at(on_right);
            let top = next_y;
            let (mut right_y, mut left_y) = (top, top);
            let mut middles = Vec::new();
            for (side, branch, y) in [
                (Side::Right, right, &mut right_y),
                (Side::Left, left, &mut left_y),
            ] {
                let at: Vec<f64> = branch
                    .iter()
                    .map(|&child| place_below(catalog, child, 1, side, rows, y, &mut placed))
                    .collect();
                middles.extend(
                    at.first()
                        .zip(at.last())
                        .map(|(first, last)| (first + last) / 2.0),
                );
            }
            // One side may be a single box beside many.
            let y = middles.iter().copied().fold(top, f64::max);
            placed.push(Placed { id: root, x: 0.0, y });
            next_y = right_y.max(left_y).max(y + rows.height + rows.gap);
        }
        let leftmost = placed.iter().map(|at| at.x).fold(0.0, f64::min);
        placed.iter_mut().for_each(|at| at.x += MARGIN - leftmost);
        let right = placed.iter().map(|at| at.x + BOX_WIDTH).fold(0.0, f64::max);
        let bottom = placed.iter().map(|at| at.y + rows.height).fold(0.0, f64::max);
        Layout {
            placed,
            rows,
            width: right.max(MARGIN + LEGEND_WIDTH) + MARGIN,
            height: bottom + LEGEND_HEIGHT + MARGIN,
        }
    }
}

/// Leaves one below the other, parents beside the middle of their children, one column a depth; returns the y.
fn place_below(
    catalog: &Catalog,
    id: NodeId,
    depth: usize,
    side: Side,
    rows: Rows,
    next_y: &mut f64,
    placed: &mut Vec<Placed>,
) -> f64 {
    let away = depth as f64 * (BOX_WIDTH + COLUMN_GAP);
    let children: Vec<f64> = catalog
        .children(id)
        .map(|child| place_below(catalog, child, depth + 1, side, rows, next_y, placed))
        .collect();
    let y = match (children.first(), children.last()) {
        (Some(first), Some(last)) => (first + last) / 2.0,
        _ => {
            let y = *next_y;
            *next_y += rows.height + rows.gap;
            y
        }
    };
    let x = if side == Side::Right { away } else { -away };
    placed.push(Placed { id, x, y });
    y
}

/// How many of the children make about half of the leaves.
fn half(catalog: &Catalog, children: &[NodeId]) -> usize {
    let leaves: Vec<usize> = children.iter().map(|&child| leaves(catalog, child)).collect();
    let all: usize = leaves.iter().sum();
    let mut before = 0;
    let taken = leaves.iter().take_while(|&&count| {
        let middle = before * 2 + count;
        before += count;
        middle <= all
    });
    taken.count().max(1).min(children.len())
}

fn leaves(catalog: &Catalog, id: NodeId) -> usize {
    let below: usize = catalog.children(id).map(|child| leaves(catalog, child)).sum();
    below.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::load::{Files, load};

    /// A root with `branches`, each of which has `leaves`.
    fn tree(branches: usize, leaves: usize) -> Catalog {
        let mut yaml = "sources: {s: {topics: [t], format: json, fields: {a: a}}}\nmetrics: {m: {source: s, agg: sum, expr: a}}\nnodes:\n  root: {metric: m, role: business, period: year}\n".to_owned();
        let mut add = |name: &str, parent: &str| {
            yaml.push_str(&format!(
                "  {name}: {{metric: m, role: kpi, parent: {parent}, relation: influence, period: month, target: 1}}\n"
            ));
        };
        for branch in 0..branches {
            add(&format!("b{branch}"), "root");
            (0..leaves).for_each(|leaf| add(&format!("b{branch}l{leaf}"), &format!("b{branch}")));
        }
        load(&Files::new("", [("a.yaml", yaml.as_str())]))
            .map_err(|e| e.to_string())
            .unwrap()
    }

    #[test]
    fn nothing_lies_on_something_else_in_any_layout() {
        for (branches, leaves) in [(0, 0), (1, 0), (1, 5), (5, 0), (2, 7), (9, 3)] {
            let catalog = tree(branches, leaves);
            for (rows, both) in [(ROOMY, false), (DENSE, false), (ROOMY, true), (DENSE, true)] {
                let layout = Layout::new(&catalog, rows, both);
                assert_eq!(layout.placed.len(), catalog.nodes.len());
                for (index, one) in layout.placed.iter().enumerate() {
                    assert!(one.x >= MARGIN && one.y >= MARGIN, "{one:?}");
                    for other in &layout.placed[..index] {
                        let apart =
                            (one.x - other.x).abs() >= BOX_WIDTH || (one.y - other.y).abs() >= rows.height;
                        assert!(apart, "{one:?} lies on {other:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_small_tree_reads_from_left_to_right_and_a_large_one_fills_the_slide() {
        let small = Layout::best(&tree(2, 2));
        assert_eq!((small.rows, small.scale()), (ROOMY, 1.0));
        assert!(
            small
                .placed
                .iter()
                .all(|at| at.x >= small.placed.last().unwrap().x)
        );
        let large = Layout::best(&tree(6, 4));
        assert_eq!(large.rows, DENSE);
        assert!(large.scale() > 0.65, "{}", large.scale());
    }
}
