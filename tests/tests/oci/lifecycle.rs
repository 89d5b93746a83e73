//! From `create` to `delete`, in the right order and in the wrong one.

use std::fs;
use std::path::Path;

use soute_tests::wait_until;

use crate::bench::Bench;
use crate::case::cases;

cases![
    a_container_goes_through_its_states,
    state_tells_what_the_specification_asks,
    nothing_runs_before_start,
    a_stopped_container_has_no_pid,
    a_created_container_is_deleted,
    a_running_container_is_not_deleted,
    force_deletes_a_running_container,
    force_deletes_a_created_container,
    force_deletes_what_is_not_there,
    delete_takes_a_stopped_container_once,
    a_second_start_is_refused,
    a_stopped_container_is_not_started,
    an_unknown_id_is_refused,
    a_second_container_of_an_id_is_refused,
    an_id_is_free_again,
    ids_of_all_allowed_signs,
    ids_that_are_paths_are_refused,
    an_empty_id_is_refused,
    an_id_that_is_too_long_is_refused,
    the_pid_file_has_the_first_process,
    a_pid_file_that_cannot_be_made,
    annotations_are_told,
    the_bundle_is_the_current_folder,
    a_bundle_by_a_relative_path,
    a_bundle_that_is_not_there,
    the_configuration_is_read_once,
    two_containers_of_one_bundle,
    a_root_folder_is_made,
    a_program_that_ends_at_once,
    words_too_few_and_too_many,
    unknown_flags_and_commands,
];

fn a_container_goes_through_its_states(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.sh("echo works; sleep 1000");
    let id = bench.create(&bundle);
    assert_eq!(bench.state(&id)["status"], "created");
    bench.call(&["start", &id]).success();
    bench.hears(&id, "works");
    assert_eq!(bench.state(&id)["status"], "running");
    bench.call(&["kill", &id, "KILL"]).success();
    bench.becomes(&id, "stopped");
    bench.call(&["delete", &id]).success();
    bench.is_gone(&id);
}

fn state_tells_what_the_specification_asks(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let id = bench.create(&bundle);
    let state = bench.state(&id);
    assert!(state["ociVersion"].as_str().unwrap().starts_with("1."));
    assert_eq!(state["id"], id.as_str());
    assert_eq!(state["bundle"], bundle.folder().display().to_string());
    let pid = bench.pid(&id);
    assert!(Path::new(&format!("/proc/{pid}")).exists());
    // RFC 3339, which callers parse or fail.
    let created = state["created"].as_str().unwrap();
    assert!(created.len() > 18 && created.as_bytes()[10] == b'T' && created.ends_with('Z'));
}

fn nothing_runs_before_start(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.args(&["touch", "/here/started"]);
    let here = bench.path("here");
    fs::create_dir(&here).unwrap();
    bundle.mount("bind", here.to_str().unwrap(), "/here", &["rbind"]);
    let id = bench.create(&bundle);
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert!(!here.join("started").exists());
    bench.call(&["start", &id]).success();
    wait_until("the program has run", || here.join("started").exists());
}

fn a_stopped_container_has_no_pid(bench: &mut Bench) {
    let bundle = bench.bundle();
    let id = bench.start(&bundle);
    bench.becomes(&id, "stopped");
    assert_eq!(bench.state(&id)["pid"], 0);
}

fn a_created_container_is_deleted(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let id = bench.create(&bundle);
    bench.call(&["delete", &id]).success();
    bench.is_gone(&id);
}

fn a_running_container_is_not_deleted(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let id = bench.start(&bundle);
    bench.call(&["delete", &id]).code(1);
    bench.has_logged_an_error();
    assert_eq!(bench.state(&id)["status"], "running");
}

fn force_deletes_a_running_container(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let id = bench.start(&bundle);
    bench.call(&["delete", "--force", &id]).success();
    bench.is_gone(&id);
}

fn force_deletes_a_created_container(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let id = bench.create(&bundle);
    bench.call(&["delete", "-f", &id]).success();
    bench.is_gone(&id);
}

/// Callers clean up without looking.
fn force_deletes_what_is_not_there(bench: &mut Bench) {
    let id = bench.id();
    bench.call(&["delete", "--force", &id]).success();
}

fn delete_takes_a_stopped_container_once(bench: &mut Bench) {
    let bundle = bench.bundle();
    let id = bench.start(&bundle);
    bench.becomes(&id, "stopped");
    bench.call(&["delete", &id]).success();
    bench.call(&["delete", &id]).code(1);
}

fn a_second_start_is_refused(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let id = bench.start(&bundle);
    bench.call(&["start", &id]).code(1);
    bench.has_logged_an_error();
    assert_eq!(bench.state(&id)["status"], "running");
}

fn a_stopped_container_is_not_started(bench: &mut Bench) {
    let bundle = bench.bundle();
    let id = bench.start(&bundle);
    bench.becomes(&id, "stopped");
    bench.call(&["start", &id]).code(1);
    assert_eq!(bench.state(&id)["status"], "stopped");
}

fn an_unknown_id_is_refused(bench: &mut Bench) {
    let id = bench.id();
    for verb in ["start", "state", "kill", "delete", "pause", "resume"] {
        let outcome = bench.call(&[verb, &id]);
        // What containerd looks for.
        outcome.fails(1, &["does not exist"]);
    }
    assert_ne!(bench.exec(&id, &["true"]).code, 0);
    assert_ne!(bench.call(&["ps", &id]).code, 0);
    bench.call(&["update", "--pids-limit", "9", &id]).code(1);
    bench.has_logged_an_error();
}

fn a_second_container_of_an_id_is_refused(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let id = bench.start(&bundle);
    let pid = bench.pid(&id);
    let other = bench.bundle();
    other.write();
    let folder = other.folder().to_str().unwrap();
    let again = bench.call(&["run", "--bundle", folder, &id]);
    again.fails(1, &["exist"]);
    // The first is as it was.
    assert_eq!(bench.pid(&id), pid);
    assert_eq!(bench.state(&id)["status"], "running");
}

fn an_id_is_free_again(bench: &mut Bench) {
    let bundle = bench.bundle();
    let id = bench.start(&bundle);
    bench.becomes(&id, "stopped");
    bench.try_create(&bundle, &[], &id).code(1);
    bench.call(&["delete", &id]).success();
    bench.try_create(&bundle, &[], &id).success();
}

fn ids_of_all_allowed_signs(bench: &mut Bench) {
    let bundle = bench.sleeper();
    for end in ["+", "_", ".", "-", "aZ09", ".json"] {
        let id = format!("{}{end}", bench.id());
        bench.try_create(&bundle, &[], &id).success();
        assert_eq!(bench.state(&id)["id"], id.as_str());
        bench.call(&["delete", "--force", &id]).success();
    }
}

/// State is a folder of that name: no id leads elsewhere.
fn ids_that_are_paths_are_refused(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let tag = bench.tag();
    for id in [
        format!("{tag}/x"),
        format!("/{tag}"),
        format!("../{tag}"),
        format!("{tag}/.."),
        ".".to_owned(),
        "..".to_owned(),
        format!("{tag} x"),
        format!("{tag}\nx"),
        format!("{tag}ü"),
        format!("{tag}:x"),
    ] {
        let outcome = bench.try_create(&bundle, &[], &id);
        assert_eq!(outcome.code, 1, "{id:?}: {outcome}");
        for verb in ["state", "delete", "start", "kill"] {
            assert_ne!(bench.call(&[verb, "--", &id]).code, 0, "{verb} {id:?}");
        }
    }
    bench.has_logged_an_error();
}

fn an_empty_id_is_refused(bench: &mut Bench) {
    let bundle = bench.sleeper();
    bench.try_create(&bundle, &[], "").code(1);
    bench.call(&["state", ""]).code(1);
    bench.call(&["delete", "--force", ""]).code(1);
    bench.has_logged_an_error();
}

fn an_id_that_is_too_long_is_refused(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let id = format!("{}{}", bench.tag(), "x".repeat(1024));
    assert_ne!(bench.try_create(&bundle, &[], &id).code, 0);
    bench.has_logged_an_error();
}

fn the_pid_file_has_the_first_process(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let (id, file) = (bench.id(), bench.text("pid"));
    bench
        .try_create(&bundle, &["--pid-file", &file], &id)
        .success();
    // Read as a whole by callers: no line feed.
    assert_eq!(
        fs::read_to_string(&file).unwrap(),
        bench.pid(&id).to_string()
    );
}

fn a_pid_file_that_cannot_be_made(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let (id, file) = (bench.id(), bench.text("no-folder/pid"));
    bench
        .try_create(&bundle, &["--pid-file", &file], &id)
        .code(1);
    bench.has_logged_an_error();
    bench.is_gone(&id);
}

fn annotations_are_told(bench: &mut Bench) {
    let mut bundle = bench.sleeper();
    bundle.set("/annotations", serde_json::json!({"org.example.a": "one"}));
    let id = bench.create(&bundle);
    assert_eq!(bench.state(&id)["annotations"]["org.example.a"], "one");
}

fn the_bundle_is_the_current_folder(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.args(&["echo", "works"]).write();
    let id = bench.id();
    let mut command = bench.command(&["run", &id]);
    soute_tests::output(command.current_dir(bundle.folder())).prints("works");
}

fn a_bundle_by_a_relative_path(bench: &mut Bench) {
    let bundle = bench.sleeper();
    bundle.write();
    let id = bench.id();
    let name = bundle.folder().file_name().unwrap().to_str().unwrap();
    let mut command = bench.command(&["create", "-b", name, &id]);
    command.current_dir(bundle.folder().parent().unwrap());
    soute_tests::output_in_files(&mut command, &bench.path(""), &id).success();
    // Told in full: who asks is elsewhere.
    assert_eq!(
        bench.state(&id)["bundle"],
        bundle.folder().display().to_string()
    );
}

fn a_bundle_that_is_not_there(bench: &mut Bench) {
    let id = bench.id();
    bench
        .call(&["run", "--bundle", &bench.text("nowhere"), &id])
        .code(1);
    bench.has_logged_an_error();
    bench.is_gone(&id);
}

/// "Any changes made to this file after create MUST NOT have an effect" (runtime.md).
fn the_configuration_is_read_once(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.args(&["echo", "first"]);
    let id = bench.create(&bundle);
    bundle.args(&["echo", "second"]).write();
    bench.call(&["start", &id]).success();
    bench.becomes(&id, "stopped");
    assert_eq!(bench.said(&id).trim(), "first");
    fs::remove_file(bundle.folder().join("config.json")).unwrap();
    bench.call(&["delete", &id]).success();
}

fn two_containers_of_one_bundle(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let (one, two) = (bench.start(&bundle), bench.start(&bundle));
    assert_ne!(bench.pid(&one), bench.pid(&two));
    bench.call(&["delete", "--force", &one]).success();
    assert_eq!(bench.state(&two)["status"], "running");
}

fn a_root_folder_is_made(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.args(&["echo", "works"]).write();
    let (id, root) = (bench.id(), bench.text("a/b/state"));
    let mut command = bench.runtime.command();
    command.args(["--root", &root, "run", "--bundle"]);
    soute_tests::output(command.arg(bundle.folder()).arg(id)).prints("works");
    assert!(Path::new(&root).is_dir());
}

fn a_program_that_ends_at_once(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.args(&["false"]);
    let id = bench.start(&bundle);
    bench.becomes(&id, "stopped");
    bench.call(&["delete", &id]).success();
    bench.is_gone(&id);
}

fn words_too_few_and_too_many(bench: &mut Bench) {
    for verb in ["create", "start", "state", "kill", "delete", "pause"] {
        assert_ne!(bench.call(&[verb]).code, 0, "{verb}");
    }
    let id = bench.id();
    for verb in ["state", "start", "delete"] {
        assert_ne!(bench.call(&[verb, &id, "more"]).code, 0, "{verb}");
    }
}

fn unknown_flags_and_commands(bench: &mut Bench) {
    let id = bench.id();
    assert_ne!(bench.call(&["state", "--no-such-flag", &id]).code, 0);
    assert_ne!(bench.call(&["no-such-command"]).code, 0);
    assert_ne!(bench.call(&["--log-format", "bogus", "list"]).code, 0);
}
