//! What does not compile, and what the compiler says then: each file of `tests/ui` with its message.
//!
//! `TRYBUILD=overwrite cargo test -p grotto refused` writes the messages anew.

#[test]
fn misuse_is_refused_by_the_compiler_with_these_messages() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
