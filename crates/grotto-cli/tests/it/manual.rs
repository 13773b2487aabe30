//! `--version`, completions and manual pages.

use crate::kit::Bench;

#[test]
fn the_version_names_commit_and_formats() {
    let bench = Bench::new();
    let text = bench.run("--version").ok();
    let head = format!("grotto {} (commit ", env!("CARGO_PKG_VERSION"));
    assert!(text.starts_with(&head), "{text}");
    assert!(
        text.trim_end().ends_with(", blob format 1, log format 1)"),
        "{text}"
    );
}

#[test]
fn shells_complete_commands_and_options() {
    let bench = Bench::new();
    for (shell, mark) in [
        ("bash", "complete -F _grotto"),
        ("zsh", "#compdef grotto"),
        ("fish", "complete -c grotto"),
    ] {
        let script = bench.run(&format!("completions {shell}")).ok();
        assert!(script.contains(mark), "{shell}");
        for word in ["publish", "start-over", "infer"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    let refused = bench.run("completions csh").refused(2);
    assert!(refused.contains("bash"), "{refused}");
}

#[test]
fn there_is_a_page_for_every_command_without_leftovers() {
    let bench = Bench::new();
    let told = bench.run("man --out pages").ok();
    let pages = bench.files("pages");
    assert_eq!(told, format!("{} pages in pages\n", pages.len()));
    for name in [
        "grotto.1",
        "grotto-publish.1",
        "grotto-schema-infer.1",
        "grotto-config-check.1",
    ] {
        assert!(pages.iter().any(|page| page == name), "{name} in {pages:?}");
    }
    for page in &pages {
        let text = std::fs::read_to_string(bench.path("pages").join(page)).unwrap();
        assert!(
            text.contains(".SH NAME") && text.contains(".SH SYNOPSIS"),
            "{page}"
        );
        for leftover in ["TODO", "FIXME", "clap", "ErrorKind", "[`"] {
            assert!(!text.contains(leftover), "{page}: {leftover}");
        }
    }
}

#[test]
fn the_exit_codes_of_the_notes_are_those_of_the_help() {
    let help = Bench::new().run("--help").ok();
    let notes =
        std::fs::read_to_string(crate::kit::repository("docs/operating/exit-codes.md")).unwrap();
    let codes = help
        .lines()
        .skip_while(|line| *line != "Exit codes:")
        .skip(1);
    let codes: Vec<&str> = codes.take_while(|line| !line.is_empty()).collect();
    assert_eq!(codes.len(), 11, "{help}");
    for line in codes {
        let (code, what) = line.trim().split_once("  ").unwrap();
        let row = format!("| {code} | {what} |");
        assert!(notes.contains(&row), "{row}");
    }
}
