//! Who else of this host may read a state directory.
//!
//! Owns: modes and group of what is made there. Never: lets anybody but the owner write.

/// Whether a state directory may have this mode: its owner may do everything there, and others at most read.
#[must_use]
pub fn is_state_mode(mode: u32) -> bool {
    mode & 0o700 == 0o700 && mode & !0o755 == 0
}

/// Mode and group of folders and files that are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Access {
    /// Permission bits of folders; those of the owner alone unless set.
    pub(crate) mode: Option<u32>,
    /// Number of the group that gets them; that of the process unless set.
    pub(crate) group: Option<u32>,
}

impl Access {
    /// A group is of no use that may not read.
    pub(crate) fn completed(self) -> Self {
        let of_group = self.group.map(|_| 0o750);
        Self {
            mode: self.mode.or(of_group),
            ..self
        }
    }

    /// Refuses a mode that keeps the owner out or lets others write.
    pub(crate) fn check(self) -> Result<(), String> {
        match self.mode {
            Some(mode) if !is_state_mode(mode) => Err(format!(
                "mode of a state directory: expected 0700 and what others may read, such as 0750 or 0755, found {mode:04o}"
            )),
            _ => Ok(()),
        }
    }

    pub(super) fn of_folders(self) -> u32 {
        self.mode.unwrap_or(0o700)
    }

    pub(super) fn of_files(self) -> u32 {
        self.of_folders() & 0o644
    }

    /// Whether what the system gives by itself may not do.
    pub(super) fn is_set(self) -> bool {
        self != Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_modes_in_which_the_owner_alone_writes_are_taken() {
        let with = |mode| Access {
            mode: Some(mode),
            group: None,
        };
        for (mode, of_files) in [
            (0o700, 0o600),
            (0o750, 0o640),
            (0o755, 0o644),
            (0o711, 0o600),
        ] {
            assert_eq!(with(mode).check(), Ok(()));
            assert_eq!(with(mode).of_files(), of_files);
        }
        for mode in [0, 0o600, 0o770, 0o702, 0o1700, 0o4755, 0o777] {
            assert!(
                with(mode)
                    .check()
                    .unwrap_err()
                    .contains(&format!("{mode:04o}"))
            );
        }
        assert_eq!(Access::default().of_folders(), 0o700);
        assert!(!Access::default().is_set());
    }
}
