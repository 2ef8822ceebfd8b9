//! Whole texts that tests compare with: `src/front/expected/`. With `FERRY_BLESS=1` they are written
//! anew, to be read before they are committed.

use std::path::PathBuf;

/// Compares a text with the expected one of that file name.
pub(crate) fn same(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("src/front/expected")
        .join(name);
    if std::env::var_os("FERRY_BLESS").is_some() {
        std::fs::write(&path, text).expect("the folder of expected texts can be written");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        expected == text,
        "{name} differs (FERRY_BLESS=1 takes the new text)\n--- expected\n{expected}\n--- found\n{text}"
    );
}
