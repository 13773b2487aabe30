//! A damaged root of a state directory is refused or readable.
#![no_main]

libfuzzer_sys::fuzz_target!(|edits: grotto_fuzz::RootEdits| edits.provoke());
