//! `cargo xtask bench`: soute beside its peers and beside the bare kernel, in one run.
//!
//! Times drift from machine to machine and from hour to hour; ratios between
//! medians of interleaved rounds do not, so these are what the report gives.
//! Each cgroup layout is measured by this program started again in namespaces
//! that show that layout alone, since some peers refuse a mixture.

mod bed;
mod bundle;
mod cost;
mod docker;
mod idle;
mod layout;
mod left_out;
mod lens;
mod limit;
mod load;
mod measure;
mod networks;
pub mod peers;
mod rates;
mod report;
mod statistics;
mod subjects;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::cargo::root;
use crate::dist;
use crate::scratch::Scratch;
use crate::shell::{self, step};
use crate::{image, packages};
use bed::Bed;

/// The words after `bench`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Few rounds, and none of the peers that take tenths of a second.
    pub quick: bool,
    /// Start a Docker daemon and measure it too.
    pub docker: bool,
    /// Measure what is told of namespaces, and nothing else.
    pub only_lens: bool,
}

impl Options {
    /// # Errors
    /// An unknown flag.
    pub fn parse(words: &[&str]) -> Result<Self> {
        let mut options = Self {
            quick: false,
            docker: true,
            only_lens: false,
        };
        for word in words {
            match *word {
                "--quick" => {
                    options = Self {
                        quick: true,
                        docker: false,
                        ..options
                    }
                }
                "--lens" => options.only_lens = true,
                "--without-docker" => options.docker = false,
                other => bail!("bench: unknown word {other}"),
            }
        }
        Ok(options)
    }

    /// The words that [`Options::parse`] makes these of, for a part of the measurements.
    fn words(self) -> &'static [&'static str] {
        match self {
            Self { quick: true, .. } => &["--quick"],
            Self { docker: false, .. } => &["--without-docker"],
            _ => &[],
        }
    }
}

/// Measures everything and writes `bench/REPORT.md`.
pub fn run(options: Options) -> Result<()> {
    if !shell::is_root()? {
        bail!("the benchmark makes containers as root does: run it as root");
    }
    packages::install(packages::TESTS)?;
    packages::install(packages::BENCH)?;
    step("build");
    let soute = dist::executable()?;
    if options.only_lens {
        return run_only_lens(&soute, options);
    }
    let images = image::make_all()?;
    let scratch = Scratch::new("bench")?;
    let bed = Bed::lay(scratch.path(), &soute, &images)?;
    let mut layouts = Vec::new();
    for layout in layout::available()? {
        step(&format!("run, exec and memory on cgroup {layout}"));
        layouts.push((
            layout,
            layout::measure_in_namespaces(layout, &bed, options)?,
        ));
    }
    step("networks");
    let figures = layout::in_namespaces(&["bench-networks"], &bed, options, "networks")?;
    let lens = measure_lens(&bed, options)?;
    step("layers");
    let load = load::measure(&bed, &images, if options.quick { 3 } else { 7 })?;
    let text = report::write(&report::Figures {
        layouts,
        networks: figures,
        lens,
        load,
        options,
    })?;
    let file = report_file();
    std::fs::write(&file, &text).with_context(|| format!("cannot write {}", file.display()))?;
    print!("{text}");
    Ok(())
}

/// Measures what is told of namespaces, and renews that part of `bench/REPORT.md`.
fn run_only_lens(soute: &Path, options: Options) -> Result<()> {
    let file = report_file();
    let page = std::fs::read_to_string(&file)
        .with_context(|| format!("{}: there is no report to renew a part of", file.display()))?;
    let scratch = Scratch::new("bench")?;
    let bed = Bed::lay_bare(scratch.path(), soute)?;
    let page = report::renew_lens(&page, &measure_lens(&bed, options)?)?;
    std::fs::write(&file, &page).with_context(|| format!("cannot write {}", file.display()))?;
    print!("{page}");
    Ok(())
}

/// With the machine's own util-linux.
fn measure_lens(bed: &Bed, options: Options) -> Result<serde_json::Value> {
    step("namespaces");
    layout::in_namespaces_of(None, &["bench-lens"], bed, options, "lens")
}

fn report_file() -> PathBuf {
    root().join("bench/REPORT.md")
}

/// What [`run`] starts in the namespaces of one layout: `bench-layout LAYOUT FOLDER [FLAG]`.
pub fn run_layout(layout: &str, folder: &str, words: &[&str]) -> Result<()> {
    let layout = layout.parse()?;
    layout::measure(layout, &Bed::at(Path::new(folder))?, Options::parse(words)?)
}

/// What [`run`] starts in namespaces of its own: `bench-networks FOLDER [FLAG]`.
pub fn run_networks(folder: &str, words: &[&str]) -> Result<()> {
    networks::measure(&Bed::at(Path::new(folder))?, Options::parse(words)?)
}

/// What [`run`] starts in namespaces of its own: `bench-lens FOLDER [FLAG]`.
pub fn run_lens(folder: &str, words: &[&str]) -> Result<()> {
    lens::measure(&Bed::at(Path::new(folder))?, Options::parse(words)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_options_are_one() {
        for words in [&[][..], &["--quick"], &["--without-docker"]] {
            assert_eq!(Options::parse(words).unwrap().words(), words);
        }
        assert!(Options::parse(&["--lens"]).unwrap().only_lens);
        assert!(Options::parse(&["--slow"]).is_err());
    }
}
