//! The report as one HTML page: no script, nothing from the network, fit for screen and paper.
//!
//! Main function: [`html`]. Sections stand in the order in which a reader needs them: what was decided
//! against the rules first, the evidence behind it, every command last. Must not: let a text of the run
//! become markup ([`page::Page`] sees to that), or grow with the output of the steps.

mod appendix;
mod back;
mod chart;
mod evidence;
mod head;
mod page;
mod people;
mod sign_off;
mod snapshots;
mod steps;
#[cfg(test)]
mod tests;
mod thin;
mod timeline;
mod watched;

use self::page::Page;
use super::Proof;
use crate::view::RunView;

/// Steps up to which each has its details; of a longer run those that are over and well are lines of
/// a table.
const DETAILED: usize = 300;

/// The most lines of a table that grows with the run.
const LINES: usize = 25_000;

/// The whole page. `seal` is put at its end as inert text.
pub fn html(view: &RunView, proof: &Proof, seal: Option<&str>) -> String {
    let mut page = Page::new(64 << 10);
    page.raw(concat!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n",
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; ",
        "style-src 'unsafe-inline'; img-src data:\">\n",
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
        "<meta name=\"color-scheme\" content=\"light dark\">\n<style>\n",
        include_str!("page.css"),
        "</style>\n<title>",
    ));
    page.text(view.header.shown());
    page.raw(": migration report</title>\n</head>\n<body>\n<main>\n");
    head::masthead(view, &mut page);
    head::verdict(view, &mut page);
    head::waivers(view, &mut page);
    head::summary(view, &mut page);
    people::people(view, &mut page);
    timeline::timeline(view, &mut page);
    evidence::failures(view, &mut page);
    evidence::evidence(view, &mut page);
    watched::watched(view, &mut page);
    snapshots::snapshots(view, &mut page);
    back::rollback(view, &mut page);
    back::doubts(view, &mut page);
    people::notes(view, &mut page);
    sign_off::criteria(view, &mut page);
    sign_off::sign_off(view, proof, &mut page);
    appendix::appendix(view, proof, &mut page);
    if let Some(seal) = seal {
        page.raw("<details class=\"seal\">\n<summary>Record for offline verification</summary>\n");
        page.raw("<pre class=\"seal\" id=\"seal\">");
        page.inert_lines(seal);
        page.raw("</pre>\n</details>\n");
    }
    page.raw("</main>\n</body>\n</html>\n");
    page.done()
}
