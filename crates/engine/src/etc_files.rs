//! /etc/hosts, /etc/hostname and /etc/resolv.conf: the container's own, bound over whatever the image has.

use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::error::{Error, io};
use crate::places::Places;
use crate::record::Record;
use crate::request::{Network, Request};

/// File in the container's folder, place in the container.
pub(crate) const FILES: &[(&str, &str)] = &[
    ("resolv.conf", "/etc/resolv.conf"),
    ("hostname", "/etc/hostname"),
    ("hosts", "/etc/hosts"),
];

/// Writes them for one run; the container's root owns them and may change them.
pub(crate) fn write(places: &Places, record: &Record) -> Result<(), Error> {
    let folder = places.running(&record.id);
    let owner = record.id_maps.as_ref().and_then(|maps| maps.root());
    let hostname = record.hostname.clone().unwrap_or_else(machine_hostname);
    let machine = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let resolv = resolv_conf(&record.request, &machine("/etc/resolv.conf"));
    let shared = record.request.network == Network::Host;
    let hosts = hosts(
        &record.request,
        shared.then(|| machine("/etc/hosts")).as_deref(),
    );
    for (name, text) in [
        ("resolv.conf", resolv),
        ("hostname", format!("{hostname}\n")),
        ("hosts", hosts),
    ] {
        let path = folder.join(name);
        io("writing", &path, write_file(&path, &text, owner))?;
    }
    Ok(())
}

fn write_file(path: &Path, text: &str, owner: Option<(u32, u32)>) -> std::io::Result<()> {
    use std::io::Write;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    if let Some((uid, gid)) = owner {
        std::os::unix::fs::fchown(&file, Some(uid), Some(gid))?;
    }
    Ok(())
}

fn machine_hostname() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

fn hosts(request: &Request, machine: Option<&str>) -> String {
    let mut text = machine.map_or_else(
        || {
            "127.0.0.1\tlocalhost\n\
             ::1\tlocalhost ip6-localhost ip6-loopback\n\
             fe00::\tip6-localnet\n\
             ff00::\tip6-mcastprefix\n\
             ff02::1\tip6-allnodes\n\
             ff02::2\tip6-allrouters\n"
                .to_owned()
        },
        str::to_owned,
    );
    for (name, address) in &request.extra_hosts {
        text.push_str(&format!("{address}\t{name}\n"));
    }
    text
}

/// The machine's, with what `--dns` and its kin replace.
fn resolv_conf(request: &Request, machine: &str) -> String {
    let mut text = String::new();
    let kept = |keyword: &str| {
        machine
            .lines()
            .filter(|l| l.split_whitespace().next() == Some(keyword))
            .map(|l| format!("{l}\n"))
            .collect::<String>()
    };
    if request.dns.is_empty() {
        text.push_str(&kept("nameserver"));
    }
    for server in &request.dns {
        text.push_str(&format!("nameserver {server}\n"));
    }
    match request.dns_search.as_slice() {
        [] => text.push_str(&kept("search")),
        // "." is how Docker's users say: none at all.
        [dot] if dot == "." => {}
        domains => text.push_str(&format!("search {}\n", domains.join(" "))),
    }
    if request.dns_options.is_empty() {
        text.push_str(&kept("options"));
    } else {
        text.push_str(&format!("options {}\n", request.dns_options.join(" ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dns_flags_replace_the_machines() {
        let machine = "# hi\nnameserver 192.0.2.1\nsearch example.org\noptions ndots:2\n";
        assert_eq!(
            resolv_conf(&Request::default(), machine),
            "nameserver 192.0.2.1\nsearch example.org\noptions ndots:2\n"
        );
        let request = Request {
            dns: vec!["192.0.2.53".parse().unwrap()],
            dns_search: vec![".".into()],
            ..Request::default()
        };
        assert_eq!(
            resolv_conf(&request, machine),
            "nameserver 192.0.2.53\noptions ndots:2\n"
        );
    }

    #[test]
    fn added_hosts_come_last() {
        let request = Request {
            extra_hosts: vec![("db".into(), "192.0.2.7".parse().unwrap())],
            ..Request::default()
        };
        let text = hosts(&request, None);
        assert!(text.starts_with("127.0.0.1\tlocalhost\n"));
        assert!(text.ends_with("192.0.2.7\tdb\n"));
    }
}
