//! Tables as people, pandas and spreadsheets write them.

use std::env;
use std::fs;

use proptest::prelude::*;

use super::*;

fn read(bytes: &[u8]) -> Result<(Vec<String>, Vec<Vec<String>>), TableError> {
    let mut table = Table::read(bytes, Path::new("t.csv"))?;
    let columns = table.columns().to_vec();
    let mut rows = Vec::new();
    for record in table.by_ref() {
        rows.push(record?.cells().map(str::to_owned).collect());
    }
    Ok((columns, rows))
}

fn problem(bytes: &[u8]) -> String {
    read(bytes).unwrap_err().to_string()
}

#[test]
fn tables_of_many_kinds_are_read() {
    for (text, columns, rows) in [
        ("a,b\n1,2\n", &["a", "b"][..], &[&["1", "2"][..]][..]),
        (
            "a,b\r\n1,2\r\n3,4",
            &["a", "b"],
            &[&["1", "2"], &["3", "4"]],
        ),
        ("a,b\r1,2\r", &["a", "b"], &[&["1", "2"]]),
        ("\u{feff}a,b\n,\n", &["a", "b"], &[&["", ""]]),
        ("a;b\n1,5;2\n", &["a", "b"], &[&["1,5", "2"]]),
        ("a\tb;c\n1\t2\n", &["a\tb", "c"], &[]),
        ("a b\tb\n1\t2\n", &["a b", "b"], &[&["1", "2"]]),
        ("\"a,b\";c\n1;2\n", &["a,b", "c"], &[&["1", "2"]]),
        ("a\n\n\n1\n\"\"\n", &["a"], &[&["1"], &[""]]),
        (
            "a,b\n\"x\"\"y\n\",5\" tall\n",
            &["a", "b"],
            &[&["x\"y\n", "5\" tall"]],
        ),
        ("a,b\n\"1\r\n2\",3", &["a", "b"], &[&["1\r\n2", "3"]]),
        ("µ,ß\n\"é\",ü", &["µ", "ß"], &[&["é", "ü"]]),
    ] {
        let found = read(text.as_bytes());
        let is_short = text == "a\tb;c\n1\t2\n";
        match found {
            Ok((names, found)) => {
                assert_eq!(names, columns, "{text:?}");
                assert_eq!(found, rows, "{text:?}");
            }
            // A semicolon comes before a tab.
            Err(error) => assert!(is_short && error.to_string().contains("found 1"), "{error}"),
        }
    }
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    for (bytes, wanted) in [
        (
            &b"a,b\n1\n"[..],
            "t.csv, line 2: expected 2 cells, as the header has, found 1",
        ),
        (
            b"a\n\n1,2\n",
            "t.csv, line 3: expected 1 cell, as the header has, found 2",
        ),
        (
            b"a,b\n1,\"2\n3,4\n",
            "t.csv, line 2: expected a closing quote, found the end of the file",
        ),
        (
            b"a,b\n1,\"2\"3\n",
            "t.csv, line 2: expected a separator after a closing quote, found more text",
        ),
        (b"a,b\n1,\xe9\n", "t.csv, line 2: expected text in UTF-8"),
        // Each cell has half of a character.
        (b"a,b\n\xc3,\xa9\n", "t.csv, line 2: expected text in UTF-8"),
        (b"\xff\xfea\0,\0", "t.csv, line 1: expected text in UTF-8"),
        (
            b"",
            "t.csv: expected a table with a header row, found an empty file",
        ),
        (
            b"\n\r\n",
            "t.csv: expected a table with a header row, found an empty file",
        ),
    ] {
        let error = problem(bytes);
        assert!(error.starts_with(wanted), "{error}");
    }
}

/// A file that never ends is read no further than a row may be long.
#[test]
fn endless_rows_are_refused() {
    let text = std::io::Read::chain(&b"a\n\""[..], std::io::repeat(b'x'));
    let mut table = Table::read(text, Path::new("t.csv")).unwrap();
    let error = table.next().unwrap().unwrap_err().to_string();
    assert!(error.contains("a row of at most 16 MiB"), "{error}");
    let wide = std::io::Read::chain(&b"a\n"[..], std::io::repeat(b','));
    let mut table = Table::read(wide, Path::new("t.csv")).unwrap();
    let error = table.next().unwrap().unwrap_err().to_string();
    assert!(error.contains("a row of at most 65536 cells"), "{error}");
}

#[test]
fn numbers_are_read_as_pandas_reads_them() {
    for (text, wanted) in [
        ("1", 1.0),
        (" -1.5e3\t", -1500.0),
        ("+.5", 0.5),
        ("5.", 5.0),
        ("Infinity", f64::INFINITY),
        ("-inf", f64::NEG_INFINITY),
        ("0.1", 0.1),
    ] {
        assert_eq!(number(text), Some(wanted), "{text}");
    }
    for missing in ["", " ", "nan", "NaN", "NA", "null", "None", "#N/A", "n/a"] {
        assert!(number(missing).unwrap().is_nan(), "{missing}");
    }
    for none in ["x", "1,5", "1 2", "0x1", "1_000", "--1", "True", "1e", "१"] {
        assert_eq!(number(none), None, "{none}");
    }
}

/// Each number of the file in `PI_NUMBERS` (see `tests/pi/write_numbers.py`), or a few of it.
#[test]
fn numbers_are_written_as_pandas_writes_them() {
    const FEW: &str = "type,bits,text
f32,953267991,1e-04
f64,4833561557576456149,1425689258821109.2
f64,0,0.0
f64,9223372036854775808,-0.0
f64,4562254508917369340,0.001
f64,4547007122018943789,0.0001
f64,4532020583610935537,1e-05
f64,13727190431080770957,-1.25e-07
f64,4846369599423283200,1e+16
f64,4846369599423283199,9999999999999998.0
f64,4683220244930494464,123456.0
f64,4567151138279423302,0.002170449476878086
f64,1,5e-324
f64,9218868437227405311,1.7976931348623157e+308
f64,4607182418800017408,1.0
f64,9218868437227405312,inf
f64,18442240474082181120,-inf
f32,1036831949,0.1
f32,925353388,1e-05
f32,1510874058,1e+16
f32,1266679808,16777216.0
";
    let text = match env::var_os("PI_NUMBERS") {
        Some(path) => fs::read_to_string(path).unwrap(),
        None => FEW.to_owned(),
    };
    let (_, rows) = read(text.as_bytes()).unwrap();
    assert!(rows.len() >= 15);
    for row in &rows {
        let bits: u64 = row[1].parse().unwrap();
        let found = match row[0].as_str() {
            "f64" => repr(f64::from_bits(bits)),
            _ => repr_single(f32::from_bits(bits as u32)),
        };
        assert_eq!(found, row[2], "{row:?}");
    }
    assert_eq!(repr(f64::NAN), "");
    println!("{} numbers", rows.len());
}

proptest! {
    /// Whatever is in cells comes back.
    #[test]
    fn quoting_comes_back(
        rows in (1..5_usize).prop_flat_map(|width| {
            let cell = prop_oneof!["[a\",;\\n\\r\\t ]{0,4}", "\\PC{0,3}"];
            prop::collection::vec(prop::collection::vec(cell, width), 1..5)
        })
    ) {
        let mut bytes = Vec::new();
        // A header with a comma outside quotes or with a single cell that has none: the separator is a comma.
        let header: Vec<String> = (0..rows[0].len()).map(|n| format!("c{n}")).collect();
        let mut writer = Writer::new(&mut bytes, &header).unwrap();
        for row in &rows {
            writer.row(row).unwrap();
        }
        let (columns, found) = read(&bytes).unwrap();
        prop_assert_eq!(columns, header);
        prop_assert_eq!(found, rows);
    }

    /// Anything at all is a table or an error.
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(
        prop_oneof![Just(b'"'), Just(b','), Just(b'\n'), Just(b'\r'), Just(b';'), any::<u8>()], 0..40,
    )) {
        if let Ok((columns, rows)) = read(&bytes) {
            prop_assert!(rows.iter().all(|row| row.len() == columns.len()));
        }
    }

    /// The shortest digits are read back to the same bits.
    #[test]
    fn numbers_come_back(bits in any::<u64>()) {
        let wanted = f64::from_bits(bits);
        let found = number(&repr(wanted)).unwrap();
        prop_assert!(found.to_bits() == bits || wanted.is_nan() && found.is_nan());
    }
}
