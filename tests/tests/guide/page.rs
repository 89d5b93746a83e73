//! A page: its text, and the commands with what they print that are in it.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The first is the one that is run.
pub const LANGUAGES: [&str; 2] = ["en", "fr"];

/// Where the guide is.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guide")
}

/// A page of the guide.
#[derive(Debug)]
pub struct Page {
    pub path: PathBuf,
    pub text: String,
}

/// A command, and what the page says that it prints.
#[derive(Debug, PartialEq, Eq)]
pub struct Exchange {
    /// As the shell gets it: without the prompts, with a newline after each line.
    pub command: String,
    /// Without empty lines at the end.
    pub output: Vec<String>,
    /// Where that is in the page, as indices of lines.
    lines: Range<usize>,
}

impl Page {
    /// The page of a scene.
    #[track_caller]
    pub fn read(language: &str, number: u32) -> Self {
        let folder = folder().join(language);
        let prefix = format!("{number:02}-");
        let entries = fs::read_dir(&folder).expect("a folder of pages");
        let mut paths = entries
            .map(|entry| entry.expect("a page").path())
            .filter(|path| {
                let name = path.file_name().expect("a name").to_string_lossy();
                name.starts_with(&prefix)
            });
        let path = paths.next();
        let path = path.unwrap_or_else(|| panic!("no {prefix}* in {}", folder.display()));
        assert!(paths.next().is_none(), "more than one {prefix}*");
        let text = fs::read_to_string(&path).expect("a page");
        Self { path, text }
    }

    /// The commands of all its blocks, in order.
    pub fn exchanges(&self) -> Vec<Exchange> {
        let lines: Vec<&str> = self.text.lines().collect();
        let mut found: Vec<Exchange> = Vec::new();
        for block in self.blocks() {
            for (at, line) in block.clone().zip(&lines[block.clone()]) {
                let goes_on =
                    at > block.start && found.last().is_some_and(|one| one.lines == (at..at));
                if let Some(command) = line.strip_prefix("# ") {
                    found.push(Exchange {
                        command: format!("{command}\n"),
                        output: Vec::new(),
                        lines: at + 1..at + 1,
                    });
                } else if let Some(more) = line.strip_prefix("> ").filter(|_| goes_on) {
                    let last = found.last_mut().expect("goes on");
                    last.command += &format!("{more}\n");
                    last.lines = at + 1..at + 1;
                } else {
                    let last = found.last_mut().filter(|one| one.lines.end == at);
                    let last = last.unwrap_or_else(|| {
                        panic!("{}:{}: before any command", self.path.display(), at + 1)
                    });
                    last.output.push((*line).to_owned());
                    last.lines.end = at + 1;
                }
            }
        }
        for one in &mut found {
            while one.output.last().is_some_and(|line| line.trim().is_empty()) {
                one.output.pop();
            }
        }
        found
    }

    /// The lines of each `console` block, without its fences.
    fn blocks(&self) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        let mut start = None;
        for (at, line) in self.text.lines().enumerate() {
            match (line, start) {
                ("```console", None) => start = Some(at + 1),
                ("```", Some(from)) => {
                    found.push(from..at);
                    start = None;
                }
                _ => {}
            }
        }
        assert!(start.is_none(), "{}: an open block", self.path.display());
        found
    }

    /// The text of each `console` block.
    pub fn consoles(&self) -> Vec<String> {
        let lines: Vec<&str> = self.text.lines().collect();
        let text = |block: Range<usize>| lines[block].join("\n");
        self.blocks().into_iter().map(text).collect()
    }

    /// Says another output of a command that [`Page::exchanges`] has found.
    pub fn say(&mut self, exchange: &Exchange, output: &[String]) {
        self.replace(exchange.lines.clone(), output);
    }

    /// Has the blocks of another page, which must have as many.
    #[track_caller]
    pub fn take_consoles(&mut self, other: &Self) {
        let (own, others) = (self.blocks(), other.consoles());
        assert_eq!(own.len(), others.len(), "blocks in {}", self.path.display());
        for (block, text) in own.into_iter().zip(others).rev() {
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            self.replace(block, &lines);
        }
    }

    fn replace(&mut self, range: Range<usize>, by: &[String]) {
        let mut lines: Vec<String> = self.text.lines().map(str::to_owned).collect();
        lines.splice(range, by.iter().cloned());
        self.text = lines.join("\n") + "\n";
    }

    /// The names of the pictures that it shows.
    pub fn pictures(&self) -> Vec<&str> {
        let links = links(&self.text).into_iter();
        links
            .filter_map(|link| link.strip_prefix("../pictures/"))
            .collect()
    }
}

/// Where the links of a text lead within the tree, without the part after `#`.
pub fn links(text: &str) -> Vec<&str> {
    let ends = text.split("](").skip(1);
    ends.filter_map(|rest| Some(rest.split_once(')')?.0))
        .filter(|link| !link.contains("://"))
        .map(|link| link.split('#').next().expect("a first part"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(text: &str) -> Page {
        Page {
            path: PathBuf::from("page.md"),
            text: text.to_owned(),
        }
    }

    const TEXT: &str = "\
Prose.
```console
# one
first

second

# cat <<END
> in
> END
> out
# silent
```
```sh
# no console
```
[here](../a.md#b) and ![there](../pictures/c.svg)
";

    #[test]
    fn commands_and_outputs_are_told_apart() {
        let seen: Vec<(String, Vec<String>)> = page(TEXT)
            .exchanges()
            .into_iter()
            .map(|one| (one.command, one.output))
            .collect();
        let lines = |lines: &[&str]| lines.iter().map(|&line| line.to_owned()).collect();
        assert_eq!(
            seen,
            [
                ("one\n".to_owned(), lines(&["first", "", "second"])),
                ("cat <<END\nin\nEND\nout\n".to_owned(), lines(&[])),
                ("silent\n".to_owned(), lines(&[])),
            ]
        );
        assert_eq!(page(TEXT).pictures(), ["c.svg"]);
        assert_eq!(links(TEXT), ["../a.md", "../pictures/c.svg"]);
    }

    #[test]
    fn an_output_is_replaced_in_its_place() {
        let mut one = page(TEXT);
        let exchange = one.exchanges().remove(0);
        one.say(&exchange, &["new".to_owned()]);
        assert!(
            one.text.contains("# one\nnew\n# cat <<END\n"),
            "{}",
            one.text
        );
        let mut other = page("Prose.\n```console\n```\nLe reste.\n");
        other.take_consoles(&one);
        assert_eq!(other.consoles(), one.consoles());
        assert!(other.text.ends_with("# silent\n```\nLe reste.\n"));
    }

    #[test]
    #[should_panic(expected = "page.md:2: before any command")]
    fn an_output_of_nothing_is_refused() {
        page("```console\nlost\n```\n").exchanges();
    }
}
