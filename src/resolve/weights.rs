//! What the weights of a config are: derived from their bytes, or known from an earlier run.

use std::io;

use super::{Hashed, Means, ResolveError, read_error, source_key};
use crate::archive::BundlePath;
use crate::blob::Blob;
use crate::cache::{Cache, Record, Records, Stamp};
use crate::config::{Config, Model, Problem};
use crate::digest::Contents;
use crate::facts::Facts;
use crate::fit::{self, Fit, Role};
use crate::packed;
use crate::progress::{Phase, Progress};
use crate::weights::WeightsError;

/// What the weights of each model are, in the order of the config, and what is odd about them.
pub(super) fn check(
    config: &Config,
    hashed: &Hashed,
    records: &Records,
    means: Means,
    progress: &dyn Progress,
) -> Result<(Vec<Fit>, Vec<Problem>), ResolveError> {
    let mut fits = Vec::new();
    let mut problems = Vec::new();
    for model in &config.models {
        let path = BundlePath::new(&packed::weights_name(model))?;
        let contents = hashed[&path].0;
        match facts_of(model, contents, records, means.cache, progress)? {
            Ok(facts) => {
                let mut fit = fit::check(config, model, &facts, Role::Producer);
                if !means.check_architecture {
                    fit.forgive_architecture();
                }
                problems.append(&mut fit.problems);
                fits.push(fit);
            }
            Err(error) => problems.push(fit::unreadable(config, model, &error)),
        }
    }
    let (errors, warnings): (Vec<_>, Vec<_>) = problems.into_iter().partition(Problem::is_error);
    match errors.is_empty() {
        true => Ok((fits, warnings)),
        false => Err(ResolveError::Weights { problems: errors }),
    }
}

/// The facts of a model's weights, from the cache if their content is known there.
fn facts_of(
    model: &Model,
    contents: Contents,
    records: &Records,
    cache: Option<&Cache>,
    progress: &dyn Progress,
) -> Result<Result<Facts, WeightsError>, ResolveError> {
    if let Some(facts) = cache.and_then(|cache| Facts::cached(cache, contents.blake3)) {
        return Ok(Ok(facts));
    }
    let path = &model.weights.path;
    let error = |error| read_error(path, error);
    let blob = Blob::open(path).map_err(error)?;
    let _phase = Phase::begin(progress, "Reading", blob.size());
    let facts = match Facts::derive(&blob, path, progress) {
        Err(WeightsError::Io(source)) if source.kind() != io::ErrorKind::UnexpectedEof => {
            return Err(error(source));
        }
        result => result,
    };
    // The facts are those of the hashed content only if the file is still what was hashed.
    let stamp = Stamp::of(path).map_err(error)?;
    let record = records.sources.get(&source_key(path));
    if record.is_none_or(|record| record.stamp != stamp) {
        let path = path.clone();
        return Err(ResolveError::Changed { path });
    }
    if let (Ok(facts), Some(cache)) = (&facts, cache)
        && record.is_some_and(Record::is_settled)
    {
        // Facts that cannot be kept cost time, not results.
        let _ = facts.store(cache, contents.blake3);
    }
    Ok(facts)
}
