//! Worlds made of processes that are made up here. A namespace's inode is ten times its world's number, and its kind's place.

use std::collections::BTreeMap;
use std::net::IpAddr;

use proptest::prelude::*;

use super::bounds::{Asked, check, choose};
use super::places::Places;
use super::worlds::{Inhabitant, describe, drafts, idle};
use super::{Graph, Whose, World};
use crate::wiring::{Inet, Interface, Tie};
use crate::{
    Basis, Container, Discovery, Error, Kind, Machine, Maker, Namespace, NamespaceId, Relation,
    Thread,
};

const NET: usize = 4;
const PID: usize = 3;
const USER: usize = 5;

fn id(inode: u64) -> NamespaceId {
    NamespaceId { dev: 4, inode }
}

/// All of one world's.
fn all_of(world: u64) -> [u64; 8] {
    std::array::from_fn(|kind| world * 10 + kind as u64)
}

/// Those of one world but for some.
fn but(world: u64, others: &[(usize, u64)]) -> [u64; 8] {
    let mut set = all_of(world);
    for (kind, other) in others {
        set[*kind] = other * 10 + *kind as u64;
    }
    set
}

fn container(name: &str) -> Option<Container> {
    Some(Container {
        engine: Maker::Docker,
        id: format!("{name:f<64}"),
        name: Some(name.to_owned()),
    })
}

#[derive(Default)]
struct Machinery {
    found: Discovery,
    inhabitants: BTreeMap<u32, Inhabitant>,
    links: Vec<(u64, Interface)>,
}

impl Machinery {
    fn new() -> Self {
        let mut new = Self::default();
        new.process(1, 0, &[1], all_of(0), None);
        new
    }

    /// A process; it started when its number says.
    fn process(
        &mut self,
        pid: u32,
        parent: u32,
        pids: &[u32],
        set: [u64; 8],
        container: Option<Container>,
    ) {
        for (kind, inode) in Kind::ALL.into_iter().zip(set) {
            let pids = &mut self.found.entry(kind, id(inode)).processes;
            let place = pids.partition_point(|other| *other < pid);
            pids.insert(place, pid);
        }
        self.inhabitants.insert(
            pid,
            Inhabitant {
                pids: pids.to_vec(),
                parent,
                start_time: pid.into(),
                kernel_thread: false,
                name: format!("p{pid}"),
                command: format!("/bin/p{pid} -x"),
                namespaces: set.map(|inode| Some(id(inode))),
                container,
            },
        );
    }

    fn change(&mut self, inode: u64, change: impl FnOnce(&mut Namespace)) {
        let mut namespace = self.found.get(id(inode)).unwrap().clone();
        change(&mut namespace);
        self.found.insert(namespace);
    }

    fn parent(&mut self, inode: u64, parent: u64) {
        self.change(inode, |one| one.parent = Relation::Is(id(parent)));
    }

    fn link(&mut self, ns: u64, link: Interface) {
        self.links.push((ns, link));
    }

    fn machine(&self) -> Machine {
        Machine::of(all_of(0).map(|inode| Some((id(inode), Basis::Initial))))
    }

    fn graph(&self, asked: &[Asked]) -> Graph {
        let machine = self.machine();
        let drafts = drafts(&self.found, &machine, &self.inhabitants);
        check(asked, &drafts, &self.found).unwrap();
        let places = Places::new(&drafts);
        let (found, inhabitants) = (&self.found, &self.inhabitants);
        let mut worlds = describe(&drafts, found, &machine, inhabitants, &places);
        for world in &mut worlds {
            let net = drafts[world.id].namespace(Kind::Net);
            if net.and_then(|id| places.home(id)) == Some(world.id) {
                let own = self.links.iter().filter(|(ns, _)| net == Some(id(*ns)));
                world.interfaces = own.map(|(_, link)| link.clone()).collect();
            }
        }
        choose(worlds, &drafts, found, &places, inhabitants, asked)
    }
}

fn link(index: u32, tied: Option<(u64, u32)>, master: Option<u32>) -> Interface {
    Interface {
        index,
        name: format!("l{index}"),
        kind: "veth".into(),
        mac: None,
        mtu: 1500,
        up: true,
        state: "up",
        master,
        tag: None,
        tie: tied.map(|(ns, index)| Tie {
            index,
            netnsid: Some(0),
            ns: Some(ns),
            name: None,
            mutual: true,
        }),
        addresses: vec![Inet {
            address: IpAddr::from([10, 0, 0, 1]),
            prefix: 24,
            scope: "global",
        }],
    }
}

/// The machine with a container `web`, `guest` in its network, `alone`, and a process in a network of its own.
fn several() -> Machinery {
    let mut all = Machinery::new();
    all.process(5, 1, &[5], all_of(0), None);
    all.process(10, 5, &[10, 1], but(1, &[(7, 0)]), container("web"));
    all.process(11, 10, &[11, 2], but(1, &[(7, 0)]), container("web"));
    let guest = but(2, &[(NET, 1), (7, 0)]);
    all.process(20, 5, &[20, 1], guest, container("guest"));
    let unshared = but(1, &[(NET, 4), (7, 0)]);
    all.process(21, 11, &[21, 3], unshared, container("web"));
    let alone = but(3, &[(USER, 0), (7, 0)]);
    all.process(30, 6, &[30, 1], alone, container("alone"));
    all.process(40, 1, &[40], but(0, &[(NET, 5)]), None);
    for (world, user) in [(1, 0), (2, 0), (3, 0)] {
        all.parent(world * 10 + 3, user * 10 + 3);
    }
    all.link(4, link(1, None, None));
    all.link(4, link(2, Some((14, 2)), Some(1)));
    all.link(4, link(3, Some((34, 2)), Some(1)));
    all.link(4, link(9, None, None));
    all.link(14, link(2, Some((4, 2)), None));
    all.link(34, link(2, Some((4, 3)), None));
    all
}

fn names(graph: &Graph) -> Vec<&str> {
    let worlds = graph.worlds.iter();
    worlds.map(|world| world.name.as_str()).collect()
}

#[track_caller]
fn named<'g>(graph: &'g Graph, name: &str) -> &'g World {
    let mut worlds = graph.worlds.iter();
    worlds
        .find(|world| world.name == name)
        .unwrap_or_else(|| panic!("no {name} in {:?}", names(graph)))
}

/// Whose a namespace is, and the others in it.
fn whose(world: &World, kind: Kind) -> (Whose, Vec<&str>) {
    let own = world.namespace(kind).unwrap();
    let with = own.with.iter().map(|other| other.name.as_str());
    (own.whose, with.collect())
}

#[test]
fn worlds_are_containers_and_whoever_sees_the_same() {
    let graph = several().graph(&[]);
    assert_eq!(
        names(&graph),
        ["machine", "alone", "guest", "web", "p21 (21)", "p40 (40)"]
    );
    let numbers: Vec<usize> = graph.worlds.iter().map(|world| world.nprocs).collect();
    assert_eq!(numbers, [2, 1, 1, 2, 1, 1]);
    // What a process of a container makes for itself stands in it, and is no second container.
    let unshared = named(&graph, "p21 (21)");
    assert_eq!(unshared.inside, Some(named(&graph, "web").id));
    assert!(unshared.container.is_none() && unshared.command == "/bin/p21 -x");
    for name in ["alone", "guest", "web", "p40 (40)"] {
        assert_eq!(named(&graph, name).inside, Some(0), "{name}");
    }
    assert_eq!(graph.worlds[0].inside, None);
    let web = named(&graph, "web");
    let pids: Vec<&[u32]> = web
        .processes
        .iter()
        .map(|one| one.pids.as_slice())
        .collect();
    assert_eq!(pids, [&[10, 1], &[11, 2]]);
    assert_eq!(web.processes[1].branches, "└─ ");
}

#[test]
fn a_container_is_one_whoever_of_it_tells_its_name() {
    let mut all = several();
    let nameless = container("web").map(|own| Container { name: None, ..own });
    all.process(12, 6, &[12, 9], but(1, &[(7, 0)]), nameless.clone());
    all.inhabitants.get_mut(&10).unwrap().container = nameless;
    let graph = all.graph(&[]);
    assert_eq!(named(&graph, "web").nprocs, 3);
    assert_eq!(graph.worlds.len(), 6);
}

#[test]
fn what_is_shared_names_the_other() {
    let graph = several().graph(&[]);
    let (web, guest) = (named(&graph, "web"), named(&graph, "guest"));
    assert_eq!(whose(web, Kind::Net), (Whose::Shared, vec!["guest"]));
    assert_eq!(whose(guest, Kind::Net), (Whose::Shared, vec!["web"]));
    assert_eq!(
        guest.namespace(Kind::Net).unwrap().with[0].world,
        Some(web.id)
    );
    assert_eq!(whose(guest, Kind::Mnt), (Whose::Own, vec![]));
    assert_eq!(whose(guest, Kind::Time), (Whose::Machine, vec![]));
    // Of what stands in it the container's is the container's, and its own all the same.
    assert_eq!(whose(web, Kind::Mnt), (Whose::Own, vec![]));
    let unshared = named(&graph, "p21 (21)");
    assert_eq!(whose(unshared, Kind::Mnt), (Whose::Outer, vec!["web"]));
    assert_eq!(whose(unshared, Kind::Net), (Whose::Own, vec![]));
    assert_eq!(whose(named(&graph, "alone"), Kind::User).0, Whose::Machine);
    // The interfaces stand at the first that has them.
    assert_eq!((web.interfaces.len(), guest.interfaces.len()), (1, 0));
    let (world, _) = graph.interface(14, 2).unwrap();
    assert_eq!(world.id, web.id);
}

#[test]
fn a_thread_in_anothers_namespace_is_told() {
    let mut all = several();
    all.change(30, |mnt| mnt.threads.push(Thread { pid: 40, tid: 41 }));
    let graph = all.graph(&[]);
    let told = whose(named(&graph, "alone"), Kind::Mnt);
    assert_eq!(told, (Whose::Shared, vec!["a thread of p40 (40)"]));
}

#[test]
fn a_world_stands_in_that_of_its_parent() {
    let mut all = Machinery::new();
    all.process(10, 1, &[10, 1], but(1, &[(7, 0)]), container("outer"));
    // A container in a container: its PID namespace is below the other's.
    all.process(12, 10, &[12, 5], but(1, &[(7, 0)]), container("outer"));
    all.process(13, 12, &[13, 6, 1], but(2, &[(7, 0)]), container("inner"));
    all.parent(13, 3);
    all.parent(23, 13);
    // One that shares its PID namespace is no child of it.
    let joined = but(3, &[(PID, 1), (7, 0)]);
    all.process(15, 1, &[15, 9], joined, container("joined"));
    // By its parent process.
    all.process(20, 1, &[20], but(0, &[(NET, 6)]), None);
    all.process(21, 20, &[21], but(0, &[(NET, 6), (1, 6)]), None);
    // By the parent of its user namespace, its parent process having ended.
    all.process(22, 1, &[22], but(0, &[(USER, 7)]), None);
    all.process(23, 1, &[23], but(0, &[(USER, 8)]), None);
    all.parent(75, 5);
    all.parent(85, 75);
    let graph = all.graph(&[]);
    let of = |name: &str| {
        let outer = named(&graph, name).inside;
        outer.map_or("", |outer| graph.worlds[outer].name.as_str())
    };
    for (name, outer) in [
        ("outer", "machine"),
        ("inner", "outer"),
        ("joined", "machine"),
        ("p20 (20)", "machine"),
        ("p21 (21)", "p20 (20)"),
        ("p22 (22)", "machine"),
        ("p23 (23)", "p22 (22)"),
    ] {
        assert_eq!(of(name), outer, "{name}");
    }
    let inner = named(&graph, "inner");
    assert_eq!(inner.processes[0].pids, [13, 6, 1]);
}

#[test]
fn a_network_that_nobody_is_in_is_a_world() {
    let mut all = Machinery::new();
    let mut kept = Namespace::new(Kind::Net, id(94));
    kept.bound.push(crate::Bound {
        seen_by: None,
        path: "/run/netns/blue".into(),
    });
    all.found.insert(kept);
    all.found.insert(Namespace::new(Kind::Uts, id(91)));
    let graph = all.graph(&[]);
    let blue = named(&graph, "netns blue");
    assert_eq!((blue.nprocs, blue.pid, blue.namespaces.len()), (0, None, 1));
    assert_eq!(blue.command, "(mounted at /run/netns/blue)");
    assert_eq!(idle(&all.found), 1);
    let asked = all.graph(&[Asked::Namespace(id(94))]);
    assert_eq!(names(&asked), ["machine", "netns blue"]);
    assert!(asked.worlds[1].asked);
}

#[test]
fn a_part_is_what_is_asked_for_whom_it_shares_with_and_its_wires() {
    let all = several();
    let guest = all.graph(&[Asked::Container(20)]);
    assert_eq!(names(&guest), ["machine", "guest", "web"]);
    let asked: Vec<bool> = guest.worlds.iter().map(|world| world.asked).collect();
    assert_eq!(asked, [false, true, false]);
    let indices =
        |world: &World| -> Vec<u32> { world.interfaces.iter().map(|link| link.index).collect() };
    // Of the machine the bridge and the end of the pair; and who has made what is asked for.
    assert_eq!(indices(&guest.worlds[0]), [1, 2]);
    let numbers =
        |world: &World| -> Vec<u32> { world.processes.iter().map(|one| one.pids[0]).collect() };
    assert_eq!(numbers(&guest.worlds[0]), [1, 5]);
    assert_eq!(numbers(named(&guest, "web")), [10]);
    assert!(
        guest
            .worlds
            .iter()
            .all(|world| !world.processes.iter().any(|one| one.asked))
    );

    // Those in it belong to it.
    let web = all.graph(&[Asked::Process(11)]);
    assert_eq!(names(&web), ["machine", "guest", "web", "p21 (21)"]);
    let asked = named(&web, "web").processes.iter().filter(|one| one.asked);
    assert_eq!(asked.map(|one| one.pids[0]).collect::<Vec<_>>(), [11]);

    // The machine's: what it is wired to, not all that is in it.
    let machine = all.graph(&[Asked::Process(5)]);
    assert_eq!(names(&machine), ["machine", "alone", "web"]);
    assert_eq!(indices(&machine.worlds[0]), [1, 2, 3, 9]);

    let drafts = drafts(&all.found, &all.machine(), &all.inhabitants);
    let mut found = all.found.clone();
    found.hidden = vec![77];
    let error = |asked| check(&[asked], &drafts, &found).unwrap_err();
    assert!(matches!(error(Asked::Process(77)), Error::Hidden(77)));
    assert!(matches!(
        error(Asked::Process(78)),
        Error::NoSuchProcess(78)
    ));
    assert!(matches!(
        error(Asked::Namespace(id(999))),
        Error::NoSuchNamespace(999)
    ));
}

#[test]
fn what_is_too_much_is_counted() {
    let mut all = Machinery::new();
    for pid in 2..2000 {
        all.process(pid, 1, &[pid], all_of(0), None);
    }
    // More than there is room for, each with another in it and a wire to the machine.
    for world in 1..=100 {
        let pid = 10_000 + world as u32 * 10;
        all.process(pid, 1, &[pid], but(0, &[(NET, world)]), None);
        let inner = but(0, &[(NET, world), (1, world)]);
        all.process(pid + 1, pid, &[pid + 1], inner, None);
        let net = world * 10 + 4;
        all.link(net, link(2, Some((4, pid)), None));
        all.link(4, link(pid, Some((net, 2)), None));
    }
    let last = 11_001;
    let graph = all.graph(&[]);
    assert_eq!((graph.worlds.len(), graph.worlds_left_out), (32, 201 - 32));
    let machine = &graph.worlds[0];
    assert_eq!(machine.worlds_left_out, graph.worlds_left_out);
    assert_eq!((machine.nprocs, machine.processes.len()), (1999, 8));
    assert_eq!(
        (machine.interfaces.len(), machine.interfaces_left_out),
        (24, 76)
    );
    assert!(graph.worlds.iter().all(|world| world.pid != Some(last)));
    let ends: Vec<_> = machine
        .interfaces
        .iter()
        .map(|link| link.tie.as_ref().unwrap().ns)
        .collect();
    for end in ends {
        let has = |world: &World| world.namespace(Kind::Net).map(|own| own.ns) == end;
        assert!(
            graph.worlds.iter().any(has),
            "wires to what is shown come first"
        );
    }
    // What is asked for is there, and those that it stands in.
    let graph = all.graph(&[Asked::Process(last)]);
    assert_eq!(
        names(&graph),
        ["machine", "p11000 (11000)", "p11001 (11001)"]
    );
    assert_eq!(
        (graph.worlds_left_out, graph.worlds[2].inside),
        (0, Some(1))
    );
    // However many are.
    let every: Vec<Asked> = (1..=100)
        .map(|world| Asked::Process(10_001 + world * 10))
        .collect();
    assert_eq!(all.graph(&every).worlds.len(), 201);
}

#[test]
fn of_many_processes_those_are_shown_that_tell_most() {
    let mut all = Machinery::new();
    for pid in 2..100 {
        all.process(pid, 1, &[pid], all_of(0), None);
    }
    all.inhabitants.get_mut(&2).unwrap().kernel_thread = true;
    all.process(200, 77, &[200, 1], but(1, &[(7, 0)]), container("web"));
    all.process(101, 88, &[101], all_of(0), None);
    let shown = |asked: &[Asked]| -> Vec<u32> {
        let graph = all.graph(asked);
        let processes = graph.worlds[0].processes.iter();
        processes.map(|one| one.pids[0]).collect()
    };
    // The first, who made the container, then the lowest; the kernel's own last.
    assert_eq!(shown(&[]), [1, 3, 4, 5, 6, 7, 8, 77]);
    // Below the nearest ancestor that is shown.
    let asked = all.graph(&[Asked::Process(101)]);
    let one = asked.worlds[0]
        .processes
        .iter()
        .find(|one| one.asked)
        .unwrap();
    assert_eq!((one.pids[0], one.depth, one.ppid), (101, 1, 88));
}

proptest! {
    /// Whoever is whose parent, and in whatever: nobody is lost, and no world stands in itself.
    #[test]
    fn any_processes_make_worlds(
        processes in proptest::collection::vec(
            (0u32..24, proptest::array::uniform8(0u64..4), proptest::option::of(0usize..3)),
            0..24,
        ),
        parents in proptest::collection::vec((0u64..4, 0u64..4), 0..6),
        asked in proptest::option::of(0usize..24),
    ) {
        let mut all = Machinery::new();
        for (at, (parent, worlds, owner)) in processes.iter().enumerate() {
            let set = std::array::from_fn(|kind| worlds[kind] * 10 + kind as u64);
            let container = owner.and_then(|owner| container(["a", "b", "c"][owner]));
            all.process(at as u32 + 2, *parent, &[at as u32 + 2, 1], set, container);
        }
        for (one, other) in parents {
            for kind in [3, 5] {
                if all.found.get(id(one * 10 + kind)).is_some() {
                    all.parent(one * 10 + kind, other * 10 + kind);
                }
            }
        }
        let asked: Vec<Asked> = asked
            .filter(|at| *at < processes.len())
            .map(|at| Asked::Process(at as u32 + 2))
            .into_iter()
            .collect();
        let graph = all.graph(&asked);
        for (at, world) in graph.worlds.iter().enumerate() {
            prop_assert_eq!(world.id, at);
            prop_assert_eq!(world.inside.is_none(), at == 0);
            prop_assert!(world.inside.is_none_or(|outer| outer < at));
            prop_assert!(world.processes.len() <= world.nprocs);
            for other in world.namespaces.iter().flat_map(|own| &own.with) {
                prop_assert!(other.world.is_none_or(|other| other < graph.worlds.len()));
            }
        }
        let count: usize = graph.worlds.iter().map(|world| world.nprocs).sum();
        if asked.is_empty() {
            prop_assert_eq!(count, all.inhabitants.len());
        } else {
            prop_assert!(graph.worlds.iter().any(|world| world.asked));
        }
    }
}

/// Each in namespaces of its own, and as many networks that nobody is in; each the child of another; all of one container.
#[test]
fn tens_of_thousands_are_looked_at_in_time() {
    const MANY: u32 = 10_000;
    let mut machinery = Machinery::new();
    for pid in 2..MANY {
        let set = match pid % 3 {
            0 => all_of(pid.into()),
            1 => but(pid.into(), &[(NET, 3), (USER, 3)]),
            _ => but(0, &[(NET, pid.into())]),
        };
        let container = (pid % 7 == 0).then(|| container("web")).flatten();
        machinery.process(pid, pid - 1, &[pid], set, container);
    }
    for number in 0..u64::from(MANY) {
        let inode = (u64::from(MANY) + number) * 10 + NET as u64;
        let kept = machinery.found.entry(Kind::Net, id(inode));
        kept.bound.push(crate::Bound {
            seen_by: None,
            path: format!("/run/netns/{number}").into(),
        });
    }
    let began = std::time::Instant::now();
    let user = id(3 * 10 + USER as u64);
    for asked in [
        Asked::Process(77),
        Asked::Process(1),
        Asked::Namespace(user),
    ] {
        assert!(machinery.graph(&[asked]).worlds.len() <= 64);
    }
    let graph = machinery.graph(&[]);
    assert_eq!(graph.worlds.len(), 32);
    assert_eq!(graph.worlds_left_out + 32, 2 * MANY as usize - 1);
    // To the square it were minutes.
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
}
