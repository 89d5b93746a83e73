//! Which program of the machine has a port: by what the kernel shows of sockets and descriptors (proc_net(5)).

use soute_network::Protocol;

/// `process 123 (nginx)`; `None`: nobody in this network namespace, or nobody whose descriptors can be seen.
pub(super) fn of(protocol: Protocol, port: u16) -> Option<String> {
    let (files, bound): (&[&str], Bound) = match protocol {
        Protocol::Tcp => (&["tcp", "tcp6"], internet),
        Protocol::Udp => (&["udp", "udp6"], internet),
        // Those that listen alone.
        Protocol::Sctp => (&["sctp/eps"], endpoint),
    };
    let inodes: Vec<u64> = files
        .iter()
        .filter_map(|file| std::fs::read_to_string(format!("/proc/self/net/{file}")).ok())
        .flat_map(|table| sockets(&table, bound, port))
        .collect();
    let links: Vec<String> = inodes
        .iter()
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    let holds = |pid: &str| {
        let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd"))
            .into_iter()
            .flatten();
        descriptors.flatten().any(|fd| {
            let link = std::fs::read_link(fd.path()).unwrap_or_default();
            links
                .iter()
                .any(|wanted| link.as_os_str() == wanted.as_str())
        })
    };
    let pid = std::fs::read_dir("/proc")
        .ok()?
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.bytes().all(|b| b.is_ascii_digit()))
        .find(|pid| holds(pid))?;
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some(format!("process {pid}'s ({})", name.trim_end()))
}

/// The port and the inode that a line of a table tells.
type Bound = fn(&str) -> Option<(u16, u64)>;

/// The second field is the local address and port in hexadecimal, the tenth the inode.
fn internet(line: &str) -> Option<(u16, u64)> {
    let mut fields = line.split_whitespace();
    let (_, port) = fields.nth(1)?.rsplit_once(':')?;
    let inode = fields.nth(7)?.parse().ok()?;
    Some((u16::from_str_radix(port, 16).ok()?, inode))
}

/// The sixth field is the port, the eighth the inode (net/sctp/proc.c).
fn endpoint(line: &str) -> Option<(u16, u64)> {
    let mut fields = line.split_whitespace();
    let port = fields.nth(5)?.parse().ok()?;
    Some((port, fields.nth(1)?.parse().ok()?))
}

/// The inodes of the sockets of a table under /proc/net that are bound to the port.
fn sockets(table: &str, bound: Bound, port: u16) -> Vec<u64> {
    let lines = table.lines().skip(1).filter_map(bound);
    lines
        .filter(|(one, inode)| *one == port && *inode != 0)
        .map(|(_, inode)| inode)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_found_by_its_port() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100\n\
            1: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 100\n\
            short\n";
        assert_eq!(sockets(table, internet, 8080), [4711]);
        assert_eq!(sockets(table, internet, 80), [4712]);
        assert!(sockets(table, internet, 81).is_empty());
        let table = " ENDPT     SOCK   STY SST HBKT LPORT   UID INODE LADDRS\n\
            0000000000000000 0000000000000000 2   10  41   9001      0  4713 0.0.0.0 \n";
        assert_eq!(sockets(table, endpoint, 9001), [4713]);
        assert!(sockets(table, endpoint, 10).is_empty());
    }

    #[test]
    fn this_process_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let own = format!("process {}'s (", std::process::id());
        assert!(of(Protocol::Tcp, port).unwrap().starts_with(&own));
    }
}
