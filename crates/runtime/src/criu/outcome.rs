//! Why criu failed, in a line.

use super::Folders;
use crate::containers::Error;

/// The error of `operation`, which ended with this exit status: criu's own last word, and where there is more. `said` is
/// what it wrote to its standard error, before it had a log.
pub(crate) fn failure(
    operation: &'static str,
    status: i32,
    folders: &Folders,
    said: &str,
) -> Error {
    let log = folders.log_text();
    let why = last_error(&log)
        .or_else(|| said.lines().rfind(|line| !line.trim().is_empty()))
        .unwrap_or("it says no more");
    Error::Criu {
        operation,
        status,
        why: why.trim().to_owned(),
        log: folders.log().to_owned(),
    }
}

/// The last line with an error that is more than the word that it failed.
fn last_error(log: &str) -> Option<&str> {
    let errors = || {
        log.lines()
            .filter_map(|line| line.find("Error (").map(|at| &line[at..]))
    };
    errors()
        .rfind(|line| !line.trim_end().ends_with("FAILED."))
        .or_else(|| errors().next_back())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_that_says_something() {
        let log = "(00.1) Something\n\
                   (00.2) Error (criu/a.c:1): first\n\
                   (00.3)      1: Error (criu/vdso.c:2): Unexpected rt vDSO area bounds\n\
                   (00.4) Error (criu/cr-dump.c:3): Dumping FAILED.\n";
        let why = "Error (criu/vdso.c:2): Unexpected rt vDSO area bounds";
        assert_eq!(last_error(log), Some(why));
        assert_eq!(
            last_error("(0) Error (a.c:1): Dumping FAILED.\n"),
            Some("Error (a.c:1): Dumping FAILED.")
        );
        assert_eq!(last_error("(0) fine\n"), None);
    }
}
