//! The graph as a picture: SVG.

use std::fmt::Write as _;

use soute_lens::view::Graph;

use super::super::super::drawing::svg::{Style, document, rectangle, text};
use super::layout::{Wire, picture};
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

/// Its ends straight, and between them round corners, or a bow.
fn wire(out: &mut String, wire: &Wire) {
    let Wire {
        from,
        to,
        middle,
        beside,
        class,
    } = *wire;
    let way = match beside {
        true => format!(
            "M {} {} H {} C {middle} {} {middle} {} {} {} H {}",
            from.x, from.y, from.edge, from.y, to.y, to.edge, to.y, to.x
        ),
        false => {
            let round = 10.min((to.y - from.y).abs() / 2);
            let down = round * (to.y - from.y).signum();
            format!(
                "M {} {} H {} q {round} 0 {round} {down} V {} q 0 {down} {round} {down} H {}",
                from.x,
                from.y,
                middle - round,
                to.y - down,
                to.x
            )
        }
    };
    let _ = writeln!(out, "<path class=\"{class}\" d=\"{way}\"/>");
    for end in [from, to] {
        let _ = writeln!(
            out,
            "<circle class=\"{class}\" cx=\"{}\" cy=\"{}\" r=\"4\"/>",
            end.x, end.y
        );
    }
}
