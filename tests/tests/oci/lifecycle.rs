//! From `create` to `delete`.

use crate::bench::Bench;
use crate::case::cases;

cases![a_container_goes_through_its_states];

fn a_container_goes_through_its_states(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.sh("echo works; sleep 1000");
    let id = bench.create(&bundle);
    let state = bench.state(&id);
    assert_eq!(state["status"], "created", "{state}");
    assert_eq!(bench.said(&id), "");
    bench.call(&["start", &id]).success();
    bench.hears(&id, "works");
    assert_eq!(bench.state(&id)["status"], "running");
    bench.call(&["kill", &id, "KILL"]).success();
    bench.becomes(&id, "stopped");
    bench.call(&["delete", &id]).success();
    bench.is_gone(&id);
}
