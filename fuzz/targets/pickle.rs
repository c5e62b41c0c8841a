//! A pickle: what the machine gives is consistent, and no global slips past the audit.
#![no_main]

use model_bundle::blob::Blob;
use model_bundle::weights::audit::{Audit, Kind, Verdict, judge};
use model_bundle::weights::pickle::{self, GlobalUse, NoHost, Node, NodeId, Pickle};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let blob = Blob::from(data.to_vec());
    for kind in [Kind::Torch, Kind::Estimator] {
        let mut audit = Audit::default();
        let globals = match pickle::read(&blob, 0, &mut NoHost) {
            Ok(pickle) => {
                check(&pickle, data.len() as u64);
                audit.pickle(kind, None, &pickle);
                pickle.globals
            }
            Err(error) => {
                assert!(error.offset <= data.len() as u64 && !error.to_string().is_empty());
                audit.broken(kind, None, &error);
                assert!(!audit.findings.is_empty());
                error.globals
            }
        };
        check_audit(kind, &audit, &globals);
        let mut hidden = Audit::default();
        let is_pickle = hidden
            .hidden(kind, Some("member"), &blob)
            .expect("memory can be read");
        assert!(is_pickle || hidden.findings.is_empty());
    }
});

fn check(pickle: &Pickle, size: u64) {
    assert!(pickle.end <= size && pickle.made_at.len() == pickle.nodes.len());
    assert!(pickle.made_at.is_sorted() && pickle.made_at.last() < Some(&pickle.end));
    let inside = |id: &NodeId| assert!((id.0 as usize) < pickle.nodes.len());
    inside(&pickle.root);
    let mut named = 0;
    for node in &pickle.nodes {
        match node {
            Node::List(items) | Node::Tuple(items) | Node::Set(items) | Node::FrozenSet(items) => {
                items.iter().for_each(inside);
            }
            Node::Dict(entries) => entries.iter().flat_map(|(a, b)| [a, b]).for_each(inside),
            Node::Object {
                callable,
                args,
                kwargs,
                state,
                items,
                entries,
            } => {
                [callable, args]
                    .into_iter()
                    .chain(kwargs)
                    .chain(state)
                    .chain(items)
                    .for_each(inside);
                entries.iter().flat_map(|(a, b)| [a, b]).for_each(inside);
            }
            Node::Persistent(id) => inside(id),
            Node::Global(_) => named += 1,
            Node::BigInt(bytes) => assert!(bytes.len() > 8),
            _ => {}
        }
    }
    assert_eq!(named, pickle.globals.len());
    assert!(pickle.globals.is_sorted_by_key(|used| used.offset));
    pickle.oddities.iter().for_each(|odd| inside(&odd.target));
}

/// Whatever is allowed, a global that is not known is refused or was allowed by name, and a dangerous one stays refused.
fn check_audit(kind: Kind, audit: &Audit, globals: &[GlobalUse]) {
    let all: Vec<String> = audit.globals.iter().cloned().collect();
    for used in globals {
        let name = used.global.to_string();
        assert!(audit.globals.contains(&name));
        match judge(kind, &used.global) {
            Verdict::Known => {}
            Verdict::Unknown => assert!(audit.refused(&[]).next().is_some()),
            Verdict::Dangerous(_) => assert!(audit.refused(&all).next().is_some(), "{name}"),
        }
    }
    for finding in &audit.findings {
        let text = finding.to_string();
        assert!(!text.chars().any(char::is_control), "{text}");
    }
}
