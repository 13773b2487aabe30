//! The status page, in a browser that shows nothing.

use super::kit::*;
use std::io::Write as _;
use std::process::Command;

/// Names of the browser.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

/// The browser. Where there is none, this is said aloud; in continuous integration it is a failure.
fn browser() -> Option<&'static str> {
    let works = |name: &&str| {
        let tried = Command::new(name).arg("--version").output();
        tried.is_ok_and(|output| output.status.success())
    };
    let found = BROWSERS.into_iter().find(works);
    if found.is_none() {
        let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
        assert!(!ci, "chromium is needed in continuous integration");
        // Not by a macro: those are silenced in tests that pass.
        let mut err = std::io::stderr().lock();
        writeln!(
            err,
            "WARNING: SKIPPED: there is no chromium, the status page is NOT looked at"
        )
        .unwrap();
    }
    found
}

#[test]
fn the_page_loads_nothing_from_elsewhere_and_nothing_may() {
    let bench = published(1..4);
    configure(&bench, "");
    let sidecar = serving(&bench);
    for (path, kind) in [
        ("/", "text/html"),
        ("/status.css", "text/css"),
        ("/status.js", "text/javascript"),
    ] {
        let told = sidecar.get(path);
        assert_eq!(told.status, 200, "{path}");
        assert!(
            header(&told, "content-type").unwrap().starts_with(kind),
            "{path}"
        );
        let policy = header(&told, "content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self';"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe"), "{policy}");
        for elsewhere in [
            "http://", "https://", "//cdn", "<style", " style=", " onclick",
        ] {
            assert!(!told.body.contains(elsewhere), "{path}: {elsewhere}");
        }
    }
}

#[test]
fn a_browser_shows_the_datasets_on_the_page() {
    let Some(browser) = browser() else { return };
    let bench = published(1..4);
    configure(&bench, "  id: shop-7\n");
    let sidecar = serving(&bench);
    let url = format!("http://{}/", sidecar.address);
    let profile = format!("--user-data-dir={}", bench.path("browser").display());
    let mut command = Command::new(browser);
    command.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
    ]);
    command.args([&profile, "--virtual-time-budget=4000", "--dump-dom", &url]);
    let output = command.output().unwrap();
    let page = String::from_utf8_lossy(&output.stdout).into_owned();
    for shown in [
        "data-shown=\"yes\"",
        "shop-7",
        "<td>items</td>",
        "class=\"serving\"",
    ] {
        assert!(
            page.contains(shown),
            "{shown} in {page}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
