//! A real config of seven models and a tracker, in both syntaxes.

use model_bundle::config::ModelKind;

use super::rods;

#[test]
fn both_syntaxes_give_the_same_config_without_a_warning() {
    let folder = rods();
    let yaml = folder.load("config_model_bundle.yml").unwrap();
    let toml = folder.load("bundle.toml").unwrap();
    assert_eq!(yaml, toml);
    assert_eq!(yaml.models.len(), 7);
    assert_eq!(yaml.models[0].kind, ModelKind::Nafnet);
    for config in [&yaml, &toml] {
        let said: String = config.warnings.iter().map(|x| folder.render(x)).collect();
        assert_eq!(said, "");
    }
}
