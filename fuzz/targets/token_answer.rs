#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| meeting_closer::fuzzing::token_answer(data));
