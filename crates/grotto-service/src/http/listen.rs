//! Places to listen at.
//!
//! Owns: taking a port or a path of the file system, and who may use the latter. Never: accepts a connection.

use grotto::{Error, ErrorKind, Result};
use std::io;
use std::net::IpAddr;
use tokio::net::TcpListener;

/// Listens on a port.
///
/// # Errors
/// `Busy` when it is taken, `Invalid` when the address is not one of this host.
pub(crate) async fn tcp(address: IpAddr, port: u16) -> Result<TcpListener> {
    let refused = |error| refused(&format!("{address} port {port}"), &error);
    TcpListener::bind((address, port)).await.map_err(refused)
}

fn refused(place: &str, error: &io::Error) -> Error {
    let message = format!("cannot listen on {place}: {error}");
    match error.kind() {
        io::ErrorKind::AddrInUse => Error::new(ErrorKind::Busy, message),
        _ => Error::invalid(message),
    }
}

#[cfg(unix)]
pub(crate) use socket::{Socket, unix};

#[cfg(unix)]
mod socket {
    use super::refused;
    use grotto::Result;
    use std::io;
    use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
    use std::os::unix::net::UnixStream;
    use std::path::{Path, PathBuf};
    use tokio::net::UnixListener;

    /// The path of a socket, which goes with its listener.
    #[derive(Debug)]
    pub(crate) struct Socket {
        path: PathBuf,
        /// Device and number of the file: another process may have taken the path over.
        file: (u64, u64),
    }

    impl Drop for Socket {
        fn drop(&mut self) {
            let is_ours = |found: std::fs::Metadata| (found.dev(), found.ino()) == self.file;
            if std::fs::symlink_metadata(&self.path).is_ok_and(is_ours)
                && let Err(error) = std::fs::remove_file(&self.path)
            {
                tracing::warn!(path = %self.path.display(), %error, "the socket stays behind");
            }
        }
    }

    /// Listens on a path. What a process that ended left there is replaced. Nobody can connect before the mode and the
    /// group are set: the socket takes its name last.
    ///
    /// # Errors
    /// `Busy` when a process listens there, `Invalid` when something else is there or the path cannot be taken.
    pub(crate) fn unix(
        path: &Path,
        mode: u32,
        group: Option<u32>,
    ) -> Result<(UnixListener, Socket)> {
        let shown = path.display().to_string();
        clear(path).map_err(|error| refused(&shown, &error))?;
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}", std::process::id()));
        let early = path.with_file_name(name);
        let taken = take(&early, path, mode, group);
        if taken.is_err() {
            // It may not have come into being.
            let _ = std::fs::remove_file(&early);
        }
        taken.map_err(|error| refused(&shown, &error))
    }

    fn take(
        early: &Path,
        path: &Path,
        mode: u32,
        group: Option<u32>,
    ) -> io::Result<(UnixListener, Socket)> {
        let listener = UnixListener::bind(early)?;
        // Not where there is nothing to change: a daemon that may not change owners may listen all the same.
        if group.is_some() {
            std::os::unix::fs::chown(early, None, group)?;
        }
        std::fs::set_permissions(early, std::fs::Permissions::from_mode(mode))?;
        let found = std::fs::symlink_metadata(early)?;
        std::fs::rename(early, path)?;
        let socket = Socket {
            path: path.to_owned(),
            file: (found.dev(), found.ino()),
        };
        Ok((listener, socket))
    }

    /// Makes sure that nobody listens on a path and that nothing but a socket is there.
    fn clear(path: &Path) -> io::Result<()> {
        let found = match std::fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            found => found?,
        };
        if !found.file_type().is_socket() {
            return Err(io::Error::other("there is a file that is no socket"));
        }
        match UnixStream::connect(path) {
            Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
            // Nobody listens any more.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
            Err(error) => Err(error),
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use grotto::ErrorKind;

        #[tokio::test]
        async fn a_socket_is_for_whom_its_mode_says_and_goes_with_its_listener() {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("s");
            let (listener, socket) = unix(&path, 0o660, None).unwrap();
            let mode = std::fs::metadata(&path).unwrap().mode();
            assert_eq!(mode & 0o777, 0o660);
            let refused = unix(&path, 0o600, None).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Busy, "{refused}");
            drop(listener);
            // What is left behind by a process that was killed is replaced.
            let (_again, second) = unix(&path, 0o600, None).unwrap();
            drop(socket);
            assert!(path.exists(), "the path is another listener's now");
            drop(second);
            let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
            assert!(left.is_empty(), "{left:?}");
        }

        #[tokio::test]
        async fn nothing_but_a_socket_is_replaced() {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("s");
            std::fs::write(&path, "precious").unwrap();
            let refused = unix(&path, 0o600, None).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Invalid);
            assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
        }
    }
}
