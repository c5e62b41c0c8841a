//! Many tensor names in a few lines.
//!
//! A branch of the tree of names that is meant whole becomes `branch.*`. What is still too much is folded by pattern,
//! numbers taken for equal, and at last by the end of the names.

use std::collections::{BTreeMap, HashMap};

/// More names, and deeper ones, are not folded: a tree of them takes memory, and nobody reads it.
pub(super) const MOST_NAMES: usize = 5000;
const DEEPEST: usize = 80;

/// Longer names are cut.
const LONGEST_SHOWN: usize = 80;

/// A line: what names look like, and how many they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fold {
    pub pattern: String,
    pub count: usize,
}

/// Folds `names`, which are some of `all`, into at most `lines` folds; the second part is what was left out.
pub(super) fn fold<'n>(
    names: impl IntoIterator<Item = &'n str>,
    all: impl IntoIterator<Item = &'n str>,
    lines: usize,
) -> (Vec<Fold>, usize) {
    let mut tree = Tree::new();
    for name in all.into_iter().take(MOST_NAMES) {
        tree.insert(name, false);
    }
    let mut names = names.into_iter();
    for name in names.by_ref().take(MOST_NAMES) {
        tree.insert(name, true);
    }
    let beyond = names.count();
    let folds = tree.folds();
    let shorter = [folded(&folds, numbers), folded(&folds, end)];
    let fitting = std::iter::once(folds).chain(shorter).reduce(|best, next| {
        match best.len() > lines && next.len() < best.len() {
            true => next,
            false => best,
        }
    });
    let mut folds = fitting.unwrap_or_default();
    let kept = match folds.len() > lines {
        true => lines.saturating_sub(1),
        false => lines,
    };
    let left: usize = folds.iter().skip(kept).map(|fold| fold.count).sum();
    folds.truncate(kept);
    (folds, left + beyond)
}

/// A tensor's name as it may be shown: one line, not too long, nothing that a terminal obeys.
pub(super) fn shown(name: &str) -> String {
    let mut text: String = name.chars().take(LONGEST_SHOWN).collect();
    if text.len() < name.len() {
        text.push_str("...");
    }
    text.escape_debug().to_string()
}

/// The names as a tree of their dotted parts, flat: children are indices.
struct Tree<'n> {
    nodes: Vec<Node<'n>>,
}

#[derive(Default)]
struct Node<'n> {
    part: &'n str,
    parent: usize,
    children: BTreeMap<Part<'n>, usize>,
    /// How many names end here or below, and how many of them are meant.
    all: usize,
    meant: usize,
    /// Whether a name ends here, and whether it is meant.
    ends: bool,
    end_meant: bool,
}

/// Numbers in their order, before words in theirs.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Part<'n> {
    Number(u64, &'n str),
    Word(&'n str),
}

impl<'n> Part<'n> {
    fn of(text: &'n str) -> Self {
        match text.parse() {
            Ok(number) => Self::Number(number, text),
            Err(_) => Self::Word(text),
        }
    }
}

impl<'n> Tree<'n> {
    fn new() -> Self {
        Self {
            nodes: vec![Node::default()],
        }
    }

    fn insert(&mut self, name: &'n str, meant: bool) {
        let mut path = vec![0];
        let mut at = 0;
        for part in name.splitn(DEEPEST, '.') {
            let next = self.nodes.len();
            let child = *self.nodes[at]
                .children
                .entry(Part::of(part))
                .or_insert(next);
            if child == next {
                self.nodes.push(Node {
                    part,
                    parent: at,
                    ..Node::default()
                });
            }
            at = child;
            path.push(at);
        }
        let node = &mut self.nodes[at];
        let new = !node.ends;
        let newly_meant = meant && !node.end_meant;
        node.ends = true;
        node.end_meant |= meant;
        for index in path {
            self.nodes[index].all += usize::from(new);
            self.nodes[index].meant += usize::from(newly_meant);
        }
    }

    /// The highest branches that are meant whole, in the order of the tree.
    fn folds(&self) -> Vec<Fold> {
        let mut folds = Vec::new();
        // "Everything" would say nothing of what it is, so the root is never folded.
        let mut stack: Vec<usize> = self.nodes[0].children.values().rev().copied().collect();
        while let Some(index) = stack.pop() {
            let node = &self.nodes[index];
            if node.meant == 0 {
                continue;
            }
            let whole = node.meant == node.all;
            if whole {
                let narrow = self.narrowest(index);
                let leaf = self.nodes[narrow].children.is_empty();
                folds.push(Fold {
                    pattern: self.pattern(narrow, leaf),
                    count: node.meant,
                });
                continue;
            }
            if node.end_meant {
                let pattern = self.pattern(index, true);
                folds.push(Fold { pattern, count: 1 });
            }
            stack.extend(node.children.values().rev());
        }
        folds
    }

    /// The deepest node that has all names of this one at or below it.
    fn narrowest(&self, index: usize) -> usize {
        let mut at = index;
        while let node = &self.nodes[at]
            && !node.ends
            && node.children.len() == 1
            && let Some(child) = node.children.values().next()
        {
            at = *child;
        }
        at
    }

    fn pattern(&self, index: usize, leaf: bool) -> String {
        let mut parts = Vec::new();
        let mut at = index;
        while at != 0 {
            parts.push(self.nodes[at].part);
            at = self.nodes[at].parent;
        }
        parts.reverse();
        if !leaf {
            parts.push("*");
        }
        parts.join(".")
    }
}

/// Folds whose patterns become the same, in the order of the first of each.
fn folded(folds: &[Fold], rename: impl Fn(&str) -> String) -> Vec<Fold> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut joined: Vec<Fold> = Vec::new();
    for fold in folds {
        let pattern = rename(&fold.pattern);
        let place = *places.entry(pattern.clone()).or_insert(joined.len());
        match joined.get_mut(place) {
            Some(same) => same.count += fold.count,
            None => joined.push(Fold {
                pattern,
                count: fold.count,
            }),
        }
    }
    joined
}

/// Any number as `*`.
fn numbers(pattern: &str) -> String {
    let star = |part| match Part::of(part) {
        Part::Number(..) => "*",
        Part::Word(_) => part,
    };
    pattern.split('.').map(star).collect::<Vec<_>>().join(".")
}

/// The last two parts, whatever is before them.
fn end(pattern: &str) -> String {
    let numbered = numbers(pattern);
    match numbered.rmatch_indices('.').nth(1) {
        Some((index, _)) => format!("*{}", &numbered[index..]),
        None => numbered,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(names: &[&str], all: &[&str], most: usize) -> (Vec<String>, usize) {
        let (folds, left) = fold(names.iter().copied(), all.iter().copied(), most);
        let line = |fold: &Fold| format!("{} {}", fold.pattern, fold.count);
        (folds.iter().map(line).collect(), left)
    }

    #[test]
    fn whole_branches_become_one_line() {
        let all = ["a.0.w", "a.0.b", "a.1.w", "a.1.b", "a.10.w", "a.2.w", "z"];
        let names = ["a.0.w", "a.0.b", "a.1.w", "a.2.w", "a.10.w"];
        let wanted = ["a.0.* 2", "a.1.w 1", "a.2.w 1", "a.10.w 1"];
        assert_eq!(lines(&names, &all, 9), (wanted.map(String::from).into(), 0));
        assert_eq!(lines(&all, &all, 9).0, ["a.* 6", "z 1"]);
        assert_eq!(lines(&["z"], &all, 9).0, ["z 1"]);
        let chain = ["m.m.0.w", "m.m.0.b"];
        assert_eq!(lines(&chain, &chain, 9).0, ["m.m.0.* 2"]);
        assert_eq!(lines(&[], &all, 9).0, [] as [&str; 0]);
    }

    #[test]
    fn too_many_lines_are_folded_by_number_then_by_end_then_cut() {
        let all = ["a.0.w", "a.0.b", "a.1.w", "a.1.b", "b.c.2.w", "b.c.2.b"];
        let names = ["a.0.w", "a.1.w", "b.c.2.w"];
        assert_eq!(lines(&names, &all, 2).0, ["a.*.w 2", "b.c.*.w 1"]);
        assert_eq!(lines(&names, &all, 1), (vec!["*.*.w 3".into()], 0));
        let names = ["a.0.w", "a.1.b", "b.c.2.w"];
        assert_eq!(lines(&names, &all, 2).0.len(), 2);
        assert_eq!(lines(&names, &all, 1), (vec![], 3));
    }

    #[test]
    fn a_name_may_be_the_beginning_of_another() {
        let all = ["a", "a.b", "a.c"];
        assert_eq!(lines(&["a"], &all, 9).0, ["a 1"]);
        assert_eq!(lines(&all, &all, 9).0, ["a.* 3"]);
        assert_eq!(lines(&["a", "a.b"], &all, 9).0, ["a 1", "a.b 1"]);
        assert_eq!(lines(&["", ".", "a.."], &["", ".", "a.."], 9).0.len(), 2);
    }

    #[test]
    fn names_are_shown_harmlessly() {
        assert_eq!(shown("a\u{1b}[31m\n"), "a\\u{1b}[31m\\n");
        assert_eq!(shown(&"x".repeat(500)).len(), LONGEST_SHOWN + 3);
    }
}
