//! One scene, typed into a shell.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::slice;
use std::time::Duration;

use soute_tests::{Running, World, output, own_folders, place, remains};

use crate::compare::Bindings;
use crate::page::{self, Exchange, LANGUAGES, Page};

/// Set to anything: pages and pictures are made to say what is seen.
const RENEW: &str = "SOUTE_GUIDE_RENEW";

/// Ends what a command has printed.
const END: &str = "the-end-of-this-command";

/// What runs in the background is under way when somebody types the next command.
const UNDER_WAY: Duration = Duration::from_millis(300);

/// How often a scene looks at processes before they are not what the page says.
const LOOKS: usize = 10;

/// What soute says of others on this machine, of whom no scene tells: of a first process with rights that root lacks, as in some
/// virtual machines, and of other tests' namespaces that end while they are looked at.
const OF_OTHERS: [&str; 3] = [
    "from this user, who may not trace them",
    "hide their descriptors from this user",
    "not looked into: it has gone",
];

/// Runs the commands of a scene and compares what they print, and the pictures that they make.
#[track_caller]
pub fn scene(number: u32) {
    let renew = std::env::var_os(RENEW).is_some_and(|value| !value.is_empty());
    let [mut english, mut french] = LANGUAGES.map(|language| Page::read(language, number));
    if !renew {
        same(&english, &french);
    }
    let stage = Stage::new();
    let mut shell = Shell::start(&stage);
    let mut bound = Bindings::default();
    let mut seen = Vec::new();
    for exchange in english.exchanges() {
        let typed = bound.typed(&exchange.command);
        let mut real = shell.run(&typed);
        let mut compared = bound.compare(&exchange.output, &real);
        // What was just started may not be all there yet, and looking changes nothing: look again.
        for _ in 0..LOOKS {
            if compared.is_ok() || !typed.starts_with("soute ns ") {
                break;
            }
            std::thread::sleep(UNDER_WAY);
            real = shell.run(&typed);
            compared = bound.compare(&exchange.output, &real);
        }
        if let Err(at) = compared {
            assert!(renew, "{}", difference(&english, &exchange, at, &real));
            let told = renewed(&exchange.output, &real, &mut bound);
            seen.push((exchange, told));
        }
    }
    for (exchange, told) in seen.iter().rev() {
        english.say(exchange, told);
    }
    for name in english.pictures() {
        picture(name, &stage.work(), &mut bound, renew);
    }
    if renew {
        french.take_consoles(&english);
        for page in [&english, &french] {
            fs::write(&page.path, &page.text).expect("a page to write to");
        }
    }
    same(&english, &french);
}

/// Only the prose differs.
#[track_caller]
fn same(english: &Page, french: &Page) {
    let path = french.path.display();
    let [ours, theirs] = [english, french].map(Page::consoles);
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(
            ours, theirs,
            "{path} has other commands than the page in English"
        );
    }
    assert_eq!(ours.len(), theirs.len(), "blocks in {path}");
    assert_eq!(english.pictures(), french.pictures(), "pictures in {path}");
}

/// What the page is to say: its own lines as far as they are right, and what is seen.
fn renewed(page: &[String], real: &[String], bound: &mut Bindings) -> Vec<String> {
    let mut own = page.iter().filter(|line| line.trim() != "…");
    let mut lines = Vec::new();
    for seen in real.chunks(1) {
        let fits = |line: &String| bound.compare(slice::from_ref(line), seen).is_ok();
        let line = match own.clone().position(fits) {
            Some(position) => own.nth(position).expect("its position").clone(),
            None => bound.told(&seen[0]),
        };
        let known = bound.compare(slice::from_ref(&line), seen);
        known.expect("what was seen is what was seen");
        lines.push(line);
    }
    lines
}

fn difference(page: &Page, exchange: &Exchange, at: usize, real: &[String]) -> String {
    let says = exchange.output.get(at).map_or("nothing more", |line| line);
    format!(
        "{}: the command\n  {}does not print what the page says. Line {} there: {says:?}. What is seen:\n{}\n\
         If it is meant so, {RENEW}=1 has the page say it.",
        page.path.display(),
        exchange.command,
        at + 1,
        real.join("\n")
    )
}

/// Where soute keeps what it has.
const FOLDERS: [&str; 2] = ["/var/lib/soute", "/run/soute"];

/// What a reader has done before the first scene: the place of its own that the index makes; and networks have been made before
/// there, so that ip-netns(8) has its folder.
const BEFORE: &str = "ip link set lo up
sysctl -q net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
ip netns add first && ip netns delete first
";

/// A machine where soute is installed and `python` is an image.
struct Stage(World);

impl Stage {
    #[track_caller]
    fn new() -> Self {
        own_folders();
        // What scenes bind into containers is where a reader would have it.
        for folder in ["/usr/local/bin", "/var/lib"] {
            let layer = |what: &str| format!("/run/{}-{what}", folder.replace('/', "-"));
            let (upper, work) = (layer("upper"), layer("work"));
            for folder in [&upper, &work] {
                fs::create_dir(folder).expect("a folder");
            }
            let options = format!("lowerdir={folder},upperdir={upper},workdir={work}");
            let mount = ["-t", "overlay", "-o", &options, "own", folder];
            output(Command::new("mount").args(mount)).success();
        }
        symlink(place::soute(), "/usr/local/bin/soute").expect("soute in its place");
        for folder in FOLDERS {
            fs::create_dir_all(folder).expect("a place for soute's folders");
        }
        // As `useradd bob` has them.
        set("/etc/passwd", "bob:x:1001:1001::/home/bob:/bin/sh");
        set("/etc/group", "bob:x:1001:");
        set("/etc/subuid", "bob:231072:65536");
        set("/etc/subgid", "bob:231072:65536");
        let stage = Self(World::debian());
        stage.0.soute(["tag", "debian", "python"]).success();
        stage.0.soute(["rmi", "debian"]).success();
        fs::create_dir(stage.work()).expect("a new folder");
        stage
    }

    /// The shell's folder at first.
    fn work(&self) -> std::path::PathBuf {
        self.0.path("work")
    }
}

/// Has `line` in a file in place of all lines that begin with the same name.
#[track_caller]
fn set(file: &str, line: &str) {
    let name = line.split_inclusive(':').next().expect("a name");
    let text = fs::read_to_string(file).unwrap_or_default();
    let others = text.lines().filter(|line| !line.starts_with(name));
    let lines: Vec<&str> = others.chain([line]).collect();
    fs::write(file, lines.join("\n") + "\n").unwrap_or_else(|error| panic!("{file}: {error}"));
}

/// Root's shell, which lasts for a whole scene.
struct Shell {
    bash: Running,
    script: std::path::PathBuf,
    /// How much of its output belongs to earlier commands.
    before: usize,
}

impl Shell {
    #[track_caller]
    fn start(stage: &Stage) -> Self {
        let own = [stage.0.root(), stage.0.run()];
        let binds = own.iter().zip(FOLDERS);
        let binds = binds.map(|(own, folder)| format!("mount --bind {} {folder}\n", own.display()));
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--net", "bash", "--norc"])
            .current_dir(stage.work())
            .env_clear()
            .envs([
                (
                    "PATH",
                    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                ),
                ("HOME", "/root"),
                ("LC_ALL", "C.UTF-8"),
            ])
            .env(
                remains::MARK,
                stage.0.root().parent().expect("the world's folder"),
            );
        let mut bash = Running::start(command.stdin(Stdio::piped()));
        // What runs in the background ends with the shell.
        bash.write("exec 2>&1; trap 'kill $(jobs -p) 2>/dev/null' EXIT\n");
        bash.write(&binds.chain([BEFORE.to_owned()]).collect::<String>());
        Self {
            bash,
            script: stage.0.path("command"),
            before: 0,
        }
    }

    /// What a command prints, without empty lines at the end.
    #[track_caller]
    fn run(&mut self, command: &str) -> Vec<String> {
        fs::write(&self.script, command).expect("a file for the command");
        let script = self.script.display();
        let end = format!("\n{END} {}\n", self.before);
        // The last line has the next command find the exit code of this one in `$?`.
        self.bash.write(&format!(
            ". {script} </dev/null\nstatus=$?; printf '\\n%s %s\\n' {END} {}\n(exit $status)\n",
            self.before
        ));
        let all = self.bash.expect(&end);
        let text = all[self.before..].strip_suffix(&end).expect("its end");
        let of_others = |line: &str| {
            line.starts_with("soute: ") && OF_OTHERS.iter().any(|words| line.contains(words))
        };
        let lines = text.lines().filter(|line| !of_others(line));
        let mut lines: Vec<String> = lines.map(|line| line.trim_end().to_owned()).collect();
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        self.before = all.len();
        if command.trim_end().ends_with('&') {
            std::thread::sleep(UNDER_WAY);
        }
        lines
    }
}

/// Compares the texts of a picture that the scene has made with those of the one that the page shows.
#[track_caller]
fn picture(name: &str, work: &Path, bound: &mut Bindings, renew: bool) {
    let made = fs::read_to_string(work.join(name));
    let made = made.unwrap_or_else(|error| panic!("the scene shows {name}: {error}"));
    let path = page::folder().join("pictures").join(name);
    let shown = fs::read_to_string(&path).unwrap_or_default();
    let (page, real) = (labels(&shown), labels(&made));
    assert!(!real.is_empty(), "{name} says nothing");
    if let Err(at) = bound.compare(&page, &real) {
        assert!(
            renew,
            "{name}: not {:?} but:\n{}",
            page.get(at),
            real.join("\n")
        );
        let told: Vec<String> = made.lines().map(|line| bound.told(line) + "\n").collect();
        fs::write(path, told.concat()).expect("a picture to write to");
    }
}

/// What is written in a picture, in its order. A number by itself is that of an interface, at an end of a pair. How many processes
/// the machine has is another matter each time.
fn labels(svg: &str) -> Vec<String> {
    let parts = svg.split("<text ").skip(1);
    let text = |part: &str| {
        let text = part.split_once('>')?.1.split_once("</text>")?.0;
        let number = text.bytes().all(|byte| byte.is_ascii_digit());
        let counts = text.ends_with(" processes") && text.starts_with(['…', 't']);
        Some(match (number, counts) {
            (true, _) => format!("{text}:"),
            (_, true) => text.replace(|c: char| c.is_ascii_digit(), ""),
            _ => text.to_owned(),
        })
    };
    parts.filter_map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_right_is_kept_and_the_rest_renewed() {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let mut bound = Bindings::default();
        bound.compare(&lines("4613"), &lines("77777")).unwrap();
        let page = lines("a …\nb 1\n…\nc 4613 4614");
        let real = lines("a x\nb 2 77777\nc 77777 88888");
        assert_eq!(
            renewed(&page, &real, &mut bound),
            lines("a …\nb 2 4613\nc 4613 4614")
        );
    }

    #[test]
    fn a_picture_is_read() {
        let svg =
            "<svg><title>no</title><text x=\"1\">2: eth0</text>\n<text y=\"2\">3</text></svg>";
        assert_eq!(labels(svg), ["2: eth0", "3:"]);
    }
}
