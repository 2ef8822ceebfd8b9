//! The text that a person signs: one line for each thing that the signature stands for.

use crate::event::{Signature, Stage};

/// What is signed.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// The run's id.
    pub run: &'a str,
    /// The plan's digest, in hexadecimal.
    pub digest: &'a str,
    /// The signature with its role, its name and the place in the journal; its `ssh` and `key` are no
    /// part of the text.
    pub signature: &'a Signature,
}

/// The text, in the form `ferry-signature-v1`. Names and words of people stand in it as JSON strings,
/// so that no line can be forged by a line break in one of them.
pub fn message(signed: &Signed<'_>) -> String {
    let Signature {
        who,
        role,
        stage,
        comment,
        seq,
        head,
        ..
    } = signed.signature;
    let (run, digest) = (quoted(signed.run), signed.digest);
    let (role, who) = (quoted(role), quoted(who));
    let stage = match stage {
        Stage::Before => "before",
        Stage::After => "after",
    };
    let comment = comment.as_deref().map_or_else(|| "none".into(), quoted);
    format!(
        "ferry-signature-v1\nrun {run}\nplan {digest}\nseq {seq}\nhead {head}\nrole {role}\nwho {who}\n\
         stage {stage}\ncomment {comment}\n"
    )
}

pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_thing_has_a_line_and_no_text_makes_one() {
        let mut signature = Signature {
            who: "ana".into(),
            role: "lead".into(),
            stage: Stage::After,
            comment: None,
            seq: 42,
            head: "ab".into(),
            ssh: Some("not signed".into()),
            key: None,
        };
        let text = |signature: &Signature| {
            message(&Signed {
                run: "r1",
                digest: "d1",
                signature,
            })
        };
        assert_eq!(
            text(&signature),
            "ferry-signature-v1\nrun \"r1\"\nplan d1\nseq 42\nhead ab\nrole \"lead\"\nwho \"ana\"\n\
             stage after\ncomment none\n"
        );
        signature.comment = Some("fine\nrole \"boss\"".into());
        signature.stage = Stage::Before;
        assert!(text(&signature).ends_with("stage before\ncomment \"fine\\nrole \\\"boss\\\"\"\n"));
    }
}
