//! Bad configs, and what is said of them: read the snapshots as a user would.

use model_bundle::config::ConfigError;

use super::{Folder, rods};

/// A config of one focus model, with something else in the place of `ARGS`.
fn focus(args: &str) -> String {
    format!(
        "[bf_focus]\nmodel_path = \"models/bf_focus_v3.pth\"\nmodel_metadata = \"metadata/bf_focus_v3.json\"\n{args}\n"
    )
}

fn inferer(args: &str) -> String {
    focus(&format!(
        "\n[bf_focus.inferer_args]\npatch_size = 256\noverlap_ratio = 0.25\n{args}"
    ))
}

/// What is said of each config: `(title, file name, text)`.
fn said(folder: &Folder, cases: &[(&str, &str, String)]) -> String {
    let mut out = String::new();
    for (title, name, text) in cases {
        folder.write(name, text);
        let said = folder.says(name);
        assert_ne!(said, "", "{title}");
        let lines: Vec<_> = said.lines().map(str::trim_end).collect();
        out += &format!("## {title}\n\n{}\n\n", lines.join("\n").trim_matches('\n'));
    }
    out
}

fn toml(title: &'static str, text: impl Into<String>) -> (&'static str, &'static str, String) {
    (title, "bundle.toml", text.into())
}

fn yaml(title: &'static str, text: impl Into<String>) -> (&'static str, &'static str, String) {
    (title, "bundle.yml", text.into())
}

#[test]
fn syntax() {
    let folder = rods();
    let deep = format!("a: {}1{}", "[".repeat(80), "]".repeat(80));
    let cases = [
        toml(
            "two syntax errors",
            "[bf_focus\nmodel_path = \"a\"\nx = = 1\n",
        ),
        toml(
            "a key twice",
            "[bf_focus]\nmodel_path = \"a\"\nmodel_path = \"b\"\n",
        ),
        toml(
            "a key twice, after one in an inline table",
            "[bf_focus]\nmodel_path = \"models/bf_focus_v3.pth\"\ntest = { model_path = 1 }\nmodel_path = \"b\"\n",
        ),
        toml("a table twice", "[bf_focus]\n\n[bf_focus]\n"),
        toml("an open string", "[bf_focus]\nmodel_path = \"models/a\n"),
        toml("carriage returns", "[bf_focus]\r\nmodel_path = 1\r\n"),
        yaml(
            "a YAML error",
            "bf_focus:\n  model_path: models/a.pth\n model_metadata: b\n",
        ),
        yaml("tabs", "bf_focus:\n\tmodel_path: models/a.pth\n"),
        yaml(
            "a number and a text that a lock cannot tell apart",
            "own: {bundle_name: own, model_path: models/bf_focus_v3.pth, model_args: {1: a, \"1\": b}}\n",
        ),
        yaml(
            "keys twice",
            "bf_focus:\n  model_path: a\n  model_path: b\nbf_focus:\n  model_path: c\n",
        ),
        yaml("two documents", "bf_focus: {}\n---\nfl_focus: {}\n"),
        yaml(
            "a tag",
            "bf_focus:\n  model_path: !path models/bf_focus_v3.pth\n",
        ),
        yaml("a merge key", "a: &a {x: 1}\nbf_focus:\n  <<: *a\n"),
        yaml("an unknown alias", "bf_focus: *a\n"),
        yaml("an alias inside its anchor", "bf_focus: &a [*a]\n"),
        yaml("a table as key", "{a: b}: c\n"),
        yaml("nested too deeply", deep),
        yaml("a list", "- bf_focus\n"),
        yaml("a control character", "bf_focus:\n  model_path: a\u{8}b\n"),
        yaml("an open quote", "bf_focus:\n  model_path: 'models\n"),
    ];
    insta::assert_snapshot!(said(&folder, &cases));
}

/// Found by fuzzing: aliases that multiply a long text, and anchors around anchors, would fill the memory.
/// Reports show a part of a long line: they cannot reach to its end.
#[test]
fn places_far_along_a_line() {
    let folder = Folder::new();
    let long = "a".repeat(100_000);
    let cases = [
        (
            format!("bundle = {{ about = {{ x = \"{long}\" }}, unknown = 1 }}\n"),
            "unknown = 1",
        ),
        (
            format!(
                "bundle = {{ auto_date = true, about = {{ x = \"{long}\" }}, auto_date = true }}\n"
            ),
            "auto_date = true",
        ),
        (
            format!("bundle = {{ auto_date = \"{long}\" }}\n"),
            "auto_date = \"aaa",
        ),
        (
            format!("[bundle]\nabout = {{ x = \"{long}\" }}\nunknown = 1\n"),
            "unknown = 1",
        ),
        (
            format!("[bundle]\nunknown = 1\nabout = {{ x = \"äöü{long}\"\n"),
            "",
        ),
    ];
    for (text, shown) in cases {
        folder.write("bundle.toml", &text);
        let said = folder.says("bundle.toml");
        assert!(
            said.contains("bundle.toml:") && said.contains(shown),
            "{said}"
        );
        assert!(said.len() < 10_000, "{} bytes", said.len());
    }
}

#[test]
fn aliases_that_multiply() {
    let folder = rods();
    let long_text = format!(
        "a: &a {}\nb: [{}1]\n",
        "x".repeat(20_000),
        "*a, ".repeat(5_000)
    );
    let long_key = format!(
        "a: &a {{? {} : 1}}\nb: [{}1]\n",
        "x".repeat(20_000),
        "*a, ".repeat(5_000)
    );
    let anchors: String = (0..60).map(|n| format!("&a{n} [")).collect();
    let nested = format!("a: {anchors}{}{}\n", "1, ".repeat(5_000), "]".repeat(60));
    for text in [long_text, long_key, nested] {
        let Err(ConfigError::Invalid { problems, .. }) =
            folder.write("bundle.yml", text).load("bundle.yml")
        else {
            panic!("accepted");
        };
        assert_eq!(
            problems[0].message(),
            "the file holds too much for a config"
        );
    }
}

#[test]
fn yaml_versions() {
    let folder = rods();
    let values = [
        "yes",
        "off",
        "010",
        "0o17",
        "12:30",
        "1_000",
        "1e2",
        "1e-4",
        "-.5",
        "2025-12-18",
        "=",
    ];
    let mut text =
        "own:\n  bundle_name: own\n  model_path: models/bf_focus_v3.pth\n  model_args:\n"
            .to_owned();
    for (number, value) in values.iter().enumerate() {
        text += &format!("    a{number}: {value}\n");
    }
    text += "    on: 1\n    2025-12-18: 1\n    null: 1\n    99999999999999999999: 1\n    b: 99999999999999999999\n";
    insta::assert_snapshot!(said(&folder, &[yaml("readings", text)]));
}

#[test]
fn keys() {
    let folder = rods();
    let cases = [
        toml(
            "a misspelt model",
            "[bf_focsu]\nmodel_path = \"models/bf_focus_v3.pth\"\n",
        ),
        toml(
            "an unknown model",
            "[colony_counter]\nmodel_path = \"models/bf_focus_v3.pth\"\n",
        ),
        toml(
            "a misspelt key",
            "[bf_focus]\nmodel_paht = \"models/bf_focus_v3.pth\"\n",
        ),
        toml(
            "an argument beside its table",
            focus(
                "patch_size = 256\npmin = 1.0\ninferer_args = { overlap_ratio = 0.25, patch_size = 64 }",
            ),
        ),
        toml("a number as model", "bf_focus = 1\n"),
        yaml("an empty model", "bf_focus:\n"),
        yaml("an empty tracker", "tracker:\n"),
        yaml(
            "an integer as model",
            "1: {bundle_name: a, model_path: models/bf_focus_v3.pth}\n",
        ),
        toml(
            "bad names",
            "[own]\nbundle_name = \"a/b\"\nmodel_path = \"models/bf_focus_v3.pth\"\n[con]\nbundle_name = \"x\"\nmodel_path = \"models/bf_focus_v3.pth\"\n[\"a b\"]\nbundle_name = 1\nmodel_path = \"models/bf_focus_v3.pth\"\n",
        ),
        toml("a fixed name", focus("bundle_name = \"mine\"")),
        toml(
            "one name twice",
            "[a]\nbundle_name = \"x\"\nmodel_path = \"models/bf_focus_v3.pth\"\n[b]\nbundle_name = \"X\"\nmodel_path = \"models/bf_focus_v3.pth\"\n[A]\nbundle_name = \"y\"\nmodel_path = \"models/bf_focus_v3.pth\"\n",
        ),
        yaml(
            "a built config",
            "_bundle_metadata:\n  creation_date: '2025-12-18 15:30:42'\n",
        ),
        toml(
            "bundle",
            "[bundle]\nname = \"a.zip\"\nauto_date = \"no\"\ncreated = 2025-12-18 15:30:42\ntitle = 1\n[bundle.about]\nversion = 2.3\nautors = \"me\"\nauthors = [1]\n",
        ),
        toml(
            "more bundle",
            "[bundle]\nname = \"a/b\"\nauto_date = 1\ncreated = \"today\"\nabout = \"x\"\n",
        ),
        toml("no bundle", "bundle = 1\n"),
        toml("globals", focus("allow_globals = [\"os\", \"a.*\", 1]\n")),
        toml("no globals", focus("allow_globals = \"a.b\"\n")),
        toml("nothing", "\n"),
    ];
    insta::assert_snapshot!(said(&folder, &cases));
}

#[test]
fn arguments() {
    let folder = rods();
    let classifier = "[cell_classifier]\nmodel_path = \"models/resnet_classifier.pth\"\nmodel_metadata = \"metadata/resnet_classifier.json\"\n";
    let oof = "[oof_detector]\nmodel_path = \"models/oof_detector_rfdetr.pth\"\n";
    let sc = "[sc_segmenter]\nmodel_path = \"models/sc_segmenter.pth\"\n";
    let cases = [
        toml("a misspelt argument", inferer("half_percision = true")),
        toml(
            "types",
            focus(
                "inferer_args = { patch_size = 256.0, overlap_ratio = \"0.25\", half_precision = \"true\", scale_method = 1, scaler_args = 1 }",
            ),
        ),
        toml(
            "ranges",
            focus(
                "inferer_args = { patch_size = 0, overlap_ratio = 1, scaler_args = { pmin = -1, pmax = 101, bit_depth = 33 } }",
            ),
        ),
        toml(
            "not numbers",
            focus(
                "inferer_args = { patch_size = 64, overlap_ratio = nan, scaler_args = { pmin = 1, pmax = inf } }",
            ),
        ),
        toml(
            "missing arguments",
            focus("inferer_args = { half_precision = true }"),
        ),
        toml("an unknown scaling", inferer("scale_method = \"range_01\"")),
        toml(
            "a scaling of another model",
            inferer("scale_method = \"none\""),
        ),
        toml(
            "fixed range without depth",
            inferer("scale_method = \"fixed_range\""),
        ),
        toml(
            "percentiles turned round",
            inferer("scaler_args = { pmin = 99, pmax = 1 }"),
        ),
        toml("arguments are no table", focus("inferer_args = [1]")),
        toml(
            "arguments twice",
            format!(
                "{}\n",
                inferer(
                    "scaler_args = { pmin = 1, pmax = 2 }\n[bf_focus.scaler_args]\npmin = 1\npmax = 3"
                )
            ),
        ),
        toml(
            "classes the wrong way",
            format!("{classifier}model_args = {{ classes = {{ single-cell = 0 }} }}\n"),
        ),
        toml(
            "classes of numbers",
            format!("{classifier}model_args = {{ classes = {{ 0 = 1, -1 = \"a\" }} }}\n"),
        ),
        yaml(
            "classes in quotes",
            "cell_classifier:\n  model_path: models/resnet_classifier.pth\n  model_metadata: metadata/resnet_classifier.json\n  model_args:\n    classes:\n      '0': single-cell\n",
        ),
        toml(
            "detector's classes the wrong way",
            format!("{oof}inferer_args = {{ class_dict = {{ 0 = \"oof\" }} }}\n"),
        ),
        toml(
            "detector's classes",
            format!(
                "{oof}inferer_args = {{ class_dict = {{ oof = -1, a = \"b\" }}, compile_mode = true }}\n"
            ),
        ),
        toml(
            "segmenter",
            format!(
                "{sc}inferer_args = {{ mask_threshold = 1, priority_overlap_fraction = 0, batch_size = 0, temporal_buffer = 8, compile_mode = \"fast\" }}\n"
            ),
        ),
        toml(
            "dates and nulls",
            "[own]\nbundle_name = \"own\"\nmodel_path = \"models/bf_focus_v3.pth\"\nmodel_args = { day = 2025-12-18, big = 9223372036854775808 }\n",
        ),
        yaml(
            "nulls",
            "own:\n  bundle_name: own\n  model_path: models/bf_focus_v3.pth\n  model_args:\n    a: null\n    b: [~]\n    c:\n",
        ),
        toml(
            "several at once",
            "[bf_focus]\nmodel_path = \"models/bf_focsu_v3.pth\"\nmodel_metadata = 5\n[bf_focus.inferer_args]\npatch_sizes = 256\noverlap_ratio = 1.5\n[tracker]\nconfig = \"tracking_config.yml\"\n",
        ),
    ];
    insta::assert_snapshot!(said(&folder, &cases));
}

#[test]
fn files() {
    let folder = rods();
    folder
        .write(
            "models/lfs.pth",
            "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4\n",
        )
        .write("models/big.pth.dvc", "outs:\n")
        .write("store.dvc", "outs:\n")
        .write("models/weights", "weights")
        .write("models/list.json", "[1]")
        .write("models/table.csv", "1");
    let path = |path: &str| format!("[own]\nbundle_name = \"own\"\nmodel_path = \"{path}\"\n");
    let cases = [
        toml("missing", path("models/nothing.pth")),
        toml("misspelt", path("models/bf_focus_v3.pt")),
        toml("dvc", path("models/big.pth")),
        toml("dvc of a folder", path("store/big.pth")),
        toml("git-lfs", path("models/lfs.pth")),
        toml("a folder", path("models")),
        toml("home", path("~/a.pth")),
        toml("variables", path("${STORE}/a.pth")),
        toml("unset variables", path("${NOWHERE}/${STORE}/a.pth")),
        toml("bad variables", path("${a b}/c.pth")),
        toml("open variables", path("${STORE/c.pth")),
        toml("empty", path("")),
        toml("no extension", path("models/weights")),
        toml("a number", "[own]\nbundle_name = \"own\"\nmodel_path = 1\n"),
        toml("no path", "[own]\nbundle_name = \"own\"\n"),
        toml(
            "a classifier of the wrong type",
            "[pi_classification]\nmodel_path = \"models/table.csv\"\n",
        ),
        toml(
            "tests",
            inferer(
                "[bf_focus.test]\ninput = \"models/none.tif\"\nrtol = -1\natol = \"x\"\ninputs = 1\n",
            ),
        ),
        toml("no test", focus("test = 1")),
        toml(
            "a test without a type",
            inferer("[bf_focus.test]\ninput = \"models/weights\"\nexpected = \"models/table.csv\""),
        ),
    ];
    insta::assert_snapshot!(said(&folder, &cases));
}

#[test]
fn other_files() {
    let folder = rods();
    let tracker = |change: (&str, &str)| {
        let text = std::fs::read_to_string(super::fixture("rods/tracking_config.yml")).unwrap();
        text.replacen(change.0, change.1, 1)
    };
    folder
        .write("bad.json", "{\n  \"a\": 1,\n}\n")
        .write("twice.json", "{\n  \"a\": 1,\n  \"b\": {\"x\": 1, \"x\": 2},\n  \"a\": 3\n}\n")
        .write("list.json", "[1, 2]\n")
        .write("latin.json", b"{\"a\": \"\xE9\"}")
        .write("type.json", "{\"model_type\": \"rfdetrlarge\"}\n")
        .write("empty.yml", "")
        .write("exponent.yml", tracker(("1.0e-10", "1e-10")))
        .write("size.yml", tracker(("states: 6", "states: 5")))
        .write("word.yml", tracker(("- 0.0", "- zero")))
        .write("missing.yml", "motion_model:\n  measurements: 3\n  A: {}\n")
        .write("null.json", "{\"TrackerConfig\": {\"MotionModel\": {\"measurements\": 1, \"states\": 1, \"A\": {\"matrix\": [1]}, \"H\": {\"matrix\": [1]}, \"P\": {\"matrix\": [1]}, \"R\": {\"matrix\": [1]}, \"G\": {\"matrix\": [1]}, \"x\": null, \"y\": 12345678901234567890}}}");
    let metadata = |name: &str| {
        format!(
            "[oof_detector]\nmodel_path = \"models/oof_detector_rfdetr.pth\"\nmodel_metadata = \"{name}\"\n"
        )
    };
    let tracker = |name: &str| format!("[tracker]\nconfig_path = \"{name}\"\n");
    let cases = [
        toml("broken JSON", metadata("bad.json")),
        toml("keys twice", metadata("twice.json")),
        toml("a list", metadata("list.json")),
        toml("not UTF-8", metadata("latin.json")),
        toml("another detector", metadata("type.json")),
        toml("a tracker that is missing", tracker("tracking.yml")),
        toml("a tracker without path", "[tracker]\nfile = \"a\"\n"),
        toml("a tracker of another type", tracker("bundle.toml")),
        toml("an empty tracker", tracker("empty.yml")),
        toml(
            "an exponent that PyYAML takes for text",
            tracker("exponent.yml"),
        ),
        toml("matrices of the wrong size", tracker("size.yml")),
        toml("matrices of text", tracker("word.yml")),
        toml("missing matrices", tracker("missing.yml")),
        toml("null in JSON", tracker("null.json")),
    ];
    insta::assert_snapshot!(said(&folder, &cases));
}

#[test]
fn whole_files() {
    let folder = Folder::new();
    folder
        .write("latin.toml", b"# a\n# \xE9\n")
        .write("config.json", "{}")
        .write("large.yml", " ".repeat((1 << 20) + 1));
    let said: Vec<String> = ["none.toml", "latin.toml", "config.json", "large.yml"]
        .map(|name| folder.says(name))
        .into();
    insta::assert_snapshot!(said.join("\n"));
}
