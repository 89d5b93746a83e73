//! Peers that fail: each costs its own figures of one measurement, and nobody else's.

use anyhow::Result;
use serde_json::{Value, json};

use super::bed::Bed;

/// What a peer is left out of that could not even be made ready.
pub const EVERYTHING: &str = "everything";

/// The programs beside which soute is measured. Whatever else is, is the bench's own.
const PEERS: &[&str] = &["crun", "runc", "youki", "podman", "docker"];

/// Who is left out of which measurement, and why.
pub struct LeftOut {
    /// The bed's folder: another one each time, and nobody's who reads the report.
    folder: String,
    absences: Vec<Absence>,
}

struct Absence {
    who: &'static str,
    of: &'static str,
    why: String,
}

impl LeftOut {
    /// Nobody yet.
    pub fn new(bed: &Bed) -> Self {
        Self {
            folder: bed.folder().display().to_string(),
            absences: Vec::new(),
        }
    }

    /// What `measure` finds of `who` for the measurement `of`. None if it fails and `who` is a peer, which is out of
    /// that measurement from then on.
    ///
    /// # Errors
    /// It fails for the floor or for soute: without them nothing can be said.
    pub fn attempt<T>(
        &mut self,
        who: &'static str,
        of: &'static str,
        measure: impl FnOnce() -> Result<T>,
    ) -> Result<Option<T>> {
        if self.is_out(who, of) {
            return Ok(None);
        }
        let error = match measure() {
            Ok(found) => return Ok(Some(found)),
            Err(error) => error,
        };
        if !is_peer(who) {
            return Err(error.context(format!("{of}: {who}")));
        }
        let why = format!("{error:#}").replace(&self.folder, "BED");
        eprintln!("xtask: {who} is left out of “{of}”: {why}");
        self.absences.push(Absence { who, of, why });
        Ok(None)
    }

    /// Whether `who` has failed in that measurement, or could not be made ready.
    pub fn is_out(&self, who: &str, of: &str) -> bool {
        let is_it = |out: &Absence| out.who == who && [of, EVERYTHING].contains(&out.of);
        self.absences.iter().any(is_it)
    }

    /// For the report.
    pub fn figures(&self) -> Value {
        let figure = |Absence { who, of, why }: &Absence| json!({"who": who, "of": of, "why": why});
        self.absences.iter().map(figure).collect()
    }
}

/// By the first word: `crun, seccomp` is crun.
fn is_peer(who: &str) -> bool {
    let program = who.split([',', ' ']).next().unwrap_or(who);
    PEERS.contains(&program)
}

#[cfg(test)]
pub mod tests {
    use anyhow::anyhow;

    use super::super::subjects::{DOCKER, FLOOR, RUNC_SECCOMP, RUNTIME, SOUTE, YOUKI};
    use super::*;

    /// Nobody, and no bed.
    pub fn nobody() -> LeftOut {
        LeftOut {
            folder: "/var/tmp/bed".into(),
            absences: Vec::new(),
        }
    }

    #[test]
    fn a_peer_is_out_of_what_it_failed_in_alone() {
        let mut left_out = nobody();
        let fails = || -> Result<()> { Err(anyhow!("/var/tmp/bed/youki hangs")) };
        assert!(left_out.attempt(YOUKI, "run", fails).unwrap().is_none());
        let again = left_out.attempt(YOUKI, "run", || -> Result<()> { panic!("it is out") });
        assert!(again.unwrap().is_none());
        assert_eq!(left_out.attempt(YOUKI, "exec", || Ok(1)).unwrap(), Some(1));
        assert!(
            left_out
                .attempt(DOCKER, EVERYTHING, fails)
                .unwrap()
                .is_none()
        );
        assert!(left_out.is_out(DOCKER, "exec") && !left_out.is_out(RUNC_SECCOMP, "run"));
        let why = json!({"who": YOUKI, "of": "run", "why": "BED/youki hangs"});
        assert_eq!(left_out.figures()[0], why);
    }

    #[test]
    fn without_the_floor_and_soute_there_is_no_bench() {
        for who in [FLOOR, SOUTE, RUNTIME] {
            let failed = nobody().attempt(who, "run", || -> Result<()> { Err(anyhow!("why")) });
            assert_eq!(
                format!("{:#}", failed.unwrap_err()),
                format!("run: {who}: why")
            );
        }
    }
}
