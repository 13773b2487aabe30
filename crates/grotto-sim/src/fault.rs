//! What can go wrong, and how often it did.
//!
//! Owns: the list of faults and their tally. Never: injects one.

use std::collections::BTreeMap;
use std::fmt;

macro_rules! faults {
    ($($name:ident: $text:literal,)*) => {
        /// A kind of fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault {
            $(#[doc = $text] $name,)*
        }

        impl Fault {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// What happened.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

faults! {
    ErrorBefore: "error before the effect",
    ErrorAfter: "error after the effect",
    LostAnswer: "answer lost after the effect",
    LateAnswer: "answer late",
    LateEffect: "put lands after its answer was given up",
    Hang: "request hangs",
    Throttle: "throttled",
    Denied: "permission denied",
    ReadOnly: "read-only",
    StaleRead: "stale read",
    StaleList: "stale listing",
    FlippedAnswer: "answer damaged on the way",
    TornAnswer: "answer truncated on the way",
    MissingAnswer: "object missing for a moment",
    Vanished: "store vanished for a while",
    FailedSync: "store's sync failed after the effect",
    UnsyncedDeath: "writer died before it synced",
    StoreCrash: "host of the store went down",
    LostObject: "object lost that was not synced",
    DamagedBlob: "blob damaged for good",
    MissingBlob: "blob lost for good",
    DamagedEntry: "log entry damaged for good",
    MissingEntry: "log entry lost for good",
    LostEnd: "log restored without its end",
    Recreated: "dataset created anew",
    Paused: "writer paused and resumed",
    CrashedWriter: "writer crashed",
    CrashedReader: "reader crashed",
    CrashedPipeline: "pipeline crashed",
    CrashedHost: "host of a relay ended",
    CutHost: "host of a relay cut off from the store",
    PausedHost: "host of a relay paused and resumed",
    FencedHost: "host of a relay fenced by another",
    HandedOver: "host of a relay handed over",
    SetAside: "submission set aside for a person",
    Collected: "versions collected while others read",
    CrashedCollector: "collector killed",
    Pointed: "pin or channel set",
    RolledOut: "rollout began or went on",
    FailedLog: "operation on a write-ahead log failed",
    DroppedCall: "caller stopped waiting",
    FullDisk: "disk full",
    FailedWrite: "write to disk failed halfway",
    FailedFile: "operation on a file failed",
    TornWrite: "process died in the middle of a write",
    Reboot: "host went down",
    LostHost: "host lost with its disk",
    LostFile: "file lost that was not synced",
    TornFile: "file torn that was not synced",
    DamagedFile: "file damaged that was not synced",
    Rival: "second consumer on a state directory",
    EarlyDeath: "writer to die soon after its entry landed",
    CrashedAttached: "attached process crashed",
    UntoldChange: "change of a state directory not told",
    RemovedDir: "state directory removed while in use",
    AlteredFile: "sealed file altered in place",
    CutOff: "reader cut off while a log is written anew",
    Refiltered: "state directory opened for other types",
    ClockJump: "clock of a writer's host set",
    Pinned: "reader pinned to a version",
    Surge: "version that grows or shrinks a lot",
    Held: "version held back by a reader",
    Accepted: "version accepted by somebody",
    LostAnnouncement: "announcement lost",
    DoubledAnnouncement: "announcement that comes twice",
    LateAnnouncement: "announcement overtaken by later ones",
    ForgedAnnouncement: "announcement forged",
    CutHerald: "connection to the announcements broken",
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How often each fault was injected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally(BTreeMap<Fault, u64>);

impl Tally {
    pub(crate) fn count(&mut self, fault: Fault) {
        *self.0.entry(fault).or_default() += 1;
    }

    /// Adds another tally to this one.
    pub fn add(&mut self, other: &Self) {
        for (fault, times) in &other.0 {
            *self.0.entry(*fault).or_default() += times;
        }
    }

    /// Every kind and how often it was injected.
    pub fn all(&self) -> impl Iterator<Item = (Fault, u64)> + '_ {
        let times = |fault: &Fault| self.0.get(fault).copied().unwrap_or(0);
        Fault::ALL.iter().map(move |fault| (*fault, times(fault)))
    }
}
