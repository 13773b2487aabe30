//! A damaged write-ahead log is refused or readable, and goes on.
#![no_main]

libfuzzer_sys::fuzz_target!(|edits: grotto_fuzz::WalEdits| edits.provoke());
