//! The harness of tests that fork, which takes a process with one thread.

use libtest_mimic::{Arguments, Conclusion, Trial};

/// Runs the tests one after the other in this thread, so that it stays the only one.
pub fn run<T>(tests: impl IntoIterator<Item = (&'static str, T)>) -> Conclusion
where
    T: FnOnce() + Send + 'static,
{
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let trials = tests.into_iter().map(|(name, test)| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    });
    libtest_mimic::run(&arguments, trials.collect())
}
