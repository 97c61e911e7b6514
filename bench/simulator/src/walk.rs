//! A walk over a regular tree that exists by its numbers only. It goes depth-first and sets aside as the worker's
//! frontier does: the later half of what is left of the highest directory.

use std::collections::VecDeque;

use shardex_catalog::{RelativePath, Span};

/// A tree in which every directory of a level has as many sub-directories; files lie in the lowest.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    /// Sub-directories of a directory, from the root's on.
    pub(crate) fan: Vec<u32>,
    /// Files of each of the lowest directories.
    pub(crate) files: u64,
}

impl Tree {
    pub(crate) fn directories(&self) -> u64 {
        let levels = self.fan.iter().scan(1_u64, |all, fan| {
            *all *= u64::from(*fan);
            Some(*all)
        });
        1 + levels.sum::<u64>()
    }

    pub(crate) fn files(&self) -> u64 {
        self.fan.iter().map(|fan| u64::from(*fan)).product::<u64>() * self.files
    }
}

/// Sub-directories of one directory that are not listed yet.
struct Children {
    parent: RelativePath,
    names: VecDeque<u32>,
    /// The name after the last one, empty for none.
    to: Vec<u8>,
}

/// What one unit walks.
pub(crate) struct Walk {
    tree: Tree,
    root: Option<Span>,
    frames: Vec<Children>,
    excluded: Vec<Span>,
    aside: Option<Span>,
    pub(crate) files: u64,
    pub(crate) directories: u64,
}

fn name(number: u32) -> Vec<u8> {
    format!("directory-{number:04}").into_bytes()
}

fn depth(path: &RelativePath) -> usize {
    if path.is_root() { 0 } else { 1 + path.as_bytes().iter().filter(|byte| **byte == b'/').count() }
}

impl Walk {
    pub(crate) fn new(tree: Tree, root: Span, excluded: Vec<Span>) -> Self {
        Self { tree, root: Some(root), frames: Vec::new(), excluded, aside: None, files: 0, directories: 0 }
    }

    /// Looks at one directory; `false` if none is left.
    pub(crate) fn step(&mut self) -> bool {
        if let Some(root) = self.root.take() {
            let within = root.names().is_some().then_some(&root);
            self.list(root.directory().clone(), within);
            return true;
        }
        while let Some(frame) = self.frames.last_mut() {
            if let Some(number) = frame.names.pop_front() {
                let path = frame.parent.join(&name(number));
                self.list(path, None);
                return true;
            }
            self.frames.pop();
        }
        false
    }

    /// Whether nothing is left, and nobody has to be told of what is set aside.
    pub(crate) fn is_done(&self) -> bool {
        self.root.is_none() && self.aside.is_none() && self.frames.iter().all(|frame| frame.names.is_empty())
    }

    fn list(&mut self, path: RelativePath, within: Option<&Span>) {
        if within.is_none() {
            self.directories += 1;
        }
        let Some(fan) = self.tree.fan.get(depth(&path)) else {
            self.files += self.tree.files;
            return;
        };
        let is_own = |number: &u32| {
            let name = name(*number);
            within.is_none_or(|span| span.holds_child(&path, &name))
                && !self.excluded.iter().any(|span| span.holds_child(&path, &name))
        };
        let names = (0..*fan).filter(is_own).collect();
        let to = within.and_then(Span::names).map_or_else(Vec::new, |(_, to)| to.to_vec());
        self.frames.push(Children { parent: path, names, to });
    }

    /// Sets something aside, if nothing is and there is enough.
    pub(crate) fn set_aside(&mut self) {
        if self.aside.is_some() {
            return;
        }
        let Some(frame) = self.frames.iter_mut().find(|frame| frame.names.len() > 1) else { return };
        let given = frame.names.split_off(frame.names.len() / 2);
        let Some(first) = given.front().map(|number| name(*number)) else { return };
        let to = std::mem::replace(&mut frame.to, first.clone());
        self.aside = Span::range(frame.parent.clone(), &first, &to);
    }

    /// What waits to be others'.
    pub(crate) fn aside(&self) -> Option<&Span> {
        self.aside.as_ref()
    }

    /// What was set aside is others'.
    pub(crate) fn give_away(&mut self) {
        if let Some(span) = self.aside.take() {
            span.add_to(&mut self.excluded);
        }
    }
}
