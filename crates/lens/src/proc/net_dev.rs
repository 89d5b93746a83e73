//! What the interfaces of a network namespace have carried: /proc/PID/net/dev (proc_pid_net(5)).

use super::number;
use crate::Error;

/// The counters of one interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    /// Its name, which the namespace's root has chosen: any bytes but blanks and slashes.
    pub name: Vec<u8>,
    /// Bytes that came in.
    pub received: u64,
    /// Bytes that went out.
    pub sent: u64,
}

/// Parses the whole file.
///
/// # Errors
/// [`Error::Malformed`]: a line of another form than the kernel's.
pub fn net_dev(text: &[u8]) -> Result<Vec<Carried>, Error> {
    // Two lines of headings.
    let lines = text.split(|byte| *byte == b'\n').skip(2);
    lines.filter(|line| !line.is_empty()).map(carried).collect()
}

fn carried(line: &[u8]) -> Result<Carried, Error> {
    let parsed = || {
        // A name may have colons, and no counter has.
        let colon = line.iter().rposition(|byte| *byte == b':')?;
        let counters: Vec<u64> = line[colon + 1..]
            .split(u8::is_ascii_whitespace)
            .filter(|field| !field.is_empty())
            .map(number)
            .collect::<Option<_>>()?;
        Some(Carried {
            name: line[..colon].trim_ascii_start().to_vec(),
            received: *counters.first()?,
            sent: *counters.get(8)?,
        })
    };
    parsed().ok_or_else(|| Error::malformed("/proc/PID/net/dev", line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_the_first_and_the_ninth() {
        let text = b"Inter-|   Receive                                                |  Transmit\n \
            face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    \
            lo:     128       2    0    0    0     0          0         0      129       2    0    0    0     0       0          0\n\
            eth0:1: 1 2 3 4 5 6 7 8 18446744073709551615 10 11 12 13 14 15 16\n";
        let told = net_dev(text).unwrap();
        let one = |name: &str, received, sent| Carried {
            name: name.into(),
            received,
            sent,
        };
        assert_eq!(told, [one("lo", 128, 129), one("eth0:1", 1, u64::MAX)]);
        assert_eq!(net_dev(b"").unwrap(), []);
        for bad in ["x", "x: 1 2 3", "x: 1 2 3 4 5 6 7 8 y"] {
            let text = format!("\n\n{bad}\n");
            assert!(matches!(
                net_dev(text.as_bytes()),
                Err(Error::Malformed { .. })
            ));
        }
    }

    #[test]
    fn the_kernels_own_is_understood() {
        let told = net_dev(&std::fs::read("/proc/self/net/dev").unwrap()).unwrap();
        assert!(told.iter().any(|one| one.name == b"lo"));
    }
}
