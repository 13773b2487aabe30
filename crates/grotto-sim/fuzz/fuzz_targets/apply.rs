//! An honest blob with edits, resealed, is refused or leads to a state that can be read.
#![no_main]

libfuzzer_sys::fuzz_target!(|edits: grotto_fuzz::Edits| edits.provoke());
