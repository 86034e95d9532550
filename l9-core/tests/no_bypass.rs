//! There is no way round the governor: what would be one does not compile.

#[test]
fn no_effect_can_be_had_without_the_governor_s_permit() {
    trybuild::TestCases::new().compile_fail("tests/no_bypass/*.rs");
}
