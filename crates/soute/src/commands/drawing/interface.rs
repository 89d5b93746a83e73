//! What drawings say of a network interface, fit for a terminal.

use soute_lens::wiring::Interface;

use crate::output::visible;

/// `142: veth1f3e@if2`, as ip(8) has it.
pub fn name(link: &Interface) -> String {
    format!("{}: {}", link.index, visible(&link.tied_name()))
}

/// What it is like: its kind, and what is not as usual.
pub fn nature(link: &Interface) -> String {
    let mut words = vec![visible(&link.kind).into_owned()];
    if let Some(tag) = link.tag {
        words.push(format!("id {tag}"));
    }
    if !link.up {
        words.push("down".to_owned());
    } else if link.state == "down" {
        words.push("no carrier".to_owned());
    } else if !matches!(link.state, "up" | "unknown") {
        words.push(link.state.to_owned());
    }
    if !matches!(link.mtu, 1500 | 65536) {
        words.push(format!("mtu {}", link.mtu));
    }
    words.join(", ")
}

/// Its addresses, those of the link alone last; of a port none of the link alone, which nobody uses.
pub fn addresses(link: &Interface) -> Vec<String> {
    let mut all = known_elsewhere(link);
    if link.master.is_none() {
        all.extend(list(link, |scope| scope == "link"));
    }
    all
}

/// Its addresses without those of the link alone.
pub fn known_elsewhere(link: &Interface) -> Vec<String> {
    list(link, |scope| scope != "link")
}

fn list(link: &Interface, is_shown: impl Fn(&str) -> bool) -> Vec<String> {
    let shown = link.addresses.iter().filter(|own| is_shown(own.scope));
    shown
        .map(|own| format!("{}/{}", own.address, own.prefix))
        .collect()
}
