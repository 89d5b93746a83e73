use soute_lens::{Container, Maker};
use unicode_width::UnicodeWidthStr as _;

use super::draw::{BOLD, DIM, PLAIN, REVERSE};
use super::*;

/// Namespaces with these inodes, of the kinds in turn.
fn list(inodes: &[u64]) -> List {
    let row = |inode: &u64| Row {
        ns: *inode,
        dev: 4,
        kind: match inode % 2 {
            0 => Kind::Net,
            _ => Kind::Mnt,
        },
        path: None,
        nprocs: 1,
        pid: Some(7),
        container: None,
        ppid: None,
        command: "\x1b[2J evil\n".to_owned(),
        uid: None,
        user: None,
        netnsid: None,
        nsfs: Vec::new(),
        pns: None,
        ons: None,
        owner_uid: None,
        machine: None,
        threads: Vec::new(),
        for_children_of: Vec::new(),
        bound: Vec::new(),
        descriptors: Vec::new(),
        sockets: Vec::new(),
    };
    List {
        namespaces: inodes.iter().map(row).collect(),
        notes: Vec::new(),
    }
}

/// What is to be seen, without its style.
fn lines(page: &mut Page, rows: usize, columns: usize) -> Vec<String> {
    let mut text = page.draw(rows, columns, "12:00:00");
    for sequence in [
        REVERSE, BOLD, DIM, PLAIN, "\x1b[K", "\x1b[H", "\x1b[?7l", "\x1b[?7h",
    ] {
        text = text.replace(sequence, "");
    }
    text.split("\r\n").map(str::to_owned).collect()
}

/// The lines of the list: mark and inode.
fn marks(page: &mut Page) -> Vec<String> {
    let lines = lines(page, 24, 80).into_iter().skip(3).take(20);
    let marks = lines.filter(|line| !line.is_empty()).map(|line| {
        let mark = line.chars().next().unwrap_or_default();
        let inode = line.split_whitespace().find(|word| word.len() == 3);
        format!("{mark}{}", inode.unwrap_or_default())
    });
    marks.collect()
}

fn page(inodes: &[u64]) -> (Page, Instant) {
    let now = Instant::now();
    let mut page = Page::new(Duration::from_secs(1));
    page.take(list(inodes), now);
    (page, now)
}

#[test]
fn what_comes_and_goes_is_marked_for_a_while() {
    let (mut page, start) = page(&[100, 102]);
    assert_eq!(marks(&mut page), [" 100", " 102"]);
    let at = |seconds| start + Duration::from_secs(seconds);
    page.take(list(&[101, 102]), at(1));
    assert_eq!(marks(&mut page), ["-100", "+101", " 102"]);
    page.take(list(&[101, 102]), at(5));
    assert_eq!(marks(&mut page), ["-100", "+101", " 102"]);
    // It comes back before it is forgotten.
    page.take(list(&[100, 101, 102]), at(5));
    assert_eq!(marks(&mut page), ["-100", "+100", "+101", " 102"]);
    page.take(list(&[100, 101, 102]), at(20));
    assert_eq!(marks(&mut page), [" 100", " 101", " 102"]);
}

#[test]
fn nothing_of_a_name_reaches_the_terminal() {
    let (mut page, _) = page(&[100]);
    let text = page.draw(24, 200, "12:00:00");
    assert!(
        text.contains("\\x1b[2J evil\\n") && !text.contains("\x1b[2J"),
        "{text:?}"
    );
}

#[test]
fn the_chosen_one_stays_on_the_page() {
    let inodes: Vec<u64> = (100..200).collect();
    let (mut page, now) = page(&inodes);
    for (key, first, chosen) in [
        (Key::Up, 100, 100),
        (Key::Down, 100, 101),
        (Key::PageDown, 102, 121),
        (Key::End, 180, 199),
        (Key::PageUp, 179, 179),
        (Key::Home, 100, 100),
    ] {
        assert_eq!(page.press(key, 24), Wish::Draw);
        assert_eq!(
            marks(&mut page).first(),
            Some(&format!(" {first}")),
            "{key:?}"
        );
        assert_eq!(page.chosen, Some((4, chosen)), "{key:?}");
    }
    // It has gone: the first is chosen.
    page.press(Key::End, 24);
    page.take(list(&[102, 104]), now + Duration::from_secs(9));
    page.take(list(&[102, 104]), now + Duration::from_secs(99));
    assert_eq!(page.press(Key::Enter, 24), Wish::Look);
    assert_eq!(page.looked_at(), Some(102));
}

#[test]
fn keys_do_what_the_help_says() {
    let (mut page, _) = page(&[100, 101]);
    page.press(Key::Character('t'), 24);
    let kind = page.kind;
    assert_eq!(kind, Some(Kind::ALL[0]));
    page.press(Key::Character('T'), 24);
    assert_eq!(page.kind, None);
    page.press(Key::Character('+'), 24);
    assert_eq!(page.interval, Duration::from_millis(500));
    for _ in 0..20 {
        page.press(Key::Character('-'), 24);
    }
    assert_eq!(page.interval, Duration::from_secs(60));
    page.press(Key::Character('p'), 24);
    assert!(page.paused && page.draw(24, 80, "").contains("paused"));
    page.press(Key::Character('?'), 24);
    assert!(page.draw(24, 80, "").contains("choose a namespace"));
    // Back, and from the list: Escape stays, q leaves.
    for back in [Key::Escape, Key::Character('q'), Key::Enter] {
        page.view = View::Help;
        assert_eq!(page.press(back, 24), Wish::Draw);
        assert_eq!(page.view, View::List, "{back:?}");
    }
    assert_eq!(page.press(Key::Escape, 24), Wish::Draw);
    assert_eq!(page.press(Key::Character('q'), 24), Wish::Leave);
}

#[test]
fn it_fits_whatever_the_terminal_is() {
    let inodes: Vec<u64> = (100..200).collect();
    let (mut page, _) = page(&inodes);
    for (rows, columns) in [(1, 1), (2, 3), (4, 10), (5, 200), (60, 20)] {
        for view in [View::List, View::One(vec!["word ".repeat(90)]), View::Help] {
            page.view = view;
            let lines = lines(&mut page, rows, columns);
            assert_eq!(lines.len(), rows, "{rows} {columns}");
            assert!(lines.iter().all(|line| line.width() <= columns));
            // The foot goes on to the edge.
            assert_eq!(lines.last().map(|line| line.width()), Some(columns));
        }
    }
}

#[test]
fn what_is_written_is_not_cleared_again() {
    let (mut page, _) = page(&[100]);
    let text = page.draw(10, 40, "12:00:00");
    let clear = "\x1b[K";
    for line in text.split("\r\n") {
        let (before, written) = line.split_once(clear).unwrap();
        assert!(!before.contains(char::is_alphanumeric) || before == "\x1b[?7l\x1b[H");
        assert!(!written.contains(clear), "{text:?}");
    }
    assert_eq!(text.matches(clear).count(), 10);
    // Neither is a line that is too long for a terminal of another mind on how wide a letter is.
    assert!(text.starts_with("\x1b[?7l") && text.ends_with("\x1b[?7h"));
}

#[test]
fn a_long_name_leaves_room_for_the_command() {
    let now = Instant::now();
    let mut page = Page::new(Duration::from_secs(1));
    let mut list = list(&[4_026_532_300]);
    list.namespaces[0].container = Some(Container {
        engine: Maker::Podman,
        id: "0123456789abcdef".repeat(4),
        name: Some("0123456789abcdef".repeat(4)),
    });
    list.namespaces[0].user = Some("4294967295".to_owned());
    page.take(list, now);
    let lines = lines(&mut page, 24, 80);
    assert!(
        lines[3].contains("podman 0123456789ab") && lines[3].contains(" \\x1b[2J evil"),
        "{lines:?}"
    );
}

#[test]
fn the_help_is_seen_whole() {
    let (mut page, _) = page(&[100]);
    page.notes = vec!["a note".to_owned()];
    page.press(Key::Character('?'), 24);
    assert!(lines(&mut page, 24, 80).join("").contains("a note"));
    assert!(HELP.iter().all(|line| line.width() <= 78));
    // On a page of few lines, line by line.
    assert!(!lines(&mut page, 8, 80).join("").contains("a note"));
    page.press(Key::End, 8);
    assert!(lines(&mut page, 8, 80).join("").contains("a note"));
}

#[test]
fn what_is_seen_too_late_is_not_shown() {
    let (mut page, _) = page(&[100, 102]);
    page.press(Key::Enter, 24);
    page.show(102, vec!["the other".to_owned()]);
    assert_eq!(page.view, View::One(vec![LOOKING.to_owned()]));
    page.show(100, vec!["the one".to_owned()]);
    assert_eq!(page.view, View::One(vec!["the one".to_owned()]));
    page.press(Key::Escape, 24);
    page.show(100, vec!["the one".to_owned()]);
    assert_eq!(page.view, View::List);
}

#[test]
fn many_are_taken_as_fast_as_few_each() {
    let time = |count: u64| {
        let (mut page, start) = page(&(100..100 + count).collect::<Vec<_>>());
        let next = list(&(100 + count..100 + 2 * count).collect::<Vec<_>>());
        let began = Instant::now();
        page.take(next.clone(), start + Duration::from_secs(1));
        page.take(next, start + Duration::from_secs(2));
        began.elapsed().max(Duration::from_millis(1))
    };
    // A hundred times as long, and not ten thousand times.
    let (few, many) = (time(500), time(50_000));
    assert!(many < few * 1500, "{few:?} {many:?}");
}
