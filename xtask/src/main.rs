//! The project's chores. `cargo xtask help` lists them.

mod architecture;
mod bench;
mod cargo;
mod cgroups;
mod demo;
mod dist;
mod documents;
mod image;
mod leftovers;
mod order;
mod packages;
mod scratch;
mod shell;
mod target;
mod test;
mod vm;

use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "\
usage: cargo xtask CHORE

  test [--quick] [FILTER]  everything that must hold: format, lints, architecture, all tests on real
                           containers, and that nothing is left on the machine; --quick leaves out the
                           slow tests, those against peers and the virtual machine; FILTER runs only the
                           tests named so
  demo                     a Debian with Python 3 in a container, seen from inside and from outside
  bench [--quick]          the figures, side by side with peers, in bench/REPORT.md; --quick: few rounds,
                           without Docker and Podman; --without-docker: all else; --lens: what is told of
                           namespaces alone, and that part of the report
  dist                     the static binary, man pages and shell completions, in dist/
  image                    the tests' images, in /var/cache/soute-tests
  vm [FILTER]              the tests on older kernels, with systemd and cgroup version 2 alone, in a virtual
                           machine in software; FILTER runs only the tests named so
  fuzz                     whether the fuzz targets still fit what they call; fuzz/README.md tells how they are run
  help                     this text
";

fn main() -> ExitCode {
    match chore(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn chore(arguments: &[String]) -> Result<()> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["test", rest @ ..] => test::run(&test::Options::parse(rest)?),
        ["bench", rest @ ..] => bench::run(bench::Options::parse(rest)?),
        // What `bench` starts in namespaces of its own.
        ["bench-layout", layout, folder, rest @ ..] => bench::run_layout(layout, folder, rest),
        ["bench-networks", folder, rest @ ..] => bench::run_networks(folder, rest),
        ["bench-lens", folder, rest @ ..] => bench::run_lens(folder, rest),
        ["demo"] => demo::show(),
        ["dist"] => dist::make(),
        ["image"] => image::make_all().map(drop),
        ["fuzz"] => test::check_fuzz(),
        ["vm"] => vm::run(test::PROFILE, None, None),
        ["vm", filter] if !filter.starts_with('-') => vm::run(test::PROFILE, None, Some(filter)),
        ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            Ok(())
        }
        [] => bail!("which chore?\n\n{USAGE}"),
        [other, ..] => bail!("no such chore, or it takes no such arguments: {other}\n\n{USAGE}"),
    }
}
