//! A folder whose files are taken in.
//!
//! Owns: which file is next, how far it was read, and moving it away when it was. Never: reads a file that is not
//! complete: a file comes into the folder by a rename, under a name that does not begin with a dot.
//!
//! Files are read one after the other, in the order of their names, and moved to `done` below the folder when all of
//! a file is durable, or to `refused` when it cannot be read. With each piece goes which file it is of and how many
//! lines of it were read, so that one file at most is begun, and reading goes on where it ended.

use super::text::{File, Piece};
use super::{Feed, Origin};
use grotto::engine::env::{AppendFiles as _, FileLock, Locked, SystemFiles};
use grotto::{Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

/// Source that says which file is being read.
const FILE: &str = "folder.file";
/// Source that says how many of its lines were read.
const LINE: &str = "folder.line";
/// What the source is called in messages.
pub(super) const NAME: &str = "folder";
/// Folder below of files that are being taken in: whoever puts files does not touch them there.
const TAKING: &str = ".taking";
/// File in it that a process locks which takes files in.
const LOCK: &str = ".lock";
/// Longest name of a file in bytes, on all file systems in use.
const LONGEST_NAME: usize = 255;

/// How far the file was read that was begun last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Place {
    file: u64,
    line: u64,
}

/// Takes files in until the daemon ends.
pub(super) async fn watch(mut feed: Feed, folder: PathBuf, interval: impl Fn() -> Duration) {
    let (positions, _lock) = loop {
        match begin(&mut feed, &folder).await {
            Ok(begun) => break begun,
            Err(error) => {
                if feed.trouble(NAME, &error).await.is_err() {
                    return;
                }
            }
        }
    };
    let position = |name: &str| positions.get(name).copied().unwrap_or(0);
    let mut place = Place {
        file: position(FILE),
        line: position(LINE),
    };
    loop {
        let waited = match take_all(&mut feed, &folder, &mut place).await {
            Ok(()) => {
                feed.troubles.clear(NAME);
                feed.pause(interval()).await
            }
            Err(error) => feed.trouble(NAME, &error).await,
        };
        if waited.is_err() {
            return;
        }
    }
}

/// How far sources were read, and the lock of the folder.
async fn begin(
    feed: &mut Feed,
    folder: &Path,
) -> Result<(BTreeMap<String, u64>, Box<dyn FileLock>)> {
    let taking = folder.join(TAKING);
    let lock = move || {
        std::fs::create_dir_all(&taking).map_err(|e| Error::io("create", &taking, e))?;
        let path = taking.join(LOCK);
        match SystemFiles.lock(&path) {
            Ok(Locked::Ours(lock)) => Ok(lock),
            Ok(Locked::Theirs(who)) => Err(Error::new(
                ErrorKind::Busy,
                format!("{} is in use by {who}", path.display()),
            )),
            Err(error) => Err(Error::io("lock", &path, error)),
        }
    };
    let lock = blocking(feed, lock).await?;
    Ok((feed.positions().await?, lock))
}

/// Takes in the file that was being taken in, then the others: a name that comes before its name does not make it
/// begin anew. A file that cannot be moved stops none behind it.
async fn take_all(feed: &mut Feed, folder: &Path, place: &mut Place) -> Result<()> {
    let taking = folder.join(TAKING);
    for path in listed(feed, &taking, place.file).await? {
        take_file(feed, folder, &path, place).await?;
    }
    let mut first = Ok(());
    for path in listed(feed, folder, place.file).await? {
        // What comes under the same name from now on is another file.
        let own = taking.join(path.file_name().unwrap_or_default());
        let (from, to) = (path.clone(), own.clone());
        let claimed = move || std::fs::rename(&from, &to).map_err(|e| Error::io("move", &from, e));
        match blocking(feed, claimed).await {
            Ok(()) => take_file(feed, folder, &own, place).await?,
            Err(error) => first = first.and(Err(error)),
        }
    }
    first
}

/// The files of a folder, with the one that was begun first.
async fn listed(feed: &Feed, folder: &Path, begun: u64) -> Result<Vec<PathBuf>> {
    let folder = folder.to_owned();
    let list = move || {
        let mut files = files(&folder)?;
        let is_begun =
            |path: &PathBuf| std::fs::metadata(path).is_ok_and(|is| identity(path, &is) == begun);
        files.sort_by_cached_key(|path| !is_begun(path));
        Ok(files)
    };
    blocking(feed, list).await
}

/// The files of a folder that are complete, in the order of their names.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let refused = |e| Error::io("list", folder, e);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(refused)? {
        let entry = entry.map_err(refused)?;
        let name = entry.file_name();
        let hidden = name.to_string_lossy().starts_with('.');
        if !hidden && entry.file_type().map_err(refused)?.is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

async fn take_file(feed: &mut Feed, folder: &Path, path: &Path, place: &mut Place) -> Result<()> {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let (schema, type_name) = (feed.pipeline.schema().clone(), feed.default_type.clone());
    let (opened, began_at) = (path.to_owned(), *place);
    let open = move || -> Result<(u64, Result<File>)> {
        let found = std::fs::metadata(&opened).map_err(|e| Error::io("look at", &opened, e))?;
        let file = identity(&opened, &found);
        let pieces = File::open(&opened, &schema, type_name.as_deref()).and_then(|mut pieces| {
            if began_at.file == file {
                pieces.pass(began_at.line)?;
            }
            Ok(pieces)
        });
        Ok((file, pieces))
    };
    let (file, pieces) = blocking(feed, open).await?;
    let mut pieces = match pieces {
        Ok(pieces) => pieces,
        Err(error) => return set_aside(feed, folder, path, &error).await,
    };
    if place.file != file {
        *place = Place { file, line: 0 };
    }
    loop {
        let (read, next) = blocking(feed, move || {
            let next = pieces.next();
            Ok((pieces, next))
        })
        .await?;
        pieces = read;
        let piece: Piece = match next {
            Ok(Some(piece)) => piece,
            Ok(None) => break,
            Err(error) => return set_aside(feed, folder, path, &error).await,
        };
        let line = place.line + piece.lines;
        let origin = Origin {
            source: name.clone(),
            positions: vec![(FILE, file), (LINE, line)],
        };
        match feed.submit_until_taken(NAME, piece, origin).await {
            Err(error) if super::is_final(&error) => {
                return set_aside(feed, folder, path, &error).await;
            }
            done => done?,
        }
        place.line = line;
    }
    tracing::info!(file = name, lines = place.line, "file taken in");
    move_to(feed, folder, "done", path).await
}

/// A file that cannot be read stops none behind it; a disk that fails for a while is no reason to refuse it.
async fn set_aside(feed: &Feed, folder: &Path, path: &Path, error: &Error) -> Result<()> {
    if !super::is_final(error) {
        return Err(error.clone());
    }
    tracing::error!(file = %path.display(), %error, "file refused");
    move_to(feed, folder, "refused", path).await
}

/// Moves a file that was being taken in, under a name that none there has.
async fn move_to(feed: &Feed, folder: &Path, below: &str, path: &Path) -> Result<()> {
    let (target, path) = (folder.join(below), path.to_owned());
    let (taking, name) = (folder.join(TAKING), path.file_name().unwrap_or_default());
    let name = name.to_string_lossy().into_owned();
    blocking(feed, move || {
        std::fs::create_dir_all(&target).map_err(|e| Error::io("create", &target, e))?;
        let numbers = (2_u64..).map(|number| format!("{number}-"));
        let prefixes = std::iter::once(String::new()).chain(numbers);
        let mut names = prefixes.map(|prefix| with_prefix(prefix, &name));
        let free = names.find(|name| !target.join(name).exists());
        let free = target.join(free.unwrap_or_default());
        std::fs::rename(&path, free).map_err(|e| Error::io("move", &path, e))?;
        // After a crash it must not be there to be taken in once more.
        for folder in [&target, &taking] {
            let synced = SystemFiles.sync_folder(folder);
            synced.map_err(|e| Error::io("sync", folder, e))?;
        }
        Ok(())
    })
    .await
}

/// A name with something before it, without its beginning where that is too long: its end says what is in the file.
fn with_prefix(prefix: String, name: &str) -> String {
    let most = LONGEST_NAME.saturating_sub(prefix.len());
    let mut from = name.len().saturating_sub(most);
    while !name.is_char_boundary(from) {
        from += 1;
    }
    prefix + name.get(from..).unwrap_or_default()
}

async fn blocking<T: Send + 'static>(
    feed: &Feed,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = feed.env.blocking(work).await;
    done.map_err(|e| Error::internal(format!("reading stopped: {e}")))?
}

/// A number for a file that another file of the same name does not have: of its name, length and time.
fn identity(path: &Path, found: &Metadata) -> u64 {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let modified = found
        .modified()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let modified = modified.map_or(0, |time| time.as_nanos());
    // FNV-1a: a fixed specification, as the number outlives this process. Never 0, which is no file.
    let text = format!("{name}\n{}\n{modified}", found.len());
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, mix).max(1)
}
