//! The map as a picture: SVG that stands on its own, without script, font or anything else from elsewhere.

use std::fmt::Write as _;

use super::layout::{Area, Picture, Wire, picture};
use super::model::Map;

/// Light, unless whoever looks prefers dark.
const STYLE: &str = "
text { font: 11px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; fill: #24292f; }
text.title { font-size: 12px; font-weight: bold; }
text.soft { fill: #57606a; }
text.label { font-size: 11px; font-weight: bold; fill: #0550ae; }
rect.paper { fill: #ffffff; }
rect { stroke-width: 1; }
rect.here { fill: #f6f8fa; stroke: #57606a; stroke-width: 2; }
rect.container { fill: #eefbf1; stroke: #1a7f37; stroke-width: 2; }
rect.namespace { fill: #fff8e6; stroke: #9a6700; stroke-width: 2; }
rect.rules, rect.without { fill: none; stroke: #afb8c1; }
rect.link { fill: #ffffff; stroke: #8c959f; }
rect.bridge { fill: #ddf0ff; stroke: #0969da; }
rect.down { fill: #ffffff; stroke: #cf222e; stroke-dasharray: 4 3; }
path { fill: none; stroke: #0969da; stroke-width: 2; }
path.stands { stroke-dasharray: 5 4; }
circle { fill: #0969da; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; }
text.soft { fill: #9198a1; }
text.label { fill: #79c0ff; }
rect.paper { fill: #0d1117; }
rect.here { fill: #161b22; stroke: #9198a1; }
rect.container { fill: #12261b; stroke: #3fb950; }
rect.namespace { fill: #2b2210; stroke: #d29922; }
rect.rules, rect.without { stroke: #3d444d; }
rect.link { fill: #0d1117; stroke: #6e7681; }
rect.bridge { fill: #10263f; stroke: #58a6ff; }
rect.down { fill: #0d1117; stroke: #f85149; }
path { stroke: #58a6ff; }
circle { fill: #58a6ff; }
}
";

/// The document.
pub fn draw(map: &Map) -> String {
    document(&picture(map))
}

fn document(picture: &Picture) -> String {
    let Picture { width, height, .. } = picture;
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\">\n<title>soute network map</title>\n<style>{STYLE}</style>"
    );
    let _ = writeln!(
        out,
        "<rect class=\"paper\" width=\"{width}\" height=\"{height}\"/>"
    );
    for area in &picture.boxes {
        let title = area.lines.first().map_or("", |(_, text)| text);
        rectangle(&mut out, area, 8, title);
        lines(&mut out, area, 22);
    }
    for area in &picture.cards {
        let title = area.lines.first().map_or("", |(_, text)| text);
        rectangle(&mut out, area, 5, title);
        lines(&mut out, area, 20);
    }
    for &(y, x) in &picture.outside {
        let _ = writeln!(out, "<path d=\"M 84 {y} H {x}\"/>");
        let _ = writeln!(
            out,
            "<rect class=\"namespace\" x=\"14\" y=\"{}\" width=\"70\" height=\"26\" rx=\"13\"/>",
            y - 13
        );
        text(&mut out, (49, y + 4), "title", "middle", "outside");
    }
    for one in &picture.wires {
        wire(&mut out, one);
    }
    out += "</svg>\n";
    out
}

fn rectangle(out: &mut String, area: &Area, radius: i32, title: &str) {
    let Area {
        x,
        y,
        width,
        height,
        class,
        ..
    } = area;
    let _ = writeln!(
        out,
        "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"{radius}\"><title>{}</title></rect>",
        escaped(title)
    );
}

/// The first line is the title; what stands below another is less.
fn lines(out: &mut String, area: &Area, first: i32) {
    let is_list = matches!(area.class, "rules" | "without");
    for (number, (indent, line)) in area.lines.iter().enumerate() {
        let class = match number {
            0 => "title",
            _ if is_list && *indent == 0 => "line",
            _ => "soft",
        };
        let at = (area.x + 10 + indent, area.y + first + 16 * number as i32);
        text(out, at, class, "start", line);
    }
}

fn text(out: &mut String, (x, y): (i32, i32), class: &str, anchor: &str, line: &str) {
    let _ = writeln!(
        out,
        "<text class=\"{class}\" x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\" xml:space=\"preserve\">{}</text>",
        escaped(line)
    );
}

/// Straight to the edges of both boxes, and a bow between them.
fn wire(out: &mut String, wire: &Wire) {
    let (from, to) = (&wire.from, &wire.to);
    let bow = match wire.beside {
        true => (from.edge + 60, to.edge + 60),
        false => {
            let half = (to.edge - from.edge) / 2;
            (from.edge + half, to.edge - half)
        }
    };
    let _ = writeln!(
        out,
        "<path class=\"{}\" d=\"M {} {} H {} C {} {} {} {} {} {} H {}\"/>",
        wire.class, from.x, from.y, from.edge, bow.0, from.y, bow.1, to.y, to.edge, to.y, to.x
    );
    for end in [from, to] {
        let _ = writeln!(out, "<circle cx=\"{}\" cy=\"{}\" r=\"4\"/>", end.x, end.y);
    }
    text(
        out,
        (from.edge + 8, from.y - 5),
        "label",
        "start",
        &from.label,
    );
    let (x, anchor) = match wire.beside {
        true => (to.edge + 8, "start"),
        false => (to.edge - 8, "end"),
    };
    text(out, (x, to.y - 5), "label", anchor, &to.label);
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
