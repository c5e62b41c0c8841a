//! A real config of seven models and a tracker, in both syntaxes.

use model_bundle::config::{Config, ModelKind};

use super::rods;

/// What a bundle is made from: all of a config but the places in its text.
pub fn content(config: &Config) -> String {
    let mut text = format!(
        "{:?} {:?} {:?} {:?}\n",
        config.name, config.auto_date, config.created, config.about
    );
    for model in &config.models {
        let files: Vec<_> = [
            Some(&model.weights),
            model.metadata.as_ref().map(|x| &x.file),
        ]
        .into_iter()
        .flatten()
        .map(|file| (&file.written, &file.path))
        .collect();
        let test = model.test.as_ref().map(|test| {
            let labels = test.labels.as_ref().map(|x| &x.written);
            let files = (&test.input.written, &test.expected.written, labels);
            (files, test.rtol, test.atol, test.mismatch_ppm)
        });
        text += &format!(
            "{} {:?} {} {} {files:?} {:?} {:?} {:?} {test:?} {:?}\n",
            model.key,
            model.kind,
            model.bundle_name,
            model.extension,
            model.metadata.as_ref().map(|x| &x.json),
            model.inferer_args,
            model.model_args,
            model.allow_globals,
        );
    }
    let tracker = config.tracker.as_ref();
    text += &format!("{:?}", tracker.map(|x| (&x.file.written, &x.yaml)));
    text
}

#[test]
fn both_syntaxes_give_the_same_config_without_a_warning() {
    let folder = rods();
    let yaml = folder.load("config_model_bundle.yml").unwrap();
    let toml = folder.load("bundle.toml").unwrap();
    assert_eq!(content(&yaml), content(&toml));
    assert_eq!(yaml.models.len(), 7);
    assert_eq!(yaml.models[0].kind, ModelKind::Nafnet);
    for config in [&yaml, &toml] {
        let said: String = config.warnings.iter().map(|x| folder.render(x)).collect();
        assert_eq!(said, "");
    }
}
