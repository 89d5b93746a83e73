//! Lists: a table by default, or what `--format` says.

use std::io::Write as _;
use std::str::FromStr;

use anyhow::Result;
use gotmpl::TemplateError;
use serde_json::{Map, Value};

use super::template::Template;
use super::visible::visible;

/// `--format` of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Format {
    /// The command's own table.
    #[default]
    Table,
    /// `table TEMPLATE`: the template for each row, and for the headings.
    Columns(Template),
    /// The template for each row.
    Lines(Template),
}

impl FromStr for Format {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match (text.trim(), text.strip_prefix("table ")) {
            ("table" | "", _) => Self::Table,
            (_, Some(template)) => Self::Columns(template.trim().parse()?),
            _ => Self::Lines(text.parse()?),
        })
    }
}

/// A list: its fields with their headings, and one object per row.
pub struct Rows {
    /// Field and heading of each column that the table may have.
    fields: &'static [(&'static str, &'static str)],
    rows: Vec<Map<String, Value>>,
}

impl Rows {
    /// An empty list with these fields and their headings.
    pub fn new(fields: &'static [(&'static str, &'static str)]) -> Self {
        Self {
            fields,
            rows: Vec::new(),
        }
    }

    /// Adds a row: a value for each field, in their order. Control characters are spelled out.
    pub fn push<const N: usize>(&mut self, values: [String; N]) {
        debug_assert_eq!(N, self.fields.len());
        let fields = self.fields.iter().zip(values);
        let pairs = fields
            .map(|((field, _), value)| ((*field).to_owned(), visible(&value).into_owned().into()));
        self.rows.push(pairs.collect());
    }

    /// The list as text; the table has these columns.
    pub fn render(&self, format: &Format, columns: &[&str]) -> Result<String> {
        let headings = self.fields.iter();
        let headings =
            headings.map(|(field, heading)| ((*field).to_owned(), Value::from(*heading)));
        let headings: Map<String, Value> = headings.collect();
        let cells = |row: &Map<String, Value>| -> String {
            let cells: Vec<_> = columns
                .iter()
                .map(|column| row.get(*column).and_then(Value::as_str).unwrap_or_default())
                .collect();
            cells.join("\t") + "\n"
        };
        let all = || std::iter::once(&headings).chain(&self.rows);
        match format {
            Format::Table => aligned(&all().map(cells).collect::<String>()),
            Format::Columns(template) => {
                let lines = all().map(|row| template.line(row));
                aligned(&lines.collect::<Result<String, _>>()?)
            }
            Format::Lines(template) => {
                let lines = self.rows.iter().map(|row| template.line(row));
                Ok(lines.collect::<Result<String, _>>()?)
            }
        }
    }
}

/// Columns of at least ten characters, three blanks apart, as in Docker.
fn aligned(text: &str) -> Result<String> {
    let mut writer = tabwriter::TabWriter::new(Vec::new())
        .minwidth(10)
        .padding(3);
    writer.write_all(text.as_bytes())?;
    let bytes = writer.into_inner().map_err(|e| anyhow::anyhow!("{e}"))?;
    Ok(String::from_utf8(bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(format: &str) -> Result<String> {
        let mut rows = Rows::new(&[
            ("ID", "CONTAINER ID"),
            ("Names", "NAMES"),
            ("Status", "STATUS"),
        ]);
        rows.push(["abcdefabcdef", "web", "Up 3 minutes"].map(String::from));
        rows.push(["0123456789ab", "evil\x1b[2J\nx", "Created"].map(String::from));
        rows.render(&format.parse()?, &["ID", "Status", "Names"])
    }

    #[test]
    fn tables_are_aligned() {
        let table = "CONTAINER ID   STATUS         NAMES\n\
                     abcdefabcdef   Up 3 minutes   web\n\
                     0123456789ab   Created        evil\\u{1b}[2J\\nx\n";
        assert_eq!(render("table").unwrap(), table);
        assert_eq!(render("").unwrap(), table);
    }

    #[test]
    fn formats() {
        assert_eq!(render("{{.Names}}").unwrap(), "web\nevil\\u{1b}[2J\\nx\n");
        assert_eq!(
            render("table {{.Names}}\\t{{.Status}}").unwrap(),
            "NAMES              STATUS\nweb                Up 3 minutes\nevil\\u{1b}[2J\\nx   Created\n"
        );
        let json = render("json").unwrap();
        let first: Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
        assert_eq!(first["ID"], "abcdefabcdef");
        assert!(render("{{.Nope}}").is_err());
    }
}
