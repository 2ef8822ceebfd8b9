//! `ferry sign`: a person's signature under the head of a run's journal, by a key or by login alone.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::error::CommandError;
use super::exit::Exit;
use super::orders::{self, Found};
use super::state;
use crate::engine::mail::Letter;
use crate::event::{Order, Person, Signature, Stage};
use crate::sign::keygen::{self, KeygenError};
use crate::sign::{Armored, Bad, Signed, Signers, check, message};
use crate::store::{Store, Verified};
use crate::view::RunView;

/// The longest comment, in bytes.
const LONGEST: usize = 4 << 10;

/// Sign a run for a role: that it may begin, or that it is as it should be
#[derive(clap::Args)]
#[command(
    after_help = "Without --key it is signed by login alone, and everything that shows it says so.\n\nExample:\n  ferry sign RUN --as lead --key ~/.ssh/id_ed25519 --comment 'all criteria met'"
)]
pub(super) struct Args {
    /// The run, or a beginning of its id
    #[arg(value_name = "RUN")]
    run: String,
    /// The role that is signed for
    #[arg(long = "as", value_name = "ROLE")]
    role: String,
    /// Who signs; your login when left out, or with a key who has the role
    #[arg(long, value_name = "NAME", value_parser = orders::words)]
    who: Option<String>,
    /// An SSH key: a private one, or a public one whose private part is in the agent
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// For what; before as long as the run has not ended, after when it has
    #[arg(long, value_name = "STAGE")]
    stage: Option<When>,
    /// In your words
    #[arg(long, value_name = "TEXT", value_parser = orders::words)]
    comment: Option<String>,
}

/// For what, as it is typed.
#[derive(Clone, Copy, clap::ValueEnum)]
enum When {
    /// That it may begin
    Before,
    /// That it is as it should be
    After,
}

pub(super) fn sign(args: &Args, state_dir: &Path) -> Result<Exit, CommandError> {
    if args
        .comment
        .as_ref()
        .is_some_and(|text| text.len() > LONGEST)
    {
        let message = format!("a comment has at most {} KiB", LONGEST >> 10);
        return Err(CommandError::new(Exit::Usage, message));
    }
    super::runtime()?.block_on(async {
        let found = orders::find(state_dir, Some(&args.run)).await?;
        let proven = found.store.verify(&found.row.id).await?;
        let view = found.view();
        let signature = signature(args, &view, proven)?;
        let how = match &signature.key {
            Some(key) => format!("by the key {key}"),
            None => "by login alone".into(),
        };
        let (seq, who) = (signature.seq, signature.who.clone());
        let exit = give(&found, signature).await?;
        super::say(&format!(
            "`{who}` signed for the role `{}` {how}, under event {seq}",
            args.role
        ));
        Ok(exit)
    })
}

async fn give(found: &Found, signature: Signature) -> Result<Exit, CommandError> {
    let signature = Box::new(signature);
    let letter = Letter {
        order: Order::Sign { signature },
        reason: None,
    };
    orders::hand_over(found, letter).await
}

/// The signature, checked by all that the journal says of who may sign.
fn signature(args: &Args, view: &RunView, proven: Verified) -> Result<Signature, CommandError> {
    let person = role(view, &args.role)?;
    let mut signature = Signature {
        who: who(args, person),
        role: person.role.clone(),
        stage: stage(args, view)?,
        comment: args.comment.clone(),
        seq: proven.events,
        head: proven.head,
        ssh: None,
        key: None,
    };
    let signers = Signers::parse(&view.header.signers, &TimeZone::UTC).map_err(|error| {
        let message = format!("the signers in the journal cannot be read: {error}");
        CommandError::new(Exit::Corrupt, message)
    })?;
    match &args.key {
        Some(key) => with_key(&mut signature, view, key, &signers)?,
        None => needs_no_key(&signature, &signers)?,
    }
    is_theirs(&signature, person, &signers)?;
    Ok(signature)
}

/// The role of that name.
fn role<'v>(view: &'v RunView, name: &str) -> Result<&'v Person, CommandError> {
    let people = &view.header.people;
    let found = people.iter().find(|person| person.role == name);
    found.ok_or_else(|| {
        let error = CommandError::new(
            Exit::Usage,
            format!("the runbook of `{}` has no role `{name}`", view.id),
        );
        let names: Vec<_> = people.iter().map(|one| format!("`{}`", one.role)).collect();
        error.hint(match names.is_empty() {
            true => "roles are declared in the runbook, in `people`".to_owned(),
            false => format!("there are {}", names.join(", ")),
        })
    })
}

/// A key proves who it is: without a name it is whoever has the role.
fn who(args: &Args, person: &Person) -> String {
    let bound = person.who.as_ref().filter(|_| args.key.is_some());
    let said = args.who.as_ref().or(bound);
    said.cloned().unwrap_or_else(|| state::me().who)
}

fn stage(args: &Args, view: &RunView) -> Result<Stage, CommandError> {
    let refused = |why: &str| {
        let status = view.status.words();
        CommandError::new(
            Exit::Usage,
            format!("the run `{}` is {status}: {why}", view.id),
        )
    };
    // a later word that it may begin would only look as if somebody had let it
    if args.stage.is_none_or(|stage| matches!(stage, When::Before))
        && !view.is_closed()
        && view.changed_seq.is_some()
    {
        let why =
            "a step has begun to change something, and it is too late to sign that it may begin";
        return Err(
            refused(why).hint("when it is over it can be signed for after: `--stage after`")
        );
    }
    match (args.stage, view.is_closed()) {
        (None | Some(When::Before), false) => Ok(Stage::Before),
        (None | Some(When::After), true) => Ok(Stage::After),
        (Some(When::Before), true) => Err(refused("it is too late to sign that it may begin")),
        (Some(When::After), false) => Err(refused("it has not ended; then it can be signed")),
    }
}

fn signed<'a>(view: &'a RunView, signature: &'a Signature) -> Signed<'a> {
    Signed {
        run: &view.id,
        digest: &view.header.digest,
        signature,
    }
}

/// Why there is no signature, and the way out.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the last that anybody does with it"
)]
pub(super) fn cannot_sign(error: KeygenError) -> CommandError {
    let exit = match error {
        KeygenError::Missing => Exit::System,
        KeygenError::NoKey(_) => Exit::Missing,
        KeygenError::Io(_) | KeygenError::Refused(_) => Exit::Refused,
    };
    let made = CommandError::new(exit, error.to_string());
    match error {
        KeygenError::Missing => made.hint("install the client of OpenSSH (`openssh-client`)"),
        KeygenError::Refused(_) => {
            made.hint("`ssh-add -l` lists the keys of the agent, if the key is to be there")
        }
        _ => made,
    }
}

/// Makes the SSH signature, and holds it against who may sign.
fn with_key(
    signature: &mut Signature,
    view: &RunView,
    key: &Path,
    signers: &Signers,
) -> Result<(), CommandError> {
    let text = message(&signed(view, signature));
    let armor = keygen::sign(&text, key).map_err(cannot_sign)?;
    let read = Armored::read(&armor).and_then(|read| read.fits(&text).map(|()| read));
    let read = read.map_err(|bad| refused(&bad))?;
    signature.key = Some(read.fingerprint());
    signature.ssh = Some(armor);
    if signers.is_empty() {
        return Ok(());
    }
    let checked = check(&signed(view, signature), signers, Timestamp::now());
    checked.map(|_| ()).map_err(|bad| refused(&bad))
}

fn refused(bad: &Bad) -> CommandError {
    CommandError::new(Exit::NotPermitted, format!("not signed: {bad}"))
        .hint("the keys that may sign are those that the runbook named when the run was planned")
}

/// Where a key is known for a name, the login alone is not enough: anybody could say that name.
fn needs_no_key(signature: &Signature, signers: &Signers) -> Result<(), CommandError> {
    let (who, role) = (&signature.who, &signature.role);
    let name = [who, role].into_iter().find(|name| signers.know(name));
    let Some(name) = name else {
        return Ok(());
    };
    let message = format!("not signed: the runbook names a key for `{name}`, and none was given");
    Err(CommandError::new(Exit::NotPermitted, message).hint("give it: `--key FILE`"))
}

/// A role that somebody has is signed for by them, or by a key that is named for the role itself.
fn is_theirs(
    signature: &Signature,
    person: &Person,
    signers: &Signers,
) -> Result<(), CommandError> {
    let (who, role) = (&signature.who, &signature.role);
    let Some(bound) = person.who.as_ref().filter(|bound| *bound != who) else {
        return Ok(());
    };
    let armor = signature.ssh.as_deref();
    let deputy = armor.is_some_and(|armor| {
        let key = Armored::read(armor);
        let now = Timestamp::now();
        key.is_ok_and(|read| {
            let allowed = signers.allow(read.key(), role, crate::sign::NAMESPACE, now);
            allowed.is_ok()
        })
    });
    if deputy {
        return Ok(());
    }
    let message = format!("not signed: the role `{role}` is that of `{bound}`, and `{who}` signs");
    Err(CommandError::new(Exit::NotPermitted, message).hint(format!(
        "`--who {bound}` if that is you; a key that is named for `{role}` lets somebody else sign"
    )))
}
