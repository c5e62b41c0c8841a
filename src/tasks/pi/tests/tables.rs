//! Tables of features classified, as a user has them.

use std::fmt::Write as _;

use super::*;
use crate::tasks::table::TableError;

fn classify(classifier: &PiClassifier, table: &str) -> Result<(String, Summary), TableError> {
    let mut output = Vec::new();
    let path = Path::new("cells.csv");
    let summary = classify_table(classifier, table.as_bytes(), path, &mut output, &Silent)?;
    Ok((String::from_utf8(output).unwrap(), summary))
}

/// The error of a table.
fn problem(classifier: &PiClassifier, table: &str) -> String {
    classify(classifier, table).unwrap_err().to_string()
}

fn rods(name: &str) -> PiClassifier {
    classifier(&fixtures().join("weights").join(name))
}

/// `scikit-learn's` results for the table of the rods: the same digits, but for the last of a few.
#[test]
fn the_rods_are_classified_as_scikit_learn_does() {
    let table = fs::read_to_string(fixtures().join("pi/pi_features.csv")).unwrap();
    for (model, expected, most) in [
        ("rods/pi_model_20251218.pkl", "logreg", 1e-15),
        ("rods/pi_forest.joblib", "forest", 0.0),
        ("onnx/pi_model.onnx", "logreg", 1e-6),
    ] {
        let expected = fixtures().join(format!("pi/pi_classification_{expected}.csv"));
        let expected = fs::read_to_string(expected).unwrap();
        let (found, summary) = classify(&rods(model), &table).unwrap();
        let (found, expected): (Vec<_>, Vec<_>) =
            (found.lines().collect(), expected.lines().collect());
        assert_eq!(found[0], "predicted,p_piPOS");
        assert_eq!(found.len(), expected.len(), "{model}");
        assert_eq!(summary.rows as usize + 1, found.len());
        assert_eq!(summary.counts.iter().sum::<u64>(), summary.rows);
        assert!(summary.passed_over.is_empty());
        for (found, expected) in found.iter().zip(&expected).skip(1) {
            let (label, p) = found.split_once(',').unwrap();
            let (wanted, q) = expected.split_once(',').unwrap();
            assert_eq!(label, wanted, "{model}");
            let off = (p.parse::<f64>().unwrap() - q.parse::<f64>().unwrap()).abs();
            assert!(off <= most, "{model}: {p} is not {q}");
        }
        if most == 0.0 {
            assert_eq!(found, expected);
        }
    }
}

#[test]
fn columns_are_found_by_name() {
    let model = rods("rods/pi_model_20251218.pkl");
    let plain =
        "mean_intensity,max_intensity,std_intensity,area\n300,400,90,110\n1400,2500,400,105\n";
    let (wanted, _) = classify(&model, plain).unwrap();
    let turned = "\u{feff}area;cell;max_intensity;mean_intensity;std_intensity;\"a;b\"\r\n110;c1;400;300;90;\r\n105;c2;2500;1.4e3;+400;\r\n";
    let (found, summary) = classify(&model, turned).unwrap();
    assert_eq!(found, wanted);
    assert_eq!(summary.passed_over, ["cell", "a;b"]);
    assert_eq!((summary.rows, summary.counts), (2, vec![1, 1]));
    let tabs = plain.replace(',', "\t");
    assert_eq!(classify(&model, &tabs).unwrap().0, wanted);
    let only_header = plain.lines().next().unwrap();
    assert_eq!(
        classify(&model, only_header).unwrap().0,
        "predicted,p_piPOS\n"
    );
}

#[test]
fn what_a_table_lacks_is_said() {
    let model = rods("rods/pi_model_20251218.pkl");
    assert_eq!(
        problem(
            &model,
            "mean_intensty,area,max_intensity,solidity\n1,2,3,4\n"
        ),
        "cells.csv: expected the columns of the model's features: `mean_intensity`, `max_intensity`, `std_intensity`, \
         `area`, found no `mean_intensity` (did you mean `mean_intensty`, which it has?), no `std_intensity`: rename or \
         add columns"
    );
    assert_eq!(
        problem(
            &model,
            "area,mean_intensity,area,max_intensity,std_intensity\n1,2,3,4,5\n"
        ),
        "cells.csv: expected one column `area`, found several"
    );
    assert_eq!(
        problem(&rods("onnx/pi_model.onnx"), "a,b,c\n1,2,3\n"),
        "cells.csv: expected 4 columns: the model takes as many features, and does not know their names, found 3: leave \
         only the model's features in the table, in the order in which it was fitted"
    );
    assert_eq!(
        problem(&model, ""),
        "cells.csv: expected a table with a header row, found an empty file"
    );
}

#[test]
fn a_bad_cell_is_shown_where_it_is() {
    let model = rods("rods/pi_model_20251218.pkl");
    let with = |cell: &str| {
        format!(
            "cell,mean_intensity,max_intensity,std_intensity,area\n\"a\nb\",1,2,3,4\n\nc,1,2,{cell},4\n"
        )
    };
    assert_eq!(
        problem(&model, &with("n.d.")),
        "cells.csv, line 5, column `std_intensity`: expected a number, found `n.d.`: correct the cell"
    );
    assert_eq!(
        problem(&model, &with("\"3,5\"")),
        "cells.csv, line 5, column `std_intensity`: expected a number, found `3,5`: write decimals with a point"
    );
    for missing in ["", "nan", "NaN", "NA", " "] {
        assert_eq!(
            problem(&model, &with(missing)),
            "cells.csv, line 5, column `std_intensity`: expected a finite number, found none, which this \
             model does not take: fill in or remove such rows"
        );
    }
    assert_eq!(
        problem(&model, &with("-inf")),
        "cells.csv, line 5, column `std_intensity`: expected a finite number, found -inf, which is infinite or too large \
         for a model: fill in or remove such rows"
    );
    assert_eq!(
        problem(&model, &with("3,9")),
        "cells.csv, line 5: expected 5 cells, as the header has, found 6: if a cell holds a separator, put it in double \
         quotes"
    );
}

#[test]
fn a_model_without_pi_pos_shows_all_its_classes() {
    let model = rods("sklearn/1.6_forest.joblib");
    let (found, _) = classify(&model, "a,b,c\n50,300,8\n").unwrap();
    assert!(found.starts_with("predicted,p_0,p_1,p_2\n"), "{found}");
    let row = found.lines().nth(1).unwrap();
    assert_eq!(row.split(',').count(), 4, "{row}");
    let sum: f64 = row
        .split(',')
        .skip(1)
        .map(|p| p.parse::<f64>().unwrap())
        .sum();
    assert!((sum - 1.0).abs() < 1e-12);
}

#[test]
fn missing_values_go_through_trees_that_know_them() {
    let model = rods("sklearn/1.6_tree_missing.joblib");
    let facts = json(&fixtures().join("weights/sklearn/1.6.json"));
    let said = &facts["models"]["tree_missing"];
    let mut table = "a,b,c\n".to_owned();
    for row in said["rows"].as_array().unwrap() {
        let row = row.as_array().unwrap().iter();
        let cells: Vec<String> = row
            .map(|x| {
                if x.is_null() {
                    String::new()
                } else {
                    x.to_string()
                }
            })
            .collect();
        writeln!(table, "{}", cells.join(",")).unwrap();
    }
    let (found, _) = classify(&model, &table).unwrap();
    let found: Vec<&str> = found.lines().skip(1).map(|row| &row[..1]).collect();
    let wanted: Vec<String> = said["predict"]
        .as_array()
        .unwrap()
        .iter()
        .map(python)
        .collect();
    assert_eq!(found, wanted);
}

/// Rows are classified in batches: the line that an error names is that of the file, not of the batch.
#[test]
fn a_long_table_is_classified_in_pieces() {
    let model = rods("rods/pi_model_20251218.pkl");
    let mut table = "mean_intensity,max_intensity,std_intensity,area\n".to_owned();
    for index in 0..40_000 {
        writeln!(table, "{},2000,300,110", 200 + index % 1500).unwrap();
    }
    let (found, summary) = classify(&model, &table).unwrap();
    assert_eq!(summary.rows, 40_000);
    assert_eq!(found.lines().count(), 40_001);
    // The same row gives the same result in every batch.
    let rows: Vec<&str> = found.lines().skip(1).collect();
    assert_eq!(rows[..1500], rows[36_000..37_500]);
    writeln!(table, "1,2,inf,4").unwrap();
    assert!(problem(&model, &table).starts_with("cells.csv, line 40002, column `std_intensity`"));
}
