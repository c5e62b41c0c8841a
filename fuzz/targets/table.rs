//! A table of features: of an accepted one, there is a row for each of its rows, and every number is a probability.
#![no_main]

use std::path::Path;

use model_bundle::progress::Silent;
use model_bundle::tasks::pi::{PiClassifier, classify_table};
use model_bundle::tasks::table::{Record, Table, number};
use model_bundle::weights::{Content, read};

/// A logistic regression behind a scaler, and a forest, as scikit-learn pickles them.
const WEIGHTS: [&str; 2] = [
    concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/rods/models/pi_model_20251218.pkl"),
    concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/pi/FOREST"),
];

fn classifiers() -> Vec<PiClassifier> {
    let one = |path: &str| {
        let path = Path::new(path);
        let blob = model_bundle::blob::Blob::open(path).expect("it is in the repository");
        match read(&blob, path, &Silent).expect("it can be read").content {
            Content::Estimator(estimator) => PiClassifier::from_estimator(*estimator).expect("it can be run"),
            _ => panic!("no estimator"),
        }
    };
    WEIGHTS.map(one).into()
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    thread_local!(static CLASSIFIERS: Vec<PiClassifier> = classifiers());
    let path = Path::new("t.csv");
    let rows = match Table::read(data, path) {
        Ok(table) => {
            let columns = table.columns().len();
            assert!(columns > 0);
            table.map(|row| row.map(|row| assert_eq!(row.len(), columns))).collect::<Result<Vec<()>, _>>()
        }
        Err(error) => Err(error),
    };
    CLASSIFIERS.with(|all| {
        for classifier in all {
            let mut output = Vec::new();
            match classify_table(classifier, data, path, &mut output, &Silent) {
                Ok(summary) => {
                    let rows = rows.as_ref().expect("it was read twice").len() as u64;
                    assert_eq!(summary.rows, rows);
                    assert_eq!(summary.counts.iter().sum::<u64>(), rows);
                    assert_eq!(results(&output), rows);
                }
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        }
    });
});

/// How many rows a table of results has.
fn results(output: &[u8]) -> u64 {
    let mut table = Table::read(output, Path::new("out.csv")).expect("what was written can be read");
    let mut record = Record::default();
    let mut rows = 0;
    while table.next_into(&mut record).expect("what was written can be read") {
        for cell in record.cells().skip(1) {
            let number = number(cell).expect("a number");
            assert!((0.0..=1.0).contains(&number));
        }
        rows += 1;
    }
    rows
}
