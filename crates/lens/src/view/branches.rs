//! Trees, drawn.

use std::collections::BTreeMap;

/// Deeper, no further branches are drawn: a user can make as deep a tree as the kernel holds.
const DEEPEST: usize = 64;

/// All of `parents`, each with its depth and the branches that are drawn before it: every one before its children, and these
/// in their order. Whose parent is none of them is a root.
pub(super) fn branches<K: Copy + Ord>(parents: &BTreeMap<K, Option<K>>) -> Vec<(K, usize, String)> {
    let mut children: BTreeMap<Option<K>, Vec<K>> = BTreeMap::new();
    for (&one, &parent) in parents {
        let parent = parent.filter(|parent| parents.contains_key(parent) && *parent != one);
        children.entry(parent).or_default().push(one);
    }
    let mut order = Vec::new();
    // What is left to draw, last first: depth, branches of its ancestors, whether it is the last of its siblings.
    let mut left: Vec<(K, usize, String, bool)> = Vec::new();
    let roots = children.get(&None).map_or(&[][..], Vec::as_slice);
    left.extend(roots.iter().rev().map(|one| (*one, 0, String::new(), true)));
    while let Some((one, depth, before, last)) = left.pop() {
        let (here, below) = match (depth, last) {
            (0, _) => (String::new(), String::new()),
            (DEEPEST.., _) => (before.clone(), before),
            (_, false) => (
                format!("{before}\u{251c}\u{2500} "),
                format!("{before}\u{2502}  "),
            ),
            (_, true) => (format!("{before}\u{2514}\u{2500} "), format!("{before}   ")),
        };
        order.push((one, depth, here));
        let siblings = children.get(&Some(one)).map_or(&[][..], Vec::as_slice);
        let last = siblings.last().copied();
        let rows = siblings
            .iter()
            .rev()
            .map(|one| (*one, depth + 1, below.clone(), Some(*one) == last));
        left.extend(rows);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_show_who_is_whose() {
        let parents = [
            (10, Some(1)),
            (30, Some(10)),
            (11, Some(10)),
            (12, Some(11)),
            (13, Some(11)),
            (14, Some(30)),
            (50, None),
            (60, Some(60)),
        ];
        let drawn: Vec<String> = branches(&parents.into())
            .into_iter()
            .map(|(one, _, branches)| format!("{branches}{one}"))
            .collect();
        let expected = [
            "10",
            "├─ 11",
            "│  ├─ 12",
            "│  └─ 13",
            "└─ 30",
            "   └─ 14",
            "50",
            "60",
        ];
        assert_eq!(drawn, expected);
    }
}
