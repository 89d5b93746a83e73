//! The page as data: which namespaces stand on it, which one is chosen, what keys do, and how it looks.

mod draw;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use soute_lens::Kind;
use soute_lens::view::{List, Row};

use super::keys::Key;

/// How long what has come or gone is marked.
const MARKED: Duration = Duration::from_secs(5);

/// The intervals that `+` and `-` go through, seconds.
const PACES: [f64; 9] = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0];

/// What stands where nothing has been seen yet.
const LOOKING: &str = "looking …";

/// In no more columns than any terminal has.
const HELP: &[&str] = &[
    "up, down, k, j, page up, page down, home, end",
    "               choose a namespace; move a text",
    "Enter          what it is, and who is in it; back",
    "t, T           the next kind alone, the one before; all",
    "p, space       pause, and go on",
    "+, -           look more often, less often",
    "?, h           this; back",
    "Escape         back to the list",
    "q              back to the list; from there, leave",
    "Ctrl-C         leave",
    "Ctrl-Z         stop; the shell's fg goes on",
    "",
    "+ has come, - has gone within the last five seconds: these stand first.",
    "The kernel tells nobody of namespaces: what lives for less than an interval",
    "may not be seen.",
    "",
];

/// What a key asks of whoever has the page.
#[derive(Debug, PartialEq, Eq)]
pub enum Wish {
    /// Nothing, but that it is drawn.
    Draw,
    /// A look at once, of the namespace that is chosen, too.
    Look,
    /// The end.
    Leave,
}

/// A namespace on the page.
#[derive(Debug)]
struct Entry {
    row: Row,
    /// Since when it has been there; `None`: since before the first look.
    came: Option<Instant>,
    /// Since when it has not been there any more.
    went: Option<Instant>,
}

/// What is shown.
#[derive(Debug, PartialEq, Eq)]
enum View {
    List,
    /// Of the chosen namespace, lines.
    One(Vec<String>),
    Help,
}

/// The page.
#[derive(Debug)]
pub struct Page {
    entries: Vec<Entry>,
    before: Option<List>,
    notes: Vec<String>,
    kind: Option<Kind>,
    /// Device and inode.
    chosen: Option<(u64, u64)>,
    /// The first line that is shown, of the list or of the text.
    top: usize,
    view: View,
    pub paused: bool,
    pub interval: Duration,
}

impl Page {
    pub fn new(interval: Duration) -> Self {
        Self {
            entries: Vec::new(),
            before: None,
            notes: Vec::new(),
            kind: None,
            chosen: None,
            top: 0,
            view: View::List,
            paused: false,
            interval,
        }
    }

    /// Takes what a look has given.
    pub fn take(&mut self, list: List, now: Instant) {
        let fresh = |since: &Instant| now - *since < MARKED;
        let known = std::mem::take(&mut self.entries);
        let since: HashMap<_, _> = known
            .iter()
            .filter_map(|entry| Some((key(&entry.row), entry.came.filter(fresh)?)))
            .collect();
        let changes = self.before.as_ref().map(|before| list.since(before));
        let (appeared, gone) = changes
            .map(|changes| (changes.appeared, changes.gone))
            .unwrap_or_default();
        let appeared: HashSet<_> = appeared.into_iter().map(key).collect();
        let gone = gone.into_iter().map(|row| Entry {
            row: row.clone(),
            came: None,
            went: Some(now),
        });
        let there = list.namespaces.iter().map(|row| Entry {
            row: row.clone(),
            came: match appeared.contains(&key(row)) {
                true => Some(now),
                false => since.get(&key(row)).copied(),
            },
            went: None,
        });
        let still_told = known
            .into_iter()
            .filter(|entry| entry.went.as_ref().is_some_and(fresh));
        self.entries = still_told.chain(gone).chain(there).collect();
        // What is marked first: in a long list it would be off the page.
        let unmarked = |entry: &Entry| entry.came.is_none() && entry.went.is_none();
        self.entries
            .sort_by_key(|entry| (unmarked(entry), key(&entry.row)));
        self.notes.clone_from(&list.notes);
        self.before = Some(list);
    }

    /// The inode that is to be looked at closely.
    pub fn looked_at(&self) -> Option<u64> {
        match self.view {
            View::One(_) => self.chosen.map(|(_, inode)| inode),
            View::List | View::Help => None,
        }
    }

    /// What is known of `inode`, if it is still to be looked at.
    pub fn show(&mut self, inode: u64, lines: Vec<String>) {
        if self.looked_at() == Some(inode) {
            self.view = View::One(lines);
        }
    }

    /// Does what the key is for, on a page of `rows` lines.
    pub fn press(&mut self, key: Key, rows: usize) -> Wish {
        let back = self.view != View::List;
        match key {
            Key::Escape | Key::Enter | Key::Character('q') if back => self.turn_to(View::List),
            Key::Character('q') => return Wish::Leave,
            Key::Enter => {
                self.chosen = self.chosen_entry().map(|(_, entry)| key_of(entry));
                if self.chosen.is_some() {
                    self.turn_to(View::One(vec![LOOKING.to_owned()]));
                    return Wish::Look;
                }
            }
            Key::Character('?' | 'h') if self.view == View::Help => self.turn_to(View::List),
            Key::Character('?' | 'h') => self.turn_to(View::Help),
            Key::Character('p' | ' ') => self.paused = !self.paused,
            Key::Character('+' | '=') => self.pace(|pace, now| pace < now, true),
            Key::Character('-') => self.pace(|pace, now| pace > now, false),
            Key::Character('t') => self.turn_kind(1),
            Key::Character('T') => self.turn_kind(Kind::ALL.len()),
            Key::Up | Key::Character('k') => self.go(-1, rows),
            Key::Down | Key::Character('j') => self.go(1, rows),
            Key::PageUp => self.go(-(space(rows) as isize), rows),
            Key::PageDown => self.go(space(rows) as isize, rows),
            Key::Home => self.go(isize::MIN, rows),
            Key::End => self.go(isize::MAX, rows),
            Key::Escape | Key::Redraw | Key::Character(_) => {}
        }
        Wish::Draw
    }

    fn turn_to(&mut self, view: View) {
        self.view = view;
        self.top = 0;
    }

    /// The next of the kinds, `steps` on, among which is all of them.
    fn turn_kind(&mut self, steps: usize) {
        let kinds = Kind::ALL.into_iter().map(Some);
        let kinds: Vec<Option<Kind>> = std::iter::once(None).chain(kinds).collect();
        let now = kinds.iter().position(|kind| *kind == self.kind);
        let next = (now.unwrap_or(0) + steps) % kinds.len();
        self.kind = kinds.get(next).copied().flatten();
        self.turn_to(View::List);
    }

    /// To the nearest pace that is beyond the one of now.
    fn pace(&mut self, beyond: fn(f64, f64) -> bool, last: bool) {
        let now = self.interval.as_secs_f64();
        let mut paces = PACES.into_iter().filter(|pace| beyond(*pace, now));
        let nearest = if last {
            paces.next_back()
        } else {
            paces.next()
        };
        if let Some(pace) = nearest {
            self.interval = Duration::from_secs_f64(pace);
        }
    }

    fn shown(&self) -> Vec<&Entry> {
        let entries = self.entries.iter();
        entries
            .filter(|entry| self.kind.is_none_or(|kind| kind == entry.row.kind))
            .collect()
    }

    /// The chosen one and its place; the first if none is, or it is not there any more.
    fn chosen_entry(&self) -> Option<(usize, &Entry)> {
        let shown = self.shown();
        let place = shown
            .iter()
            .position(|entry| Some(key_of(entry)) == self.chosen)
            .unwrap_or(0);
        shown.get(place).map(|entry| (place, *entry))
    }

    /// Chooses another, or moves the text.
    fn go(&mut self, steps: isize, rows: usize) {
        let moved = |from: usize, length: usize| {
            from.saturating_add_signed(steps)
                .min(length.saturating_sub(1))
        };
        match self.text() {
            Some(text) => self.top = moved(self.top, last_top(text.len(), rows) + 1),
            None => {
                let place = self.chosen_entry().map_or(0, |(place, _)| place);
                let shown = self.shown();
                let place = moved(place, shown.len());
                self.chosen = shown.get(place).map(|entry| key_of(entry));
            }
        }
    }

    /// What is shown in place of the list.
    fn text(&self) -> Option<Vec<&str>> {
        match &self.view {
            View::List => None,
            View::One(lines) => Some(lines.iter().map(String::as_str).collect()),
            View::Help => {
                let notes = self.notes.iter().map(String::as_str);
                Some(HELP.iter().copied().chain(notes).collect())
            }
        }
    }
}

/// Lines for the list on a page of `rows`: but for the title, the counts, the head and the foot.
fn space(rows: usize) -> usize {
    rows.saturating_sub(4).max(1)
}

/// The first line that a text of `length` lines, which has no head, begins with when all of its last ones are shown.
fn last_top(length: usize, rows: usize) -> usize {
    length.saturating_sub(space(rows) + 1)
}

fn key(row: &Row) -> (u64, u64) {
    (row.dev, row.ns)
}

fn key_of(entry: &Entry) -> (u64, u64) {
    key(&entry.row)
}
