//! The page as data: which namespaces stand on it, which one is chosen, what keys do, and how it looks.

use std::time::{Duration, Instant};

use soute_lens::Kind;
use soute_lens::view::{Column, List, Row, Table, cut};

use super::keys::Key;

/// How long what has come or gone is marked.
const MARKED: Duration = Duration::from_secs(5);

const COLUMNS: [Column; 8] = [
    Column::Ns,
    Column::Type,
    Column::Nprocs,
    Column::Pid,
    Column::User,
    Column::Whose,
    Column::Container,
    Column::Command,
];

const HELP: &[&str] = &[
    "up, down, k, j, page up, page down, home, end   choose a namespace",
    "Enter                                           what it is, and who is in it; back",
    "t, T                                            the next kind alone, the one before; all",
    "p, space                                        pause, and go on",
    "+, -                                            look more often, less often",
    "?, h                                            this; back",
    "q, Escape, Ctrl-C                               leave",
    "",
    "+ has come, - has gone within the last five seconds: these stand first.",
    "The kernel tells nobody of namespaces: what lives for less than an interval may not be seen.",
    "",
];

const FOOT: &str = " q leave  up/down choose  Enter look  t kind  p pause  +/- pace  ? help";

/// The intervals that `+` and `-` go through, seconds.
const PACES: [f64; 9] = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0];

const REVERSE: &str = "\x1b[7m";
const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

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
        if let Some(before) = &self.before {
            let changes = list.since(before);
            let gone: Vec<Entry> = changes
                .gone
                .into_iter()
                .map(|row| Entry {
                    row: row.clone(),
                    came: None,
                    went: Some(now),
                })
                .collect();
            let came: Vec<_> = changes.appeared.into_iter().map(key).collect();
            let since = |row: &Row| {
                let known = self
                    .entries
                    .iter()
                    .find(|entry| entry.went.is_none() && key(&entry.row) == key(row));
                match came.contains(&key(row)) {
                    true => Some(now),
                    false => known.and_then(|entry| entry.came),
                }
            };
            let there: Vec<Entry> = list
                .namespaces
                .iter()
                .map(|row| Entry {
                    row: row.clone(),
                    came: since(row),
                    went: None,
                })
                .collect();
            self.entries.retain(|entry| entry.went.is_some());
            self.entries.extend(gone);
            self.entries.extend(there);
        } else {
            self.entries = list
                .namespaces
                .iter()
                .map(|row| Entry {
                    row: row.clone(),
                    came: None,
                    went: None,
                })
                .collect();
        }
        let fresh = |since: Option<Instant>| since.filter(|since| now - *since < MARKED);
        self.entries
            .retain(|entry| entry.went.is_none() || fresh(entry.went).is_some());
        for entry in &mut self.entries {
            entry.came = fresh(entry.came);
        }
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

    /// What is known of it.
    pub fn show(&mut self, lines: Vec<String>) {
        self.view = View::One(lines);
    }

    /// Does what the key is for, on a page of `rows` lines.
    pub fn press(&mut self, key: Key, rows: usize) -> Wish {
        let back = self.view != View::List;
        match key {
            Key::Interrupt => return Wish::Leave,
            Key::Escape | Key::Character('q') if back => self.turn_to(View::List),
            Key::Escape | Key::Character('q') => return Wish::Leave,
            Key::Enter if back => self.turn_to(View::List),
            Key::Enter => {
                self.chosen = self.chosen_entry().map(|(_, entry)| key_of(entry));
                if self.chosen.is_some() {
                    self.turn_to(View::One(Vec::new()));
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
            Key::Redraw | Key::Character(_) => {}
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
        match &self.view {
            View::List => {
                let place = self.chosen_entry().map_or(0, |(place, _)| place);
                let shown = self.shown();
                let place = moved(place, shown.len());
                self.chosen = shown.get(place).map(|entry| key_of(entry));
            }
            View::One(lines) => {
                let last = (lines.len() + 1).saturating_sub(space(rows));
                self.top = moved(self.top, last);
            }
            View::Help => {}
        }
    }

    /// All of it, in `rows` lines of `columns`, with what a terminal needs to show it.
    pub fn draw(&mut self, rows: usize, columns: usize, time: &str) -> String {
        let mut lines = vec![styled(REVERSE, &self.title(time), columns)];
        lines.push(cut(&self.counts(), columns));
        match &self.view {
            View::List => lines.extend(self.list(rows, columns)),
            View::One(text) => {
                let text = text.iter().skip(self.top).take(space(rows) + 1);
                lines.extend(text.map(|line| cut(line, columns)));
            }
            View::Help => {
                let notes = self.notes.iter().map(String::as_str);
                let text = HELP.iter().copied().chain(notes);
                lines.extend(text.map(|line| cut(&format!("  {line}"), columns)));
            }
        }
        lines.truncate(rows.saturating_sub(1));
        lines.resize(rows.saturating_sub(1), String::new());
        lines.push(styled(REVERSE, FOOT, columns));
        let mut text = "\x1b[H".to_owned();
        text += &lines.join("\x1b[K\r\n");
        text + "\x1b[K\x1b[J"
    }

    fn title(&self, time: &str) -> String {
        let kind = self.kind.map_or("all kinds", Kind::name);
        let pace = match self.paused {
            true => "paused".to_owned(),
            false => format!("every {} s", self.interval.as_secs_f64()),
        };
        let notes = match self.notes.len() {
            0 => "",
            _ => "   not all is seen: ?",
        };
        format!(" soute ns watch   {kind}   {pace}   {time}{notes}")
    }

    fn counts(&self) -> String {
        let there = || self.entries.iter().filter(|entry| entry.went.is_none());
        let counts = Kind::ALL.into_iter().filter_map(|kind| {
            let count = there().filter(|entry| entry.row.kind == kind).count();
            (count > 0).then(|| format!("{kind} {count}"))
        });
        format!(" {}", counts.collect::<Vec<_>>().join("   "))
    }

    /// The lines of the list with their head, the chosen one among them.
    fn list(&mut self, rows: usize, columns: usize) -> Vec<String> {
        let place = self.chosen_entry().map_or(0, |(place, _)| place);
        let space = space(rows);
        self.top = self
            .top
            .clamp(place.saturating_sub(space.saturating_sub(1)), place);
        let shown = self.shown();
        let heads = COLUMNS.map(|column| (column.name().to_owned(), column.align()));
        let mut table = Table::new(heads);
        for entry in &shown {
            table.row(COLUMNS.map(|column| column.cell(&entry.row)).to_vec());
        }
        let text = table.render(Some(columns.saturating_sub(2)));
        let mut lines = text.lines();
        let head = lines.next().map(|head| format!("  {head}"));
        let marked = lines.zip(&shown).enumerate().skip(self.top).take(space);
        let marked = marked.map(|(number, (line, entry))| {
            let (mark, style) = match (entry.came, entry.went) {
                (_, Some(_)) => ('-', DIM),
                (Some(_), _) => ('+', BOLD),
                _ => (' ', ""),
            };
            let line = format!("{mark} {line}");
            match number == place {
                true => styled(REVERSE, &line, columns),
                false if style.is_empty() => line,
                false => format!("{style}{line}{PLAIN}"),
            }
        });
        head.into_iter().chain(marked).collect()
    }
}

/// Lines for the list on a page of `rows`: but for the title, the counts, the head and the foot.
fn space(rows: usize) -> usize {
    rows.saturating_sub(4).max(1)
}

/// The whole line in a style.
fn styled(style: &str, line: &str, columns: usize) -> String {
    let line = cut(line, columns);
    format!("{style}{line}\x1b[K{PLAIN}")
}

fn key(row: &Row) -> (u64, u64) {
    (row.dev, row.ns)
}

fn key_of(entry: &Entry) -> (u64, u64) {
    key(&entry.row)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Namespaces with these inodes, of the kinds in turn.
    fn list(inodes: &[u64]) -> List {
        let row = |inode: &u64| Row {
            ns: *inode,
            dev: 4,
            kind: match inode % 2 {
                0 => Kind::Net,
                _ => Kind::Mnt,
            },
            path: None,
            nprocs: 1,
            pid: Some(7),
            container: None,
            ppid: None,
            command: "\x1b[2J evil\n".to_owned(),
            uid: None,
            user: None,
            netnsid: None,
            nsfs: Vec::new(),
            pns: None,
            ons: None,
            owner_uid: None,
            machine: None,
            threads: Vec::new(),
            for_children_of: Vec::new(),
            bound: Vec::new(),
            descriptors: Vec::new(),
            sockets: Vec::new(),
        };
        List {
            namespaces: inodes.iter().map(row).collect(),
            notes: Vec::new(),
        }
    }

    /// The lines of the list: mark and inode.
    fn marks(page: &mut Page) -> Vec<String> {
        let text = page.draw(24, 80, "12:00:00");
        let plain = text
            .replace(REVERSE, "")
            .replace(BOLD, "")
            .replace(DIM, "")
            .replace(PLAIN, "");
        let lines = plain.split("\r\n").skip(3).take(20);
        let lines = lines.map(|line| line.replace("\x1b[K", ""));
        let marks = lines.filter(|line| !line.is_empty()).map(|line| {
            let mark = line.chars().next().unwrap_or_default();
            let inode = line.split_whitespace().find(|word| word.len() == 3);
            format!("{mark}{}", inode.unwrap_or_default())
        });
        marks.collect()
    }

    fn page(inodes: &[u64]) -> (Page, Instant) {
        let now = Instant::now();
        let mut page = Page::new(Duration::from_secs(1));
        page.take(list(inodes), now);
        (page, now)
    }

    #[test]
    fn what_comes_and_goes_is_marked_for_a_while() {
        let (mut page, start) = page(&[100, 102]);
        assert_eq!(marks(&mut page), [" 100", " 102"]);
        let at = |seconds| start + Duration::from_secs(seconds);
        page.take(list(&[101, 102]), at(1));
        assert_eq!(marks(&mut page), ["-100", "+101", " 102"]);
        page.take(list(&[101, 102]), at(5));
        assert_eq!(marks(&mut page), ["-100", "+101", " 102"]);
        // It comes back before it is forgotten.
        page.take(list(&[100, 101, 102]), at(5));
        assert_eq!(marks(&mut page), ["-100", "+100", "+101", " 102"]);
        page.take(list(&[100, 101, 102]), at(20));
        assert_eq!(marks(&mut page), [" 100", " 101", " 102"]);
    }

    #[test]
    fn nothing_of_a_name_reaches_the_terminal() {
        let (mut page, _) = page(&[100]);
        let text = page.draw(24, 200, "12:00:00");
        assert!(
            text.contains("\\x1b[2J evil\\n") && !text.contains("\x1b[2J"),
            "{text:?}"
        );
    }

    #[test]
    fn the_chosen_one_stays_on_the_page() {
        let inodes: Vec<u64> = (100..200).collect();
        let (mut page, now) = page(&inodes);
        for (key, first, chosen) in [
            (Key::Up, 100, 100),
            (Key::Down, 100, 101),
            (Key::PageDown, 102, 121),
            (Key::End, 180, 199),
            (Key::PageUp, 179, 179),
            (Key::Home, 100, 100),
        ] {
            assert_eq!(page.press(key, 24), Wish::Draw);
            assert_eq!(
                marks(&mut page).first(),
                Some(&format!(" {first}")),
                "{key:?}"
            );
            assert_eq!(page.chosen, Some((4, chosen)), "{key:?}");
        }
        // It has gone: the first is chosen.
        page.press(Key::End, 24);
        page.take(list(&[102, 104]), now + Duration::from_secs(9));
        page.take(list(&[102, 104]), now + Duration::from_secs(99));
        assert_eq!(page.press(Key::Enter, 24), Wish::Look);
        assert_eq!(page.looked_at(), Some(102));
    }

    #[test]
    fn keys_do_what_the_help_says() {
        let (mut page, _) = page(&[100, 101]);
        page.press(Key::Character('t'), 24);
        let kind = page.kind;
        assert_eq!(kind, Some(Kind::ALL[0]));
        page.press(Key::Character('T'), 24);
        assert_eq!(page.kind, None);
        page.press(Key::Character('+'), 24);
        assert_eq!(page.interval, Duration::from_millis(500));
        for _ in 0..20 {
            page.press(Key::Character('-'), 24);
        }
        assert_eq!(page.interval, Duration::from_secs(60));
        page.press(Key::Character('p'), 24);
        assert!(page.paused && page.draw(24, 80, "").contains("paused"));
        page.press(Key::Character('?'), 24);
        assert!(page.draw(24, 80, "").contains("choose a namespace"));
        assert_eq!(page.press(Key::Escape, 24), Wish::Draw);
        assert_eq!(page.press(Key::Escape, 24), Wish::Leave);
    }

    #[test]
    fn it_fits_whatever_the_terminal_is() {
        let inodes: Vec<u64> = (100..200).collect();
        let (mut page, _) = page(&inodes);
        for (rows, columns) in [(1, 1), (2, 3), (4, 10), (5, 200), (60, 20)] {
            let text = page.draw(rows, columns, "12:00:00");
            assert_eq!(text.matches("\r\n").count() + 1, rows, "{rows} {columns}");
        }
    }
}
