//! State directories of a sidecar that are full, read-only, removed, altered, of another build, or of another boot.
//!
//! Each case: what is served is right or nothing is; readers in another process go on, or are refused clearly; and once
//! the reason is gone the sidecar is well again by itself.

use super::child::{Plan, Reader};
use super::kit::{Connection, Host, degraded, reach, status, until, well};
use super::tell;
use crate::daemon::kit::Daemon;
use crate::sidecar::kit::start;
use grotto::engine::format::checksum::of_bytes;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const ITEMS: i64 = 2_000;
/// Versions may be of any size here.
const NO_GUARDS: &str = "  guards: {hold: false}\n";

/// A file system in memory, gone when the test ends.
struct Mount(PathBuf);

impl Mount {
    /// Nothing where mounting is not allowed, which is said aloud.
    fn new(path: PathBuf, size: &str) -> Option<Self> {
        std::fs::create_dir_all(&path).unwrap();
        let options = format!("size={size},mode=0700");
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", &options, "none"])
            .arg(&path);
        let is_mounted = mount.output().is_ok_and(|run| run.status.success());
        if !is_mounted {
            tell("WARNING: SKIPPED: no file system may be mounted here: run as root");
        }
        is_mounted.then_some(Self(path))
    }

    fn remount(&self, options: &str) {
        let mut mount = Command::new("mount");
        mount
            .args(["-o", &format!("remount,{options}")])
            .arg(&self.0);
        let run = mount.output().unwrap();
        assert!(run.status.success(), "{run:?}");
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // A process that is being ended may still be there.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn readers(host: &Host) -> Reader {
    Reader::start(&Plan::attach(host.state_dir(), 8, ITEMS))
}

/// Makes sure that the sidecar serves the newest edition as it is, and readers have it.
#[track_caller]
fn is_right(host: &Host, sidecar: &Daemon, readers: &mut Reader) {
    let version = host.publisher.version();
    well(sidecar, version);
    let offset = version - u64::try_from(host.publisher.edition()).unwrap();
    assert_eq!(
        Connection::new(sidecar).check(&[0, 17, ITEMS - 1], offset),
        version
    );
    readers.reaches(host.publisher.edition());
}

#[test]
fn a_full_state_directory_keeps_the_version_and_takes_the_next_one_once_there_is_room() {
    let mut host = Host::new(ITEMS, NO_GUARDS);
    let Some(mount) = Mount::new(host.state_dir(), "2m") else {
        return;
    };
    let (sidecar, version) = host.serving();
    let mut readers = readers(&host);
    let offset = version - u64::try_from(host.publisher.edition()).unwrap();
    host.publisher.resize(60_000);
    let told = degraded(&sidecar, "the last refresh failed");
    assert_eq!(told["version"], version, "{told}");
    assert!(told["reasons"].to_string().contains("space"), "{told}");
    assert_eq!(
        Connection::new(&sidecar).check(&[0, ITEMS - 1], offset),
        version
    );
    mount.remount("size=64m");
    is_right(&host, &sidecar, &mut readers);
    readers.end();
}

#[test]
fn a_version_that_fits_again_is_served_though_one_before_it_did_not_fit() {
    let mut host = Host::new(ITEMS, NO_GUARDS);
    let Some(_mount) = Mount::new(host.state_dir(), "2m") else {
        return;
    };
    let (sidecar, _) = host.serving();
    let mut readers = readers(&host);
    host.publisher.resize(60_000);
    degraded(&sidecar, "the last refresh failed");
    host.publisher.resize(ITEMS);
    host.publisher.snapshot();
    is_right(&host, &sidecar, &mut readers);
    readers.end();
}

#[test]
fn a_state_directory_that_may_not_be_written_is_served_as_it_is() {
    let mut host = Host::new(ITEMS, NO_GUARDS);
    let Some(mount) = Mount::new(host.state_dir(), "64m") else {
        return;
    };
    let (sidecar, version) = host.serving();
    let mut readers = readers(&host);
    sidecar.kill();
    mount.remount("ro");
    let sidecar = start(&host.bench);
    assert_eq!(super::kit::served_after(&sidecar, 0), version);
    let told = degraded(&sidecar, "as it is on this host");
    assert!(
        told["reasons"]
            .to_string()
            .to_lowercase()
            .contains("read-only"),
        "{told}"
    );
    let offset = version - u64::try_from(host.publisher.edition()).unwrap();
    assert_eq!(
        Connection::new(&sidecar).check(&[0, ITEMS - 1], offset),
        version
    );
    readers.reaches(host.publisher.edition());
    host.publisher.publish();
    mount.remount("rw");
    is_right(&host, &sidecar, &mut readers);
    readers.end();
}

#[test]
fn a_state_directory_that_is_removed_is_made_again_and_readers_follow() {
    let mut host = Host::new(ITEMS, "");
    let (sidecar, _) = host.serving();
    let mut readers = readers(&host);
    let held = readers.hold();
    std::fs::remove_dir_all(host.state_dir()).unwrap();
    readers.reaches(host.publisher.edition());
    host.publisher.publish();
    is_right(&host, &sidecar, &mut readers);
    assert_eq!(readers.let_go(), held);
    readers.end();
    let again = Reader::start(&Plan::attach(host.state_dir(), 1, ITEMS));
    again.end();
}

/// The only file of a folder that ends so, or the last one.
fn last_of(folder: &Path, end: &str) -> PathBuf {
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let named = paths.filter(|path| path.to_str().unwrap().ends_with(end));
    named.max().unwrap()
}

/// Every 97th byte another one, in place.
fn alter(path: &Path) {
    let bytes = std::fs::read(path).unwrap();
    let file = std::fs::File::options().write(true).open(path).unwrap();
    for at in (0..bytes.len()).step_by(97) {
        file.write_all_at(&[!bytes[at]], at as u64).unwrap();
    }
}

/// What somebody did to a directory while nobody kept it, and what those who attach are told.
type Harm = (&'static str, fn(&Path), &'static str);

const HARMS: &[Harm] = &[
    (
        "altered segment",
        |dir| alter(&last_of(&dir.join("segments"), ".seg")),
        "altered",
    ),
    (
        "segment cut short",
        |dir| {
            let path = last_of(&dir.join("segments"), ".seg");
            let file = std::fs::File::options().write(true).open(path).unwrap();
            file.set_len(file.metadata().unwrap().len() / 2).unwrap();
        },
        "bytes, found",
    ),
    (
        "segment gone",
        |dir| std::fs::remove_file(last_of(&dir.join("segments"), ".seg")).unwrap(),
        "seg",
    ),
    (
        "altered root",
        |dir| alter(&last_of(&dir.join("roots"), ".root")),
        "root",
    ),
    (
        "root of another build",
        |dir| {
            let path = last_of(&dir.join("roots"), ".root");
            let mut bytes = std::fs::read(&path).unwrap();
            bytes.truncate(bytes.len() - 8);
            bytes[8..12].copy_from_slice(&99_u32.to_le_bytes());
            bytes.extend_from_slice(&of_bytes(&bytes).to_le_bytes());
            std::fs::write(&path, &bytes).unwrap();
            let name = path.file_stem().unwrap().to_str().unwrap();
            let seq: u64 = name.parse().unwrap();
            let sum = of_bytes(&bytes);
            let text = format!("grotto state 1\nroot {seq}\nchecksum {sum:016x}\n");
            std::fs::write(dir.join("CURRENT"), text).unwrap();
        },
        "format 99",
    ),
    (
        "CURRENT of another build",
        |dir| std::fs::write(dir.join("CURRENT"), "grotto state 2\nsomething else\n").unwrap(),
        "CURRENT",
    ),
];

/// Nothing of it is served, to nobody, while the store is away; once it is back all is well.
#[track_caller]
fn refuses_and_loads_afresh(
    host: &mut Host,
    what: &str,
    told: &str,
    run: impl Fn(&Host) -> Daemon,
) {
    let away = host.bench.path("away");
    std::fs::rename(host.store(), &away).unwrap();
    let refused = Reader::refused(&Plan::attach(host.state_dir(), 1, ITEMS));
    assert!(refused.contains(told), "{what}: {refused}");
    let sidecar = run(host);
    until(|| {
        let reasons = status(&sidecar)["reasons"].to_string();
        reasons.contains("store").then_some(())
    });
    let one = sidecar.get("/v1/datasets/items/types/Item/records/1");
    assert_eq!(one.refused(503).0, "not_loaded", "{what}");
    std::fs::rename(&away, host.store()).unwrap();
    reach(&sidecar, host.publisher.version());
    let mut readers = readers(host);
    is_right(host, &sidecar, &mut readers);
    host.publisher.publish();
    is_right(host, &sidecar, &mut readers);
    readers.end();
    sidecar.kill();
}

#[test]
fn a_state_directory_that_was_altered_or_is_of_another_build_is_refused_and_loaded_afresh() {
    let mut host = Host::new(ITEMS, "");
    host.serving().0.kill();
    for (what, harm, told) in HARMS {
        harm(&host.state_dir());
        refuses_and_loads_afresh(&mut host, what, told, |host| start(&host.bench));
    }
}

#[test]
fn readers_that_are_attached_while_files_are_replaced_read_on_and_follow() {
    let mut host = Host::new(ITEMS, "");
    let (sidecar, _) = host.serving();
    let mut readers = readers(&host);
    for name in ["segments", "roots"] {
        let path = last_of(&host.state_dir().join(name), "");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.iter_mut().step_by(97).for_each(|byte| *byte = !*byte);
        let copy = host.bench.path("copy");
        std::fs::write(&copy, bytes).unwrap();
        std::fs::rename(&copy, &path).unwrap();
        readers.reaches(host.publisher.edition());
        host.publisher.publish();
        is_right(&host, &sidecar, &mut readers);
    }
    readers.end();
}

/// A sidecar that finds another boot than the one that the others find.
fn after_a_boot(host: &Host) -> Daemon {
    host.bench
        .write("boot", "01234567-89ab-cdef-0123-456789abcdef\n");
    let mut command = Command::new("unshare");
    let script = "mount --bind boot /proc/sys/kernel/random/boot_id && exec \"$@\"";
    command.args(["--mount", "sh", "-c", script, "sh"]);
    let sidecar = host.bench.command(&["sidecar", "--config", "s.yaml"]);
    command.arg(sidecar.get_program()).args(sidecar.get_args());
    command.current_dir(host.bench.path("."));
    command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    Daemon::spawn(&mut command)
}

#[test]
fn after_an_unclean_boot_every_byte_is_verified_before_it_is_served() {
    let mut host = Host::new(ITEMS, "");
    let may_mount = Mount::new(host.bench.path("probe"), "1m");
    if may_mount.is_none() {
        return;
    }
    host.serving().0.kill();
    // What was on the disk is all right: it is served without the store.
    let away = host.bench.path("away");
    std::fs::rename(host.store(), &away).unwrap();
    let sidecar = after_a_boot(&host);
    assert_eq!(
        super::kit::served_after(&sidecar, 0),
        host.publisher.version()
    );
    std::fs::rename(&away, host.store()).unwrap();
    let mut attached = readers(&host);
    is_right(&host, &sidecar, &mut attached);
    attached.end();
    sidecar.kill();
    // And now what a file has that was never written to the disk: its length, and zeros.
    let path = last_of(&host.state_dir().join("segments"), ".seg");
    let length = std::fs::metadata(&path).unwrap().len();
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    let zeros = vec![0; usize::try_from(length).unwrap() / 2];
    file.write_all_at(&zeros, length - zeros.len() as u64)
        .unwrap();
    refuses_and_loads_afresh(&mut host, "zeros", "altered", after_a_boot);
}
