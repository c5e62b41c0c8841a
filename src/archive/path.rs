//! Names of entries: what a name may be, and which names cannot stand in one archive together.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use unicode_normalization::UnicodeNormalization;

/// The longest name, in bytes: what Linux takes for a path (`PATH_MAX` is 4096) with room for the folder
/// it is unpacked into. ZIP itself would allow 65,535 (4.4.10).
const LONGEST_NAME: usize = 2048;

/// The longest component, in bytes: `NAME_MAX` of Linux and macOS.
const LONGEST_COMPONENT: usize = 255;

/// The name of a file in an archive: relative, `/`-separated, and the same file on every system.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct BundlePath(String);

impl BundlePath {
    /// Checks a name.
    ///
    /// # Errors
    /// Fails with the rule that the name breaks.
    pub fn new(name: &str) -> Result<Self, BadName> {
        match fault_of(name) {
            None => Ok(Self(name.to_owned())),
            Some(reason) => Err(BadName {
                name: name.to_owned(),
                reason,
            }),
        }
    }

    /// The name as the archive holds it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The parts between the slashes; there is at least one, and each is a plain file name.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }
}

impl fmt::Display for BundlePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl AsRef<str> for BundlePath {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for BundlePath {
    type Err = BadName;
    fn from_str(name: &str) -> Result<Self, BadName> {
        Self::new(name)
    }
}

impl<'de> Deserialize<'de> for BundlePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::new(&name).map_err(serde::de::Error::custom)
    }
}

/// A name that no archive of ours may hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the entry name {name:?} {reason}")]
pub struct BadName {
    pub name: String,
    pub reason: NameFault,
}

/// The rule that a name breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum NameFault {
    #[error("is empty")]
    Empty,
    #[error("is longer than {LONGEST_NAME} bytes")]
    TooLong,
    #[error("has a component longer than {LONGEST_COMPONENT} bytes")]
    LongComponent,
    #[error("is absolute: it would leave the folder it is unpacked into")]
    Absolute,
    #[error("holds a colon, which names a drive or a hidden stream on Windows")]
    Colon,
    #[error("holds a backslash, which only some systems take for a separator")]
    Backslash,
    #[error("holds a NUL, where some readers end the name")]
    Nul,
    #[error("holds a control character")]
    Control,
    #[error("has an empty component (`//`, or a slash at the end)")]
    EmptyComponent,
    #[error("has the component `.`")]
    Dot,
    #[error("has the component `..`: it climbs out of the folder it is unpacked into")]
    Climbs,
    #[error("has a component that ends in a dot or a space, which Windows drops")]
    TrailingDotOrSpace,
    #[error("has a component that names a device on Windows")]
    Device,
    #[error("has the component `.git`: git would obey what is in it")]
    Git,
    #[error("is not valid UTF-8")]
    NotUtf8,
    #[error("is not ASCII and not marked as UTF-8: readers decode it differently")]
    Unmarked,
}

/// What an archive's entries may be called, as a type of names that obey the rule.
pub trait EntryName: Clone + fmt::Display + fmt::Debug {
    /// Takes a name, without the slash at a folder's end.
    ///
    /// # Errors
    /// Fails with the rule that the name breaks.
    fn checked(name: &str) -> Result<Self, NameFault>;

    /// The name as the archive holds it.
    fn as_str(&self) -> &str;
}

impl EntryName for BundlePath {
    fn checked(name: &str) -> Result<Self, NameFault> {
        Self::new(name).map_err(|bad| bad.reason)
    }

    fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name of a member of an archive that is read in place and never unpacked, such as a PyTorch checkpoint, whose
/// folder is called like the file that was saved: any text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MemberName(String);

impl EntryName for MemberName {
    fn checked(name: &str) -> Result<Self, NameFault> {
        match name {
            "" => Err(NameFault::Empty),
            _ if name.len() > LONGEST_NAME => Err(NameFault::TooLong),
            _ if name.contains('\0') => Err(NameFault::Nul),
            _ => Ok(Self(name.to_owned())),
        }
    }

    fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MemberName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

fn fault_of(name: &str) -> Option<NameFault> {
    let holds = |wanted: char| name.contains(wanted);
    Some(match name {
        "" => NameFault::Empty,
        _ if name.len() > LONGEST_NAME => NameFault::TooLong,
        _ if holds('\0') => NameFault::Nul,
        _ if name.contains(is_control) => NameFault::Control,
        _ if holds('\\') => NameFault::Backslash,
        _ if holds(':') => NameFault::Colon,
        _ if name.starts_with('/') => NameFault::Absolute,
        _ => return name.split('/').find_map(component_fault),
    })
}

/// Characters that a name would not show, or that would show it in another order (Unicode's bidirectional ones).
fn is_control(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn component_fault(component: &str) -> Option<NameFault> {
    Some(match component {
        "" => NameFault::EmptyComponent,
        "." => NameFault::Dot,
        ".." => NameFault::Climbs,
        _ if component.len() > LONGEST_COMPONENT => NameFault::LongComponent,
        _ if component.ends_with(['.', ' ']) => NameFault::TrailingDotOrSpace,
        _ if is_device(component) => NameFault::Device,
        _ if is_git(component) => NameFault::Git,
        _ => return None,
    })
}

/// A folder whose settings git obeys, also under the short name that Windows gives it.
fn is_git(component: &str) -> bool {
    component.eq_ignore_ascii_case(".git") || component.eq_ignore_ascii_case("git~1")
}

/// Whether Windows opens a device instead of a file of this name, with any extension
/// (Microsoft, "Naming Files, Paths, and Namespaces").
fn is_device(component: &str) -> bool {
    let stem = component.split('.').next().unwrap_or_default();
    let stem = stem.trim_end_matches(' ').to_ascii_uppercase();
    let numbered = |prefix| {
        stem.strip_prefix(prefix).is_some_and(|rest: &str| {
            let mut rest = rest.chars();
            let digit = rest
                .next()
                .is_some_and(|c| c.is_ascii_digit() || "¹²³".contains(c));
            digit && rest.next().is_none()
        })
    };
    matches!(
        stem.as_str(),
        "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$"
    ) || numbered("COM")
        || numbered("LPT")
}

/// Two names that cannot both be unpacked, or that two readers could take for one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("the entry names {first:?} and {second:?} {how}")]
pub struct Collision {
    pub first: String,
    pub second: String,
    pub how: CollisionKind,
}

/// How two names collide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum CollisionKind {
    #[error("are the same")]
    Same,
    #[error("differ only by upper and lower case or by Unicode form")]
    CaseOrForm,
    #[error("are a file and a folder in one place")]
    FileAndFolder,
}

/// Finds the names that cannot stand in one archive together. A name that ends in `/` is a folder.
///
/// Time grows as sorting the names does, whatever they are.
pub fn collisions<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<Collision> {
    let mut folded: Vec<(String, &str)> = names
        .into_iter()
        .map(|name| (fold(name.trim_end_matches('/')), name))
        .collect();
    folded.sort_unstable();
    folded
        .windows(2)
        .filter_map(|pair| match pair {
            [first, second] => collision(first, second),
            _ => None,
        })
        .collect()
}

/// Compares neighbours in the order of their folded names, where what lies in a folder follows it directly.
fn collision(first: &(String, &str), second: &(String, &str)) -> Option<Collision> {
    let is_folder = |name: &str| name.ends_with('/');
    let inside = || second.0.strip_prefix(&first.0)?.strip_prefix('\0');
    let how = if first.1 == second.1 {
        CollisionKind::Same
    } else if first.0 == second.0 && is_folder(first.1) == is_folder(second.1) {
        CollisionKind::CaseOrForm
    } else if first.0 == second.0 || (!is_folder(first.1) && inside().is_some()) {
        CollisionKind::FileAndFolder
    } else {
        return None;
    };
    Some(Collision {
        first: first.1.to_owned(),
        second: second.1.to_owned(),
        how,
    })
}

/// What is left of a name when case and Unicode form are taken away. `/` becomes NUL, which sorts first.
fn fold(name: &str) -> String {
    if name.is_ascii() {
        return name.to_ascii_lowercase().replace('/', "\0");
    }
    let parts: Vec<String> = name.split('/').map(fold_component).collect();
    parts.join("\0")
}

fn fold_component(component: &str) -> String {
    // Upper case first: it is where `ß` meets `ss`, and the two sigmas each other.
    let upper = component.nfkd().collect::<String>().to_uppercase();
    upper.to_lowercase().nfkd().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_refused_by_rule() {
        use NameFault::*;
        let long = "a/".repeat(1024) + "a";
        let component = "a".repeat(256);
        let table = [
            ("", Empty),
            (long.as_str(), TooLong),
            (component.as_str(), LongComponent),
            ("/etc/passwd", Absolute),
            ("C:/a", Colon),
            ("a:stream", Colon),
            ("a\\b", Backslash),
            ("a\0b", Nul),
            ("a\nb", Control),
            ("a\u{85}b", Control),
            ("a\u{202e}htp.b", Control),
            ("a//b", EmptyComponent),
            ("a/", EmptyComponent),
            ("./a", Dot),
            ("a/../../b", Climbs),
            ("a./b", TrailingDotOrSpace),
            ("a/b ", TrailingDotOrSpace),
            ("models/nul.pth", Device),
            ("Com1", Device),
            ("lpt².x", Device),
            ("con .txt", Device),
            (".git/config", Git),
            ("a/.GIT/hooks/x", Git),
            ("GIT~1/config", Git),
        ];
        for (name, fault) in table {
            assert_eq!(BundlePath::new(name).unwrap_err().reason, fault, "{name:?}");
        }
        for good in [
            "config.yml",
            "models/é ü.pth",
            "..a",
            "a..b",
            "com10",
            "nullable",
            ".hidden",
        ] {
            assert!(BundlePath::new(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn names_collide_by_case_form_and_place() {
        use CollisionKind::*;
        let kind = |names: &[&str]| collisions(names.iter().copied()).first().map(|c| c.how);
        assert_eq!(kind(&["a", "b", "a"]), Some(Same));
        assert_eq!(kind(&["models/A", "x", "models/a"]), Some(CaseOrForm));
        assert_eq!(kind(&["é", "e\u{301}"]), Some(CaseOrForm));
        assert_eq!(kind(&["É", "e\u{301}"]), Some(CaseOrForm));
        assert_eq!(kind(&["straße", "STRASSE"]), Some(CaseOrForm));
        assert_eq!(kind(&["a/b/c", "a/b c", "a/b"]), Some(FileAndFolder));
        assert_eq!(kind(&["A/b", "a"]), Some(FileAndFolder));
        assert_eq!(kind(&["a/", "a"]), Some(FileAndFolder));
        assert_eq!(kind(&["a/", "A/"]), Some(CaseOrForm));
        assert_eq!(kind(&["a/", "a/b", "a/b/", "ab"]), Some(FileAndFolder));
        assert_eq!(kind(&["a/", "a/b", "a-b", "ab", "a.b"]), None);
    }

    proptest! {
        /// A good name has components that are plain file names.
        #[test]
        fn good_names_stay_inside(name in r"[a-z./\\:\u{0}é ]{0,12}") {
            if let Ok(path) = BundlePath::new(&name) {
                let native: std::path::PathBuf = path.components().collect();
                for component in native.components() {
                    prop_assert!(matches!(component, std::path::Component::Normal(_)));
                }
            }
        }
    }
}
