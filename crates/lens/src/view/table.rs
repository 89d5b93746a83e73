//! Columns of text.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// A table whose last column is not padded, and is cut where a line would be too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    heads: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

/// Where a column's text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

const GAP: usize = 2;

impl Table {
    /// With these columns.
    pub fn new(heads: impl IntoIterator<Item = (String, Align)>) -> Self {
        Self {
            heads: heads.into_iter().collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a line of as many cells as there are columns, fit for a terminal (see [`crate::text::visible`]).
    pub fn row(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.heads.len());
        self.rows.push(cells);
    }

    /// The lines, the heading first, each at most `width` columns wide if that is given.
    pub fn render(&self, width: Option<usize>) -> String {
        let heads: Vec<String> = self.heads.iter().map(|(head, _)| head.clone()).collect();
        let widths: Vec<usize> = (0..heads.len())
            .map(|i| {
                let cells = self.rows.iter().map(|row| row[i].width());
                cells.chain([heads[i].width()]).max().unwrap_or(0)
            })
            .collect();
        let mut out = String::new();
        for row in std::iter::once(&heads).chain(&self.rows) {
            let mut line = String::new();
            for (i, cell) in row.iter().enumerate() {
                if i > 0 {
                    line.push_str(&" ".repeat(GAP));
                }
                let blanks = " ".repeat(widths[i] - cell.width());
                match self.heads[i].1 {
                    Align::Left => line.extend([cell.as_str(), &blanks]),
                    Align::Right => line.extend([&blanks, cell.as_str()]),
                }
            }
            let line = line.trim_end();
            match width {
                Some(width) => out.push_str(&cut(line, width)),
                None => out.push_str(line),
            }
            out.push('\n');
        }
        out
    }
}

/// `line` in at most `width` columns, with an ellipsis where it was longer.
pub fn cut(line: &str, width: usize) -> String {
    if line.width() <= width {
        return line.to_owned();
    }
    let mut left = width.saturating_sub(1);
    let mut out = String::new();
    for c in line.chars() {
        let columns = c.width().unwrap_or(0);
        if columns > left {
            break;
        }
        left -= columns;
        out.push(c);
    }
    out.push('\u{2026}');
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table() -> Table {
        let mut table = Table::new([
            ("PID".to_owned(), Align::Right),
            ("USER".to_owned(), Align::Left),
            ("COMMAND".to_owned(), Align::Left),
        ]);
        table.row(vec![
            "4613".into(),
            "\u{6f22}\u{5b57}x".into(),
            "python3 -m http.server".into(),
        ]);
        table.row(vec!["1".into(), "root".into(), String::new()]);
        table
    }

    #[test]
    fn columns_stand_below_their_heads() {
        let expected =
            " PID  USER   COMMAND\n4613  \u{6f22}\u{5b57}x  python3 -m http.server\n   1  root\n";
        assert_eq!(table().render(None), expected);
    }

    #[test]
    fn long_lines_are_cut() {
        let text = table().render(Some(20));
        assert_eq!(
            text.lines().nth(1),
            Some("4613  \u{6f22}\u{5b57}x  python\u{2026}")
        );
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_asked(cell in "\\PC{0,40}", width in 1usize..40) {
            let mut table = table();
            table.row(vec!["7".into(), "x".into(), cell]);
            for line in table.render(Some(width)).lines() {
                prop_assert!(line.width() <= width, "{line}");
            }
        }
    }
}
