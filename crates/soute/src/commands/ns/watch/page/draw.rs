//! How the page looks.

use soute_lens::Kind;
use soute_lens::view::{Column, Table, cut};
use unicode_width::UnicodeWidthStr as _;

use super::{LOOKING, Page, View, last_top, space};

const COLUMNS: [Column; 7] = [
    Column::Ns,
    Column::Type,
    Column::Nprocs,
    Column::Pid,
    Column::User,
    Column::Whose,
    Column::Command,
];

/// The part of the page's width that a container's name may have, which others choose: the commands stand behind them.
const NAMES: usize = 4;

const FOOT: &str = " q leave  up/down choose  Enter look  t kind  p pause  +/- pace  ? help";
const FOOT_OF_TEXT: &str = " q back  up/down move  p pause  +/- pace  Ctrl-C leave";

pub(super) const REVERSE: &str = "\x1b[7m";
pub(super) const BOLD: &str = "\x1b[1m";
pub(super) const DIM: &str = "\x1b[2m";
pub(super) const PLAIN: &str = "\x1b[0m";

/// From here on a line that is longer than the terminal has it is no two lines; and back.
const NO_WRAP: &str = "\x1b[?7l";
const WRAP: &str = "\x1b[?7h";
const TOP_LEFT: &str = "\x1b[H";
/// The line from the cursor on: before it is written, as at its end the cursor stands on its last cell.
const CLEAR: &str = "\x1b[K";

impl Page {
    /// All of it, in `rows` lines of `columns`, with what a terminal needs to show it.
    pub fn draw(&mut self, rows: usize, columns: usize, time: &str) -> String {
        let mut lines = vec![styled(REVERSE, &self.title(time), columns)];
        lines.push(cut(&self.counts(), columns));
        let text = self.text().map(|text| {
            let top = self.top.min(last_top(text.len(), rows));
            let text = text.into_iter().skip(top).take(space(rows) + 1);
            let text = text.map(|line| cut(&format!("  {line}"), columns));
            (top, text.collect::<Vec<_>>())
        });
        match text {
            None => lines.extend(self.list(rows, columns)),
            Some((top, text)) => {
                self.top = top;
                lines.extend(text);
            }
        }
        lines.truncate(rows.saturating_sub(1));
        lines.resize(rows.saturating_sub(1), String::new());
        let foot = match self.view {
            View::List => FOOT,
            View::One(_) | View::Help => FOOT_OF_TEXT,
        };
        lines.push(styled(REVERSE, foot, columns));
        let lines = lines.join(&format!("\r\n{CLEAR}"));
        format!("{NO_WRAP}{TOP_LEFT}{CLEAR}{lines}{WRAP}")
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
        if self.before.is_none() {
            return format!(" {LOOKING}");
        }
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
            let cell = |column: Column| match (column, entry.row.machine) {
                // The machine's, or else a container's.
                (Column::Whose, None) => cut(&Column::Container.cell(&entry.row), columns / NAMES),
                _ => column.cell(&entry.row),
            };
            table.row(COLUMNS.map(cell).to_vec());
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

/// The whole line in a style.
fn styled(style: &str, line: &str, columns: usize) -> String {
    let line = cut(line, columns);
    let blanks = " ".repeat(columns.saturating_sub(line.width()));
    format!("{style}{line}{blanks}{PLAIN}")
}
