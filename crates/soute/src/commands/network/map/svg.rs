//! The map as a picture: SVG.

use std::fmt::Write as _;

use super::super::super::drawing::svg::{Place, Style, document, rectangle, text};
use super::layout::{Area, Picture, Wire, picture};
use super::model::Map;

const STYLE: Style = Style {
    light: "
text.label { font-size: 11px; font-weight: bold; fill: #0550ae; }
rect.here { fill: #f6f8fa; stroke: #57606a; stroke-width: 2; }
rect.container { fill: #eefbf1; stroke: #1a7f37; stroke-width: 2; }
rect.namespace { fill: #fff8e6; stroke: #9a6700; stroke-width: 2; }
rect.rules, rect.without { fill: none; stroke: #afb8c1; }
rect.link { fill: #ffffff; stroke: #8c959f; }
rect.bridge { fill: #ddf0ff; stroke: #0969da; }
rect.down { fill: #ffffff; stroke: #cf222e; stroke-dasharray: 4 3; }
path.stands { stroke-dasharray: 5 4; }
",
    dark: "
text.label { fill: #79c0ff; }
rect.here { fill: #161b22; stroke: #9198a1; }
rect.container { fill: #12261b; stroke: #3fb950; }
rect.namespace { fill: #2b2210; stroke: #d29922; }
rect.rules, rect.without { stroke: #3d444d; }
rect.link { fill: #0d1117; stroke: #6e7681; }
rect.bridge { fill: #10263f; stroke: #58a6ff; }
rect.down { fill: #0d1117; stroke: #f85149; }
",
};

/// The document.
pub fn draw(map: &Map) -> String {
    let picture = picture(map);
    let size = (picture.width, picture.height);
    document("soute network map", size, STYLE, &body(&picture))
}

fn body(picture: &Picture) -> String {
    let mut out = String::new();
    for area in &picture.boxes {
        frame(&mut out, area, 8);
        lines(&mut out, area, 22);
    }
    for area in &picture.cards {
        frame(&mut out, area, 5);
        lines(&mut out, area, 20);
    }
    for &(y, x) in &picture.outside {
        let _ = writeln!(out, "<path d=\"M 84 {y} H {x}\"/>");
        let pill = Place {
            x: 14,
            y: y - 13,
            width: 70,
            height: 26,
        };
        rectangle(&mut out, pill, 13, "namespace", "outside");
        text(&mut out, (49, y + 4), "title", "middle", "outside");
    }
    for one in &picture.wires {
        wire(&mut out, one);
    }
    out
}

fn frame(out: &mut String, area: &Area, radius: i32) {
    let title = area.lines.first().map_or("", |(_, text)| text);
    let &Area {
        x,
        y,
        width,
        height,
        ..
    } = area;
    let place = Place {
        x,
        y,
        width,
        height,
    };
    rectangle(out, place, radius, area.class, title);
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
