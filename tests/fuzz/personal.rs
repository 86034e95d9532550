//! Texts that personal data is looked for in.

use l9::redact::personal::{find, mask, replace};
use proptest::prelude::*;

use crate::change::{JSON, changed, changes};

const TEXT: &str = "Write to ada@example.org or +49 (30) 1234567, (415) 555-2671, 020 7946 0958, pay 4111 1111 1111 1111 \
                    or DE89 3704 0044 0532 0130 00, and say 078-05-1120. Ä 2026-11-28T23:58:50Z 127.0.0.1:8000";

const DATA: [&str; 7] = [
    "ada.byron+notes@example.org",
    "+49 30 1234567",
    "415-555-2671",
    "4111 1111 1111 1111",
    "GB82WEST12345698765432",
    "DE89 3704 0044 0532 0130 00",
    "078-05-1120",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    /// What is found stands in the text, in order and apart, and nothing else is touched.
    #[test]
    fn what_is_found_stands_in_the_text(changes in changes()) {
        let bytes = changed(TEXT.as_bytes(), &changes, &JSON);
        let text = String::from_utf8_lossy(&bytes);
        let mut end = 0;
        for found in find(&text) {
            prop_assert!(end <= found.range.start && found.range.start < found.range.end);
            prop_assert!(!found.kind.normal(&text[found.range.clone()]).is_empty());
            end = found.range.end;
        }
        prop_assert_eq!(&*replace(&text, |_, _, data| data.to_owned()), &*text);
    }

    /// Whatever stands around it, data that stands by itself does not stay.
    #[test]
    fn data_between_spaces_does_not_stay(before in "[ -~é]{0,40}", after in "[ -~é]{0,40}", which in 0..DATA.len()) {
        let text = format!("{before} {} {after}", DATA[which]);
        let clean = mask(&text);
        prop_assert!(!clean.contains(DATA[which]), "{} {}", text, clean);
    }
}
