//! A case: what a runtime must do, as a function that fails as tests do.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::bench::Bench;
use crate::runtime::Runtime;

/// One thing that a runtime must do.
#[derive(Clone, Copy)]
pub struct Case {
    /// The function's.
    pub name: &'static str,
    run: fn(&mut Bench),
}

impl Case {
    /// As [`crate::case::cases!`] makes it.
    pub const fn new(name: &'static str, run: fn(&mut Bench)) -> Self {
        Self { name, run }
    }

    /// Tries it on a runtime, in a thread of its own, since the runtimes are in different places.
    ///
    /// # Errors
    /// What was not as it must be, or what was left behind.
    pub fn try_on(&self, runtime: Runtime) -> Result<(), String> {
        let tried = std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let mut bench = caught(|| Bench::new(runtime))?;
                let tried = caught(|| (self.run)(&mut bench));
                let finished = caught(|| bench.finish()).flatten();
                tried.and(finished)
            });
            thread.join()
        });
        tried.unwrap_or_else(|_| Err("a panic that was not kept".to_owned()))
    }
}

thread_local! {
    /// What the last panic of this thread said, and where.
    static SAID: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Panics are the answers of cases: kept, not printed.
pub fn keep_panics() {
    std::panic::set_hook(Box::new(|panic| {
        SAID.with(|said| *said.borrow_mut() = panic.to_string());
    }));
}

fn caught<T>(act: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(act)).map_err(|_| SAID.take())
}

/// The cases of a file: a function that is not listed is one that nobody calls, which the compiler tells.
macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        /// The cases of this file.
        pub const CASES: &[$crate::case::Case] =
            &[$($crate::case::Case::new(stringify!($name), $name)),*];
    };
}
pub(crate) use cases;
