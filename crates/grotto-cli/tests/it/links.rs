//! What the documents point to.

use crate::kit::repository;
use std::path::{Path, PathBuf};

/// Folders with documents.
const FOLDERS: [&str; 6] = [
    "",
    "deploy",
    "docs",
    "docs/design",
    "docs/format",
    "docs/operating",
];

fn documents() -> Vec<PathBuf> {
    let in_folder = |folder: &&str| {
        let entries = std::fs::read_dir(repository(folder)).unwrap();
        entries
            .map(|entry| entry.unwrap().path())
            .collect::<Vec<PathBuf>>()
    };
    let all = FOLDERS.iter().flat_map(in_folder);
    all.filter(|path| path.extension().is_some_and(|end| end == "md"))
        .collect()
}

/// The address of a heading, as it is made by those who show such pages.
fn address(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// What is wrong with a link of a page.
fn broken(page: &Path, link: &str) -> Option<String> {
    let (file, place) = link.split_once('#').unwrap_or((link, ""));
    let target = match file {
        "" => page.to_owned(),
        file => page.parent().unwrap().join(file),
    };
    if !target.exists() {
        return Some(format!("{}: {link} is not there", page.display()));
    }
    let text = || std::fs::read_to_string(&target).unwrap();
    let is_there = place.is_empty()
        || text()
            .lines()
            .any(|line| line.starts_with('#') && address(line) == place);
    (!is_there).then(|| format!("{}: {link} has no such heading", page.display()))
}

#[test]
fn what_the_documents_point_to_exists() {
    let (mut broken_links, mut links) = (Vec::new(), 0);
    for page in documents() {
        let text = std::fs::read_to_string(&page).unwrap();
        let found = text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next());
        for link in found.filter(|link| !link.starts_with("http")) {
            links += 1;
            broken_links.extend(broken(&page, link));
        }
    }
    assert!(broken_links.is_empty(), "{}", broken_links.join("\n"));
    assert!(links > 40, "{links} links");
}

#[test]
fn every_page_about_operating_is_in_its_index() {
    let folder = repository("docs/operating");
    let index = std::fs::read_to_string(folder.join("README.md")).unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let listed = index.contains(&format!("]({name})"));
        assert!(listed || name == "README.md", "{name}");
    }
}

#[test]
fn a_link_to_what_is_not_there_is_found() {
    let page = repository("README.md");
    assert_eq!(
        broken(&page, "deploy/README.md#files-for-a-host-that-runs-it"),
        None
    );
    for link in ["nowhere.md", "deploy/README.md#nowhere", "#nowhere"] {
        assert!(broken(&page, link).unwrap().contains(link));
    }
}
