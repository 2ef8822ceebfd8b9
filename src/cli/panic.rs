//! What is said when ferry itself fails: where, and the words if they are part of the program.
//!
//! Words that were put together at run time are left out: they may hold anything, also a secret,
//! and nobody knows here which values are secrets.

use std::any::Any;
use std::panic::PanicHookInfo;

/// Takes the place of the standard library's message.
pub(super) fn install() {
    std::panic::set_hook(Box::new(|info| super::say(&told(info))));
}

fn told(info: &PanicHookInfo<'_>) -> String {
    let place = info
        .location()
        .map_or_else(String::new, |at| format!(" at {}:{}", at.file(), at.line()));
    let words = words(info.payload());
    format!("error: ferry itself failed{place}: {words}; this is a defect, please report it")
}

fn words(payload: &(dyn Any + Send)) -> &'static str {
    payload
        .downcast_ref::<&'static str>()
        .copied()
        .unwrap_or("its words are left out, they may hold a secret")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_of_the_program_are_told() {
        assert_eq!(words(&"a constant"), "a constant");
        let made = format!("no value for {}", "hunter22");
        assert_eq!(
            words(&made),
            "its words are left out, they may hold a secret"
        );
    }
}
