//! Any bytes, with a right footer, are a blob or refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| {
    grotto_fuzz::read_blob(body.to_vec());
    grotto_fuzz::read_blob(grotto_fuzz::with_footer(body));
});
