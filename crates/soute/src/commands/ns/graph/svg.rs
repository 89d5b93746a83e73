//! The graph as a picture: SVG.

use std::fmt::Write as _;

use soute_lens::view::Graph;

use super::super::super::drawing::svg::{Style, document, rectangle, text};
use super::layout::{Way, Wire, picture};
use super::panel::Item;

const STYLE: Style = Style {
    light: "
text.asked { font-weight: bold; }
rect.here { fill: #f6f8fa; stroke: #57606a; stroke-width: 2; }
rect.container { fill: #eefbf1; stroke: #1a7f37; stroke-width: 2; }
rect.world { fill: #fff8e6; stroke: #9a6700; stroke-width: 2; }
rect.box.asked { stroke-width: 4; }
rect.link { fill: #ffffff; stroke: #8c959f; }
rect.bridge { fill: #ddf0ff; stroke: #0969da; }
rect.down { fill: #ffffff; stroke: #cf222e; stroke-dasharray: 4 3; }
rect.own { fill: #c6f0d0; stroke: #1a7f37; }
rect.shared { fill: #ffd8b5; stroke: #bc4c00; }
rect.outer { fill: #e3ddfb; stroke: #8250df; }
rect.machines { fill: #eaeef2; stroke: #afb8c1; }
rect.frame { fill: #ffffff; }
path.stands { stroke-dasharray: 5 4; }
path.shares { stroke: #bc4c00; stroke-dasharray: 6 4; }
circle.shares { fill: #bc4c00; }
",
    dark: "
rect.here { fill: #161b22; stroke: #9198a1; }
rect.container { fill: #12261b; stroke: #3fb950; }
rect.world { fill: #2b2210; stroke: #d29922; }
rect.link { fill: #0d1117; stroke: #6e7681; }
rect.bridge { fill: #10263f; stroke: #58a6ff; }
rect.down { fill: #0d1117; stroke: #f85149; }
rect.own { fill: #1c4a2b; stroke: #3fb950; }
rect.shared { fill: #5c3212; stroke: #f0883e; }
rect.outer { fill: #3a2a66; stroke: #a371f7; }
rect.machines { fill: #30363d; stroke: #6e7681; }
rect.frame { fill: #0d1117; }
path.shares { stroke: #f0883e; }
circle.shares { fill: #f0883e; }
",
};

/// The document.
pub fn draw(graph: &Graph) -> String {
    let picture = picture(graph);
    let mut body = String::new();
    for item in &picture.items {
        match item {
            Item::Rectangle {
                place,
                radius,
                class,
                hint,
            } => rectangle(&mut body, *place, *radius, class, hint),
            Item::Text {
                at,
                class,
                anchor,
                text: line,
            } => text(&mut body, *at, class, anchor, line),
        }
    }
    for one in &picture.wires {
        wire(&mut body, one);
    }
    let size = (picture.width, picture.height);
    document("soute ns graph", size, STYLE, &body)
}

fn wire(out: &mut String, Wire { class, way }: &Wire) {
    let (path, ends) = match way {
        Way::Corners(points) => {
            let ends = points.first().zip(points.last());
            (
                with_round_corners(points),
                ends.map(|(from, to)| [*from, *to]),
            )
        }
        Way::Bow { from, to, middle } => (
            format!(
                "M {} {} H {} C {middle} {} {middle} {} {} {} H {}",
                from.x, from.y, from.edge, from.y, to.y, to.edge, to.y, to.x
            ),
            Some([(from.x, from.y), (to.x, to.y)]),
        ),
    };
    let _ = writeln!(out, "<path class=\"{class}\" d=\"{path}\"/>");
    for (x, y) in ends.into_iter().flatten() {
        let _ = writeln!(
            out,
            "<circle class=\"{class}\" cx=\"{x}\" cy=\"{y}\" r=\"4\"/>"
        );
    }
}

/// A path along points that are across from or below each other.
fn with_round_corners(points: &[(i32, i32)]) -> String {
    let mut path = String::new();
    for (at, &(x, y)) in points.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| points.get(at));
        let (Some(before), Some(after)) = (before, points.get(at + 1)) else {
            let _ = write!(path, "{} {x} {y} ", if at == 0 { "M" } else { "L" });
            continue;
        };
        let length = |(to_x, to_y): &(i32, i32)| (to_x - x).abs() + (to_y - y).abs();
        let round = (length(before) / 2).min(length(after) / 2).min(10);
        let towards = |(to_x, to_y): &(i32, i32)| {
            let (dx, dy) = ((to_x - x).signum(), (to_y - y).signum());
            (x + dx * round, y + dy * round)
        };
        let ((from_x, from_y), (to_x, to_y)) = (towards(before), towards(after));
        let _ = write!(path, "L {from_x} {from_y} Q {x} {y} {to_x} {to_y} ");
    }
    path.trim_end().to_owned()
}
