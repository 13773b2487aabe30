//! Dead letters on a disk that forgets and fails, and on the one of this host.

use grotto_env::{FileOperation, ForgetfulFiles, SystemFiles};

use super::*;

const FOLDER: &str = "/dead";

fn letter(text: &str) -> DeadLetter {
    DeadLetter {
        time_ms: 7,
        source: "cities.ndjson".to_owned(),
        position: Some(3),
        type_name: Some("City".to_owned()),
        reason: "field City.id: expected a long".to_owned(),
        text: text.to_owned(),
        ..DeadLetter::default()
    }
}

fn small() -> DeadLetterOptions {
    DeadLetterOptions {
        max_bytes: 4000,
        max_file_bytes: 1000,
        max_text_bytes: 60,
    }
}

fn open(files: &ForgetfulFiles) -> Result<DeadLetters> {
    DeadLetters::open(Arc::new(files.clone()), Path::new(FOLDER), small())
}

/// Number and text of all letters, read as another process reads them.
fn all(files: &ForgetfulFiles) -> Vec<(u64, String)> {
    let letters = list_folder(files, Path::new(FOLDER), 0, usize::MAX).unwrap();
    letters.into_iter().map(|l| (l.id, l.text)).collect()
}

fn ids(files: &ForgetfulFiles) -> Vec<u64> {
    all(files).into_iter().map(|(id, _)| id).collect()
}

fn file_names(files: &ForgetfulFiles) -> Vec<String> {
    let names = files.list(Path::new(FOLDER)).unwrap();
    names.into_iter().filter(|name| name != LOCK).collect()
}

#[test]
fn letters_come_back_as_they_were_and_another_process_lists_them_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("dead");
    let open = || DeadLetters::open(Arc::new(SystemFiles), &folder, DeadLetterOptions::default());
    let letters = open().unwrap();
    let odd = DeadLetter {
        position: None,
        type_name: None,
        ..letter("line\nbreak \u{0} \" é {\"id\":1}")
    };
    letters.push(&[letter("a"), odd.clone()]).unwrap();
    letters.push(&[letter("b")]).unwrap();
    letters.push(&[]).unwrap();
    assert_eq!(letters.count(), 3);
    assert_eq!(open().unwrap_err().kind(), ErrorKind::Busy);
    let elsewhere = list_folder(&SystemFiles, &folder, 1, 10).unwrap();
    assert_eq!(elsewhere, letters.list(1, 10).unwrap());
    assert_eq!(elsewhere[0], DeadLetter { id: 2, ..odd });
    assert_eq!((elsewhere[1].id, elsewhere.len()), (3, 2));
    assert_eq!(letters.list(0, 1).unwrap().len(), 1);
    let bytes = letters.bytes();
    drop(letters);
    let letters = open().unwrap();
    assert_eq!((letters.count(), letters.bytes()), (3, bytes));
    letters.push(&[letter("c")]).unwrap();
    assert_eq!(letters.list(3, 10).unwrap()[0].id, 4);
    assert_eq!(
        std::fs::read_dir(&folder).unwrap().count(),
        2,
        "one file and the lock"
    );
}

#[cfg(unix)]
#[test]
fn files_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("dead");
    let letters = DeadLetters::open(Arc::new(SystemFiles), &folder, small()).unwrap();
    letters.push(&[letter("secret")]).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(&path_of(&folder, 1)), 0o600);
}

#[test]
fn files_are_rotated_and_the_oldest_goes_past_the_limit() {
    let files = ForgetfulFiles::new(1);
    let letters = open(&files).unwrap();
    let mut most = 0;
    for number in 0..100 {
        letters.push(&[letter(&number.to_string())]).unwrap();
        most = most.max(letters.bytes());
        assert!(letters.bytes() <= 4000);
    }
    assert!(most > 3000, "{most}");
    let left = all(&files);
    assert!((10..40).contains(&left.len()), "{}", left.len());
    let newest: Vec<(u64, String)> = (1..=100)
        .map(|id: u64| (id, (id - 1).to_string()))
        .collect();
    assert_eq!(left, newest[100 - left.len()..]);
    assert_eq!(letters.count(), left.len() as u64);
    assert_eq!(letters.dropped(), 100 - left.len() as u64);
    assert!(file_names(&files).len() >= 4, "{:?}", file_names(&files));
    // All at once.
    let many: Vec<DeadLetter> = (0..100)
        .map(|number: u32| letter(&number.to_string()))
        .collect();
    letters.push(&many).unwrap();
    assert!(letters.bytes() <= 4000);
    assert_eq!(all(&files).last().unwrap(), &(200, "99".to_owned()));
    for name in file_names(&files) {
        let length = files.length(&Path::new(FOLDER).join(name)).unwrap();
        assert!(length <= 1000, "{length}");
    }
}

#[test]
fn a_long_text_is_cut_between_characters_and_says_so() {
    let files = ForgetfulFiles::new(1);
    let options = DeadLetterOptions {
        max_text_bytes: 60,
        ..DeadLetterOptions::default()
    };
    let folder = Path::new(FOLDER);
    let letters = DeadLetters::open(Arc::new(files.clone()), folder, options).unwrap();
    let long = DeadLetter {
        reason: "r".repeat(10_000),
        source: "s".repeat(10_000),
        ..letter(&format!("x{}", "é".repeat(50)))
    };
    letters.push(&[long, letter(&"e".repeat(60))]).unwrap();
    let read = letters.list(0, 10).unwrap();
    assert_eq!((read[0].text.len(), read[0].is_cut), (59, true));
    assert_eq!((read[0].reason.len(), read[0].source.len()), (4096, 4096));
    assert_eq!((read[1].text.len(), read[1].is_cut), (60, false));
}

#[test]
fn the_longest_line_fits_a_file() {
    let files = ForgetfulFiles::new(1);
    let letters = open(&files).unwrap();
    let control = "\u{1}".repeat(1000);
    let worst = DeadLetter {
        time_ms: u64::MAX,
        source: control.clone(),
        position: Some(u64::MAX),
        type_name: Some(control.clone()),
        reason: control.clone(),
        ..letter(&control)
    };
    for number in 1..=50 {
        letters.push(std::slice::from_ref(&worst)).unwrap();
        assert!(letters.bytes() <= 4000);
        assert_eq!(ids(&files).last(), Some(&number));
    }
    assert!(letters.count() >= 3);
}

#[test]
fn a_line_that_is_torn_or_damaged_costs_itself_only() {
    let files = ForgetfulFiles::new(1);
    let letters = open(&files).unwrap();
    letters
        .push(&[letter("a"), letter("b"), letter("c")])
        .unwrap();
    drop(letters);
    files.restart();
    let path = path_of(Path::new(FOLDER), 1);
    let mut bytes = files.read(&path, 0, usize::MAX).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] = 0xff;
    bytes.extend(b"{\"id\":4,\"time_ms\":7,\"sou");
    files.write(&path, &bytes);
    let letters = open(&files).unwrap();
    letters.push(&[letter("d")]).unwrap();
    let left: Vec<String> = all(&files).into_iter().map(|(_, text)| text).collect();
    assert_eq!(left, ["a", "c", "d"]);
    assert_eq!(
        file_names(&files).len(),
        2,
        "nothing is appended behind a torn line"
    );
    assert_eq!(letters.purge(None).unwrap(), 3);
    assert_eq!((letters.count(), letters.bytes()), (0, 0));
}

#[test]
fn letters_are_taken_out_one_by_one_and_numbers_go_on() {
    let files = ForgetfulFiles::new(1);
    let letters = open(&files).unwrap();
    let many: Vec<DeadLetter> = (1..=20)
        .map(|number: u32| letter(&number.to_string()))
        .collect();
    letters.push(&many).unwrap();
    let before = letters.bytes();
    assert!(file_names(&files).len() > 2);
    assert_eq!(letters.take(&[20, 3, 99]).unwrap(), 2);
    assert_eq!(letters.take(&[20, 3, 99]).unwrap(), 0);
    assert!(letters.bytes() < before);
    let left: Vec<u64> = (1..20).filter(|id| *id != 3).collect();
    assert_eq!((ids(&files), letters.count()), (left, 18));
    letters.push(&[letter("21")]).unwrap();
    assert_eq!(letters.purge(Some(15)).unwrap(), 14);
    assert_eq!(ids(&files), [16, 17, 18, 19, 21]);
    drop(letters);
    files.reboot();
    let letters = open(&files).unwrap();
    assert_eq!(letters.purge(None).unwrap(), 5);
    drop(letters);
    files.reboot();
    let letters = open(&files).unwrap();
    letters.push(&[letter("next")]).unwrap();
    let left = all(&files);
    assert!(left.len() == 1 && left[0].0 > 21, "{left:?}");
}

#[test]
fn a_full_disk_is_said_and_passes() {
    let files = ForgetfulFiles::new(1);
    let letters = open(&files).unwrap();
    letters.push(&[letter("a")]).unwrap();
    files.set_capacity(Some(letters.bytes() + 20));
    for _ in 0..3 {
        let full = letters.push(&[letter("b")]).unwrap_err();
        assert_eq!(full.kind(), ErrorKind::Unavailable);
        assert!(full.message().contains("the disk is full"), "{full}");
    }
    files.set_capacity(None);
    letters.push(&[letter("c")]).unwrap();
    let left: Vec<String> = all(&files).into_iter().map(|(_, text)| text).collect();
    assert_eq!(left, ["a", "c"]);
}

/// Pushes, takes out and purges; gives the texts of which it is known whether they are there.
fn use_all(files: &ForgetfulFiles) -> (Vec<String>, Vec<String>) {
    let (mut there, mut gone) = (Vec::new(), Vec::new());
    let Ok(letters) = open(files) else {
        return (there, gone);
    };
    for round in 0..4 {
        let texts: Vec<String> = (0..3).map(|at| format!("{round}.{at}")).collect();
        let pushed: Vec<DeadLetter> = texts.iter().map(|text| letter(text)).collect();
        if letters.push(&pushed).is_ok() {
            there.extend(texts);
        }
        let Ok(listed) = letters.list(0, usize::MAX) else {
            continue;
        };
        let Some(oldest) = listed.iter().find(|l| there.contains(&l.text)) else {
            continue;
        };
        there.retain(|text| *text != oldest.text);
        if letters.take(&[oldest.id]).is_ok() {
            gone.push(oldest.text.clone());
        }
    }
    (there, gone)
}

#[test]
fn whatever_operation_fails_or_ends_the_process_pushed_letters_stay_and_taken_ones_are_gone() {
    let files = ForgetfulFiles::new(0);
    use_all(&files);
    let operations = files.operations();
    assert!(operations > 40, "{operations}");
    for operation in 1..=operations {
        for seed in 0..16 {
            let files = ForgetfulFiles::new(seed);
            if seed % 2 == 0 {
                files.die_at(operation);
            } else {
                files.fail_at(operation);
            }
            let (there, gone) = use_all(&files);
            if seed % 4 < 2 {
                files.restart();
            } else {
                files.reboot();
            }
            let letters = open(&files).unwrap();
            letters.push(&[letter("last")]).unwrap();
            drop(letters);
            files.reboot();
            let letters = open(&files).unwrap();
            let left = all(&files);
            let count = |text: &str| left.iter().filter(|(_, found)| found == text).count();
            for text in there.iter().map(String::as_str).chain(["last"]) {
                assert_eq!(count(text), 1, "{text} at {operation} of {seed}: {left:?}");
            }
            for text in &gone {
                assert_eq!(count(text), 0, "{text} at {operation} of {seed}: {left:?}");
            }
            let mut ids: Vec<u64> = left.iter().map(|(id, _)| *id).collect();
            ids.dedup();
            assert_eq!(ids.len(), left.len(), "{left:?}");
            assert_eq!(letters.count(), left.len() as u64);
        }
    }
}

#[test]
fn a_file_whose_sync_failed_is_not_written_again() {
    let files = ForgetfulFiles::new(1);
    let letters = open(&files).unwrap();
    letters.push(&[letter("a")]).unwrap();
    files.fail_next(FileOperation::Sync, 0);
    assert_eq!(
        letters.push(&[letter("b")]).unwrap_err().kind(),
        ErrorKind::Unavailable
    );
    letters.push(&[letter("c")]).unwrap();
    assert_eq!(file_names(&files).len(), 2);
    drop(letters);
    files.reboot();
    let left: Vec<String> = all(&files).into_iter().map(|(_, text)| text).collect();
    assert_eq!(left, ["a", "c"]);
}

#[test]
fn closed_letters_are_listed_and_left_to_the_next_process() {
    let files = ForgetfulFiles::new(1);
    let letters = open(&files).unwrap();
    letters.push(&[letter("a")]).unwrap();
    letters.close();
    assert_eq!(letters.list(0, 10).unwrap().len(), 1);
    assert_eq!(
        letters.push(&[letter("b")]).unwrap_err().kind(),
        ErrorKind::Unavailable
    );
    assert_eq!(
        letters.purge(None).unwrap_err().kind(),
        ErrorKind::Unavailable
    );
    let next = open(&files).unwrap();
    next.push(&[letter("c")]).unwrap();
    assert_eq!(ids(&files), [1, 2]);
}

#[test]
fn a_list_made_while_letters_come_and_go_has_whole_letters_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("dead");
    let open = || DeadLetters::open(Arc::new(SystemFiles), &folder, small()).unwrap();
    let letters = open();
    letters.push(&[letter("0")]).unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for number in 1..200_u64 {
                letters.push(&[letter(&number.to_string())]).unwrap();
                if number % 7 == 0 {
                    letters.take(&[number - 3, number]).unwrap();
                }
            }
        });
        let mut lists = 0;
        while !writer.is_finished() || lists == 0 {
            let listed = list_folder(&SystemFiles, &folder, 0, usize::MAX).unwrap();
            let ids: Vec<u64> = listed.iter().map(|letter| letter.id).collect();
            assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
            for found in listed {
                assert_eq!(found.text, (found.id - 1).to_string());
            }
            lists += 1;
        }
    });
    assert_eq!(
        letters.list(0, usize::MAX).unwrap().len() as u64,
        letters.count()
    );
}
