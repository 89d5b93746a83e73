//! A bound on the memory that a registry can make soute take.

use anyhow::{Context, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Beyond what soute has when a pull begins. A pull needs some tens of megabytes, and three layers with the largest
/// windows that zstd may have less than two hundred.
const MORE: u64 = 512 << 20;

/// Bounds the data of this process, by RLIMIT_DATA, until it is dropped.
///
/// The registry client takes manifests, tokens and messages of errors in whole, before anybody can look at their size.
/// With the bound a registry that sends without end aborts this command, and not whatever else the machine runs.
pub struct Bound {
    before: Rlimit,
}

impl Bound {
    /// Sets the bound, unless there is a lower one.
    pub fn set() -> Result<Self> {
        let before = getrlimit(Resource::Data);
        let wanted = used()? + MORE;
        let bounds = [Some(wanted), before.current, before.maximum];
        let current = bounds.into_iter().flatten().min();
        let bound = Rlimit { current, ..before };
        setrlimit(Resource::Data, bound).context("setrlimit(RLIMIT_DATA)")?;
        Ok(Self { before })
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        // Up to the hard limit, which was not touched, everybody may go.
        let _ = setrlimit(Resource::Data, self.before);
    }
}

/// What counts against the limit now, bytes.
fn used() -> Result<u64> {
    let path = "/proc/self/status";
    let text = std::fs::read_to_string(path).context(path)?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmData:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    Ok(kib.context("no VmData in /proc/self/status")? << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_near_and_is_taken_back() {
        let before = getrlimit(Resource::Data);
        let bound = Bound::set().unwrap();
        let within = getrlimit(Resource::Data).current.unwrap();
        assert!((MORE..MORE + (1 << 30)).contains(&within), "{within}");
        drop(bound);
        assert_eq!(getrlimit(Resource::Data), before);
    }
}
