//! SVG that stands on its own, without script, font or anything else from elsewhere.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthStr;

/// Pixels from a line of text to the next.
pub const LINE: i32 = 16;
/// A character of the font; of a title's.
const CHARACTER: f64 = 6.7;
const OF_TITLE: f64 = 7.3;

const STYLE: &str = "
text { font: 11px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; fill: #24292f; }
text.title { font-size: 12px; font-weight: bold; }
text.soft { fill: #57606a; }
rect.paper { fill: #ffffff; }
rect { stroke-width: 1; }
path { fill: none; stroke: #0969da; stroke-width: 2; }
circle { fill: #0969da; }
";

const DARK: &str = "
text { fill: #e6edf3; }
text.soft { fill: #9198a1; }
rect.paper { fill: #0d1117; }
path { stroke: #58a6ff; }
circle { fill: #58a6ff; }
";

/// How a kind of drawing looks, beside what all have: light, unless whoever looks prefers `dark`.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    pub light: &'static str,
    pub dark: &'static str,
}

/// A document around `body`.
pub fn document(title: &str, (width, height): (i32, i32), style: Style, body: &str) -> String {
    let Style { light, dark } = style;
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\">\n<title>{}</title>\n\
         <style>{STYLE}{light}@media (prefers-color-scheme: dark) {{{DARK}{dark}}}\n</style>\n\
         <rect class=\"paper\" width=\"{width}\" height=\"{height}\"/>\n{body}</svg>\n",
        escaped(title)
    )
}

/// Where a rectangle stands, and how large it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub x: i32,
    pub y: i32,
    pub width: i32,
    pub height: i32,
}

/// A rectangle with rounded corners; `title` is what is shown to whoever points at it.
pub fn rectangle(out: &mut String, place: Place, radius: i32, class: &str, title: &str) {
    let Place {
        x,
        y,
        width,
        height,
    } = place;
    let _ = writeln!(
        out,
        "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"{radius}\"><title>{}</title></rect>",
        escaped(title)
    );
}

/// A line of text. `anchor`: which part of it stands there: `start`, `middle`, `end`.
pub fn text(out: &mut String, (x, y): (i32, i32), class: &str, anchor: &str, line: &str) {
    let _ = writeln!(
        out,
        "<text class=\"{class}\" x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\" xml:space=\"preserve\">{}</text>",
        escaped(line)
    );
}

/// The width of a line in pixels.
pub fn width(text: &str) -> i32 {
    (text.width() as f64 * CHARACTER).ceil() as i32
}

/// The width of a title in pixels.
pub fn title_width(text: &str) -> i32 {
    (text.width() as f64 * OF_TITLE).ceil() as i32
}

/// As much of a line as there is room for, in pixels.
pub fn fit(line: &str, room: i32) -> String {
    soute_lens::view::cut(line, (f64::from(room.max(0)) / CHARACTER) as usize)
}

/// As much of a title as there is room for, in pixels.
pub fn fit_title(line: &str, room: i32) -> String {
    soute_lens::view::cut(line, (f64::from(room.max(0)) / OF_TITLE) as usize)
}

/// Text in an element, without the characters that no XML may hold (XML 1.0, 2.2).
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&apos;",
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c if c < ' ' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_in_xml_is_escaped() {
        assert_eq!(
            escaped("<&\"'>\u{0}\u{ffff}"),
            "&lt;&amp;&quot;&apos;&gt;\u{fffd}\u{fffd}"
        );
    }
}
