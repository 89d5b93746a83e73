//! The table on real packets: a machine with three bridges and containers on them, an outside beside it. Needs root,
//! `ip` and `nft`. The test's own network namespace is the machine.

#[path = "../common/mod.rs"]
mod common;
mod reach;
mod upkeep;
mod world;

fn main() {
    let tests = [reach::TESTS, upkeep::TESTS].concat();
    common::run(&tests).exit();
}
