//! What the audit of pickles found, as a user hears of it.

use super::{Check, Role};
use crate::config::ModelKind;
use crate::facts::{FactKind, FindingFact};

impl Check<'_> {
    /// Complains of everything in pickles that is not known to be harmless and that nobody who may has allowed.
    pub(super) fn audit(&mut self, role: Role) {
        let allowed = match role {
            Role::Producer => &self.model.allow_globals,
            Role::Receiver { allowed } => allowed,
        };
        let facts = self.facts;
        let (unknown, harmful): (Vec<_>, Vec<_>) = facts
            .refused(allowed)
            .partition(|finding| finding.allowable.is_some());
        for finding in harmful {
            let help = match self.model.kind {
                ModelKind::PiClassifier => "do not load this file, and ask whoever made it",
                _ => {
                    "do not load this file, and ask whoever made it for the weights alone, as \
                     `torch.save(model.state_dict(), path)` writes them"
                }
            };
            self.error(
                finding.message.clone(),
                format!("in it: {}", finding.place()),
            )
            .set_help(help);
        }
        self.unknown_globals(&unknown, role);
    }

    /// Complains once of all globals that are not known, with the line that allows them.
    pub(super) fn unknown_globals(&mut self, findings: &[&FindingFact], role: Role) {
        let mut globals: Vec<&str> = Vec::new();
        for global in findings
            .iter()
            .filter_map(|finding| finding.allowable.as_deref())
        {
            if !globals.contains(&global) {
                globals.push(global);
            }
        }
        let (Some(first), [one, rest @ ..]) = (findings.first(), globals.as_slice()) else {
            return;
        };
        let message = match rest {
            [] => first.message.clone(),
            rest => format!(
                "it names `{one}` and {} more globals which weights are not known to need: unpickling imports them, \
                 and may call them",
                rest.len()
            ),
        };
        let mut help = self.how_to_allow(&globals, role);
        if let FactKind::Program { what } = &self.facts.kind {
            help = format!(
                "it holds {what}: torch.save(model.state_dict(), path) saves the weights alone\n{help}"
            );
        }
        self.error(message, format!("in it: {}", first.place()))
            .set_help(help);
    }

    pub(super) fn how_to_allow(&self, globals: &[&str], role: Role) -> String {
        let if_trusted = match globals {
            [_] => "if you know this code and trust it",
            _ => "if you know all of this code and trust it",
        };
        match role {
            Role::Producer => {
                let quoted: Vec<String> =
                    globals.iter().map(|name| format!("\"{name}\"")).collect();
                format!(
                    "{if_trusted}, write into `{}`:\nallow_globals = [{}]",
                    self.model.key,
                    quoted.join(", ")
                )
            }
            Role::Receiver { .. } => {
                let flags = globals.iter().map(|name| format!("--allow-global {name}"));
                format!("{if_trusted}: {}", flags.collect::<Vec<_>>().join(" "))
            }
        }
    }
}
