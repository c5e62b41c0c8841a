//! What pickles would do if they were run: which globals they name, what they call, and whether that is refused.
//!
//! The rule is an allow-list by kind of file, of exact names. Naming a global is enough to be refused: importing a module
//! runs it. Known names are held to the uses that picklers make of them, since many a harmless name does harm
//! with other arguments. What cannot be known without running the file is refused as well.

mod calls;
mod danger;
mod dtype;
mod fault;
mod nested;
mod policy;
mod state;

use std::collections::{BTreeSet, HashSet};
use std::io;

pub use fault::{Fault, Finding};
pub use nested::is_begun;

use self::fault::Faults;
use self::nested::Candidate;
use super::numpy::{self, Nodes};
use super::pickle::{self, GlobalName, GlobalUse, NoHost, Pickle, PickleError, PickleErrorKind};
use crate::blob::Blob;

/// Whose allow-list applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// PyTorch checkpoints.
    Torch,
    /// scikit-learn estimators, as joblib and pickle write them.
    Estimator,
}

/// What is known of a global.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Known,
    Unknown,
    /// And what it does: `runs programs`.
    Dangerous(&'static str),
}

/// Judges a global by its name.
pub fn judge(kind: Kind, global: &GlobalName) -> Verdict {
    match (policy::known(kind, global), danger::why(global)) {
        (Some(_), _) => Verdict::Known,
        (None, Some(why)) => Verdict::Dangerous(why),
        (None, None) => Verdict::Unknown,
    }
}

/// More pickles one after another than any format has.
const STREAMS: usize = 1000;

/// What the pickles of one file name, and what is wrong with them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Audit {
    /// Every global named, as `module.name`.
    pub globals: BTreeSet<String>,
    /// The first of each kind in each pickle, in the order of the stream.
    pub findings: Vec<Finding>,
}

impl Audit {
    /// Judges an interpreted pickle, and the pickles in its byte strings. Whether numpy's objects hold together is left
    /// to the reader of estimators, who knows the raw arrays in the stream.
    pub fn pickle(&mut self, kind: Kind, member: Option<&str>, pickle: &Pickle) {
        self.judged(kind, member, pickle, kind == Kind::Torch);
    }

    /// Judges a pickle without raw arrays, numpy's objects and all.
    pub fn whole(&mut self, kind: Kind, member: Option<&str>, pickle: &Pickle) {
        self.judged(kind, member, pickle, true);
    }

    fn judged(&mut self, kind: Kind, member: Option<&str>, pickle: &Pickle, is_whole: bool) {
        let mut pending = self.one(kind, member, &[], pickle, is_whole);
        while let Some((within, candidate)) = pending.pop() {
            if within.len() > nested::DEPTH {
                let fault = Fault::Endless {
                    what: "pickles in byte strings of pickles, many times over",
                };
                self.find(member, &within, 0, fault);
                continue;
            }
            match candidate.read() {
                Some(Ok(pickle)) => pending.extend(self.one(kind, member, &within, &pickle, true)),
                Some(Err(error)) => self.broken_within(kind, member, &within, &error),
                None => {}
            }
        }
    }

    /// Judges what a pickle named before it turned out that it cannot be read to its end.
    pub fn broken(&mut self, kind: Kind, member: Option<&str>, error: &PickleError) {
        self.broken_within(kind, member, &[], error);
    }

    /// Judges names alone, where it does not matter what is done with them.
    pub fn named(&mut self, kind: Kind, member: Option<&str>, globals: &[GlobalUse]) {
        let mut faults = Faults::default();
        self.globals_of(kind, globals, &mut faults);
        self.find_all(member, &[], faults);
    }

    /// Adds what the reader of a format found itself.
    pub fn fault(&mut self, member: Option<&str>, offset: u64, fault: Fault) {
        self.find(member, &[], offset, fault);
    }

    /// Judges bytes that their format does not say to be pickles, if some program would start to unpickle them, and
    /// says whether that is so. It would not if it failed before it has named a global that could be imported.
    ///
    /// # Errors
    /// Fails if they cannot be read.
    pub fn hidden(&mut self, kind: Kind, member: Option<&str>, blob: &Blob) -> io::Result<bool> {
        let mut start = nested::after_npy_header(blob)?;
        for stream in 0..STREAMS {
            if start == blob.size() {
                return Ok(stream > 0);
            }
            match pickle::read(blob, start, &mut NoHost) {
                Ok(pickle) => {
                    start = pickle.end;
                    self.whole(kind, member, &pickle);
                }
                Err(PickleError {
                    kind: PickleErrorKind::Io(error),
                    ..
                }) => return Err(error),
                Err(error) if nested::is_begun(&error) => {
                    self.broken(kind, member, &error);
                    return Ok(true);
                }
                Err(_) => return Ok(stream > 0),
            }
        }
        let fault = Fault::Endless {
            what: "a thousand pickles, one after another",
        };
        self.find(member, &[], start, fault);
        Ok(true)
    }

    /// The findings that stay when the user allows these globals (`module.name`, exact).
    pub fn refused<'a>(&'a self, allow: &'a [String]) -> impl Iterator<Item = &'a Finding> {
        self.findings.iter().filter(|finding| match &finding.fault {
            Fault::Unknown { global } => {
                let name = global.to_string();
                !allow.contains(&name)
            }
            _ => true,
        })
    }

    /// Judges one pickle; gives the byte strings in it that may be pickles themselves.
    fn one(
        &mut self,
        kind: Kind,
        member: Option<&str>,
        within: &[u64],
        pickle: &Pickle,
        is_whole: bool,
    ) -> Vec<(Vec<u64>, Candidate)> {
        let mut faults = Faults::default();
        self.globals_of(kind, &pickle.globals, &mut faults);
        calls::faults(kind, pickle, &mut faults);
        // What is refused for good needs no second reason.
        if is_whole
            && !faults.are_final()
            && let Err(error) = numpy::check(Nodes::new(&pickle.nodes, &[]))
        {
            let error = error.to_string();
            faults.add(pickle.start, Fault::Unsound { error });
        }
        self.find_all(member, within, faults);
        let candidates = nested::candidates(pickle);
        candidates
            .map(|inner| ([within, &[inner.offset]].concat(), inner))
            .collect()
    }

    fn globals_of(&mut self, kind: Kind, globals: &[GlobalUse], faults: &mut Faults) {
        let mut seen = HashSet::new();
        for used in globals.iter().filter(|used| seen.insert(&used.global)) {
            let global = used.global.clone();
            self.globals.insert(global.to_string());
            match judge(kind, &global) {
                Verdict::Known => {}
                Verdict::Unknown => faults.add(used.offset, Fault::Unknown { global }),
                Verdict::Dangerous(why) => {
                    faults.add(used.offset, Fault::Dangerous { global, why });
                }
            }
        }
    }

    fn broken_within(
        &mut self,
        kind: Kind,
        member: Option<&str>,
        within: &[u64],
        error: &PickleError,
    ) {
        let mut faults = Faults::default();
        self.globals_of(kind, &error.globals, &mut faults);
        self.find_all(member, within, faults);
        let fault = Fault::Unread {
            error: error.to_string(),
        };
        self.find(member, within, error.offset, fault);
    }

    fn find_all(&mut self, member: Option<&str>, within: &[u64], faults: Faults) {
        for (offset, fault) in faults.sorted() {
            self.find(member, within, offset, fault);
        }
    }

    fn find(&mut self, member: Option<&str>, within: &[u64], offset: u64, fault: Fault) {
        self.findings.push(Finding {
            member: member.map(Into::into),
            within: within.into(),
            offset,
            fault,
        });
    }
}
