//! Docker's daemon, with `--add-runtime`.

use soute_tests::{Docker, Outcome, place};

use crate::engine::{Engine, tests};
use crate::scenes;
use crate::stage::Stage;

impl Engine for Docker {
    fn name(&self) -> &'static str {
        "docker"
    }

    fn image(&self) -> &'static str {
        "busybox"
    }

    #[track_caller]
    fn call(&self, words: &[&str]) -> Outcome {
        self.docker(words)
    }
}

#[track_caller]
fn start(stage: &Stage) -> Docker {
    let flags = [
        format!("--add-runtime=soute={}", stage.runtime()),
        "--default-runtime=soute".to_owned(),
    ];
    Docker::start_with(&stage.world, &place::busybox(), &flags)
}

tests!(start);

#[test]
fn the_runtime_is_the_one_that_is_named() {
    let stage = Stage::new();
    let docker = start(&stage);
    let id = docker.detached(&[]);
    let inspect = ["inspect", "--format", "{{.HostConfig.Runtime}}", &id];
    docker.docker(&inspect).prints("soute");
    docker.docker(&["info"]).shows("soute");
    assert_ne!(docker.pid(&id), 0);
}

#[test]
fn the_story_on_its_containers() {
    let stage = Stage::new();
    scenes::all(&start(&stage), &stage.world);
}

#[test]
fn the_story_on_containers_of_runc() {
    let stage = Stage::new();
    let docker = Docker::start_with(&stage.world, &place::busybox(), &[]);
    docker.docker(&["info"]).shows("Default Runtime: runc");
    scenes::all(&docker, &stage.world);
}
