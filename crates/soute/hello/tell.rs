//! What was seen, in words: a pure function, at most 45 lines of 100 columns.

use crate::look::{CpuLimit, IdRange, Interface, KINDS, Limit, Mount, Seen};

/// Columns of the output.
const WIDTH: usize = 100;
/// Inodes below this are fixed in the kernel and given to the machine's initial namespaces (PROC_DYNAMIC_FIRST in
/// fs/proc/generic.c).
const FIRST_DYNAMIC_INODE: u64 = 0xf000_0000;
/// The bits of CapEff by name (capabilities(7)), without `CAP_`.
const CAPABILITIES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// Whose a namespace is, as far as its inode tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    Own,
    Machine,
    /// Kernels before 6.18 mark neither the initial mount nor the initial network namespace.
    Untold,
}

pub fn whose(kind: &str, inode: u64, kernel: &str) -> Whose {
    if inode < FIRST_DYNAMIC_INODE {
        return Whose::Machine;
    }
    let mut version = kernel
        .split(|c: char| !c.is_ascii_digit())
        .map_while(|n| n.parse::<u32>().ok());
    let marked = (version.next(), version.next()) >= (Some(6), Some(18));
    if marked || !matches!(kind, "mnt" | "net") {
        Whose::Own
    } else {
        Whose::Untold
    }
}

/// The whole text. With `bold`, headings stand out on a terminal.
pub fn tell(seen: &Seen, bold: bool) -> String {
    let mut page = Page {
        text: String::new(),
        bold,
    };
    introduction(&mut page, seen);
    namespaces(&mut page, seen);
    process(&mut page, seen);
    users(&mut page, seen);
    files(&mut page, seen);
    network(&mut page, seen);
    power(&mut page, seen);
    limits(&mut page, seen);
    page.line("");
    page.line("On the right: what shows the same from outside, on the machine, once this is kept there by");
    page.line("  soute run -it --name look hello --stay");
    page.text
}

fn introduction(page: &mut Page, seen: &Seen) {
    let known = || {
        KINDS
            .iter()
            .zip(seen.namespaces)
            .filter_map(|(kind, inode)| Some((kind, inode?)))
    };
    let own = known()
        .filter(|(kind, inode)| whose(kind, *inode, &seen.kernel) == Whose::Own)
        .count();
    if own == 0 {
        page.line(
            "You are not in a container: every namespace that can be told apart is the machine's.",
        );
    } else {
        page.line("You are in a container: not a thing, but an ordinary process of the machine, to which the");
        page.line(&format!(
            "kernel (Linux {}) shows a view of its own. It is put together from these features:",
            clean(&seen.kernel)
        ));
    }
}

fn namespaces(page: &mut Page, seen: &Seen) {
    page.heading(
        "Namespaces",
        "each kind of thing that a process can see",
        "soute ns show look",
    );
    let cell = |kind: &str, inode: Option<u64>| match inode {
        None => format!("{kind:<7}not visible"),
        Some(inode) => {
            let whose = match whose(kind, inode, &seen.kernel) {
                Whose::Own => "own",
                Whose::Machine => "machine's",
                Whose::Untold => "own?",
            };
            format!("{kind:<7}{inode:<11} {whose}")
        }
    };
    let cells: Vec<_> = KINDS
        .iter()
        .zip(seen.namespaces)
        .map(|(kind, inode)| cell(kind, inode))
        .collect();
    for row in cells.chunks(3) {
        let row: String = row.iter().map(|cell| format!("{cell:<31}")).collect();
        page.item(row.trim_end());
    }
}

fn process(page: &mut Page, seen: &Seen) {
    page.heading(
        "Processes",
        "a pid namespace numbers them anew, from 1",
        "soute ns pids look",
    );
    let field = |name: &str| seen.status.get(name).map_or("?", String::as_str);
    let id = |name| field(name).split_whitespace().nth(1).unwrap_or("?");
    page.item(&format!(
        "this is process {}, child of {}, of user {} and group {}, on host \"{}\"",
        field("Pid"),
        field("PPid"),
        id("Uid"),
        id("Gid"),
        clean(&seen.hostname)
    ));
}

fn users(page: &mut Page, seen: &Seen) {
    page.heading(
        "Users",
        "a user namespace maps ids: root in here is nobody special there",
        "soute ns show look",
    );
    for (name, map) in [("uid", &seen.uid_map), ("gid", &seen.gid_map)] {
        let ranges: Vec<_> = map.iter().map(range).collect();
        match ranges.as_slice() {
            [] => page.item(&format!("{name}s: not mapped")),
            ranges => page.list(&format!("{name}s: "), ranges, ", ", 2),
        }
    }
}

fn range(range: &IdRange) -> String {
    // The whole space of ids as it is: what the machine's initial user namespace shows.
    if *range
        == (IdRange {
            inside: 0,
            outside: 0,
            count: u32::MAX.into(),
        })
    {
        return "all, unchanged".to_owned();
    }
    let ids = |first: u64| match range.count {
        1 => first.to_string(),
        count => format!("{first}-{}", first.saturating_add(count - 1)),
    };
    if range.count == 0 {
        return "none".to_owned();
    }
    let verb = if range.count == 1 { "is" } else { "are" };
    let (inside, outside) = (ids(range.inside), ids(range.outside));
    format!("{inside} in here {verb} {outside} outside")
}

fn files(page: &mut Page, seen: &Seen) {
    let root = seen.mounts.iter().rev().find(|mount| mount.point == "/");
    let explanation = match root {
        Some(root) if root.kind == "overlay" => {
            "a mount namespace; its root is a copy-on-write image (overlay)"
        }
        _ => "a mount namespace has its own tree of file systems",
    };
    page.heading("Files", explanation, "soute inspect look");
    // The last mount at a place hides those below it.
    let visible = |(i, mount): &(usize, &Mount)| {
        !seen.mounts[i + 1..]
            .iter()
            .any(|later| later.point == mount.point)
    };
    let mut mounts: Vec<_> = seen
        .mounts
        .iter()
        .enumerate()
        .filter(visible)
        .map(|(_, mount)| mount)
        .collect();
    mounts.sort_by_key(|mount| mount.point != "/");
    let mounts: Vec<_> = mounts.into_iter().map(mount).collect();
    match mounts.as_slice() {
        [] => page.item("mounts: not visible"),
        mounts => page.list(&format!("{} mounts: ", mounts.len()), mounts, ", ", 3),
    }
}

fn mount(mount: &Mount) -> String {
    let point = clean(&mount.point);
    // "/proc (proc)" says nothing twice.
    let kind = Some(clean(&mount.kind)).filter(|kind| !point.ends_with(&format!("/{kind}")));
    match (kind, mount.read_only) {
        (None, false) => point,
        (None, true) => format!("{point} (read-only)"),
        (Some(kind), false) => format!("{point} ({kind})"),
        (Some(kind), true) => format!("{point} ({kind}, read-only)"),
    }
}

fn network(page: &mut Page, seen: &Seen) {
    page.heading(
        "Network",
        "a network namespace has its own interfaces, addresses, rules",
        "soute ns ls net",
    );
    let names: Vec<_> = seen.interfaces.iter().map(interface).collect();
    match names.as_slice() {
        [] => page.item("no interface is visible"),
        names => page.list("interfaces: ", names, ", ", 2),
    }
}

fn interface(interface: &Interface) -> String {
    let name = clean(&interface.name);
    match (interface.index, interface.link) {
        (Some(index), Some(link)) if link != 0 && link != index => format!("{name}@if{link}"),
        _ => name,
    }
}

fn power(page: &mut Page, seen: &Seen) {
    page.heading(
        "Power",
        "root's comes in pieces, capabilities; seccomp filters system calls",
        "soute ns show look",
    );
    let effective = seen
        .status
        .get("CapEff")
        .and_then(|hex| u64::from_str_radix(hex, 16).ok());
    match effective {
        None => page.item("capabilities: not visible"),
        Some(0) => page.item("capabilities: none"),
        Some(effective) => {
            let last = seen
                .last_capability
                .unwrap_or(CAPABILITIES.len() as u32 - 1)
                .min(63);
            let (have, lack): (Vec<u32>, Vec<u32>) =
                (0..=last).partition(|n| effective >> n & 1 == 1);
            let names =
                |numbers: &[u32]| numbers.iter().map(|n| capability(*n)).collect::<Vec<_>>();
            let all = last + 1;
            match lack.len() {
                0 => page.item(&format!("capabilities: all {all}")),
                1..=8 => page.list(
                    &format!("capabilities: all {all} but "),
                    &names(&lack),
                    ", ",
                    2,
                ),
                _ => page.list(
                    &format!("capabilities: {} of {all}: ", have.len()),
                    &names(&have),
                    ", ",
                    3,
                ),
            }
        }
    }
    let seccomp = match seen.status.get("Seccomp").map(String::as_str) {
        Some("0") => "off",
        Some("1") => "strict (read, write, exit)",
        Some("2") => "a filter on every system call",
        _ => "not visible",
    };
    let no_new_privileges = match seen.status.get("NoNewPrivs").map(String::as_str) {
        Some("0") => "off (set-uid programs work)",
        Some("1") => "on (set-uid programs gain nothing)",
        _ => "not visible",
    };
    page.item(&format!(
        "seccomp: {seccomp}; no_new_privs: {no_new_privileges}"
    ));
}

fn capability(number: u32) -> String {
    CAPABILITIES
        .get(number as usize)
        .map_or_else(|| format!("cap_{number}"), |name| (*name).to_owned())
}

fn limits(page: &mut Page, seen: &Seen) {
    page.heading(
        "Limits",
        "a cgroup counts and caps what its processes use",
        "soute inspect look",
    );
    let memory = amount(seen.memory, size);
    let processes = amount(seen.processes, |n| n.to_string());
    let cpu = match seen.cpu {
        CpuLimit::NotVisible => "not visible".to_owned(),
        CpuLimit::None => "no limit".to_owned(),
        CpuLimit::Quota { quota, period } => format!("{:.2} CPUs", quota as f64 / period as f64),
    };
    let cpus = seen
        .status
        .get("Cpus_allowed_list")
        .map_or("?", String::as_str);
    page.item(&format!(
        "memory: {memory}; processes: {processes}; CPU time: {cpu}; allowed CPUs: {}",
        clean(cpus)
    ));
    let mut paths: Vec<_> = seen
        .cgroups
        .iter()
        .map(|cgroup| clean(&cgroup.path))
        .collect();
    paths.sort();
    paths.dedup();
    if !paths.is_empty() {
        page.list("cgroup: ", &paths, ", ", 1);
    }
}

fn amount(limit: Limit, show: impl Fn(u64) -> String) -> String {
    match limit {
        Limit::NotVisible => "not visible".to_owned(),
        Limit::None => "no limit".to_owned(),
        Limit::Max(n) => show(n),
    }
}

/// In the largest unit that keeps the number whole or above 10.
fn size(bytes: u64) -> String {
    for (unit, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] {
        let whole = bytes >> shift;
        if whole >= 10 || (whole > 0 && whole << shift == bytes) {
            return format!("{whole} {unit}");
        }
    }
    format!("{bytes} B")
}

/// Names come from others: what steers a terminal or breaks a line is shown as `?`.
fn clean(text: &str) -> String {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars()
        .map(|c| if steers(c) { '?' } else { c })
        .collect()
}

struct Page {
    text: String,
    bold: bool,
}

impl Page {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// The kernel's feature, and at the right edge the machine's command that shows the other side of it.
    fn heading(&mut self, name: &str, explanation: &str, command: &str) {
        let bold = |text: &str| {
            if self.bold {
                format!("\x1b[1m{text}\x1b[0m")
            } else {
                text.to_owned()
            }
        };
        let middle = WIDTH - 12 - command.len();
        let line = format!(
            "\n{}{explanation:<middle$}{command}",
            bold(&format!("{name:<12}"))
        );
        self.line(&line);
    }

    fn item(&mut self, text: &str) {
        let room = WIDTH - 2;
        if text.chars().count() <= room {
            self.line(&format!("  {text}"));
        } else {
            let cut: String = text.chars().take(room - 3).collect();
            self.line(&format!("  {cut}..."));
        }
    }

    /// `label` and then as many of `words` as fit in `lines` lines; the rest are counted.
    fn list(&mut self, label: &str, words: &[String], separator: &str, lines: usize) {
        let room = WIDTH - 2 - label.chars().count();
        let more = |left: usize| format!("and {left} more");
        let mut rows = vec![String::new()];
        for (i, word) in words.iter().enumerate() {
            let left = words.len() - i;
            let last = left == 1;
            let text = if last {
                word.clone()
            } else {
                format!("{word}{separator}")
            };
            let used = rows[rows.len() - 1].chars().count();
            // On the last line there must stay room to count what does not fit.
            let reserve = if rows.len() == lines && !last {
                more(left).len()
            } else {
                0
            };
            if used + text.trim_end().chars().count() + reserve <= room {
                rows.last_mut().expect("never empty").push_str(&text);
            } else if used > 0 && rows.len() < lines {
                rows.push(text);
            } else {
                rows.last_mut().expect("never empty").push_str(&more(left));
                break;
            }
        }
        for (i, row) in rows.iter().enumerate() {
            let label = if i == 0 {
                label.to_owned()
            } else {
                " ".repeat(label.chars().count())
            };
            self.item(&format!("{label}{}", row.trim_end()));
        }
    }
}
