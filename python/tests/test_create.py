"""``create_model_bundle`` stands where HiTMicTools' function stood."""

import datetime
import json
import shutil
import warnings
import zipfile

import pytest
import yaml

import model_bundle
from model_bundle import BundleWarning, create_model_bundle


def packed(path):
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture
def lab(tmp_path):
    """A folder of a lab: a YAML with absolute paths, as its scripts write them, and weights that are none."""
    (tmp_path / "w.pth").write_text("no weights at all")
    (tmp_path / "pi.pkl").write_text("no classifier either")
    (tmp_path / "m.json").write_text(json.dumps({"model_type": "test", "order": [2, 1]}))

    def write(**models):
        path = tmp_path / "models_info.yml"
        path.write_text(yaml.safe_dump(models, sort_keys=False))
        return path

    write.folder = tmp_path
    write.focus = {
        "model_path": str(tmp_path / "w.pth"),
        "model_metadata": str(tmp_path / "m.json"),
        "inferer_args": {"patch_size": 256},
    }
    write.pi = {"model_path": str(tmp_path / "pi.pkl")}
    return write


def test_what_hitmictools_packs_is_packed_and_what_is_odd_is_said(lab):
    config = lab(bf_focus=lab.focus, pi_classification=lab.pi)
    output = lab.folder / "deep" / "er" / "b.zip"
    with pytest.warns(BundleWarning) as said:
        path = create_model_bundle(str(config), str(output), auto_date=False)
    assert path == str(output) and isinstance(path, str)
    texts = [str(warning.message) for warning in said]
    assert any("overlap_ratio" in text for text in texts)
    assert any("it is text" in text for text in texts)
    assert said[0].filename == __file__

    entries = packed(path)
    assert entries["models/NAFNet-bf_focus_restoration.pth"] == b"no weights at all"
    assert entries["models/PIClassifier.pkl"] == b"no classifier either"
    metadata = json.loads(entries["metadata/NAFNet-bf_focus_restoration.json"])
    assert metadata == {"model_type": "test", "order": [2, 1], "original_name": "w.pth"}
    inner = yaml.safe_load(entries["config.yml"])
    assert inner["bf_focus"]["inferer_args"] == {"patch_size": 256}
    assert inner["_bundle_metadata"]["source_config"] == "models_info.yml"
    assert (lab.folder / "models_info.lock").exists() or (lab.folder / "bundle.lock").exists()


def test_the_date_in_the_name_is_the_lock_s(lab, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1766050200")
    config = lab(bf_focus=lab.focus)
    with pytest.warns(BundleWarning):
        path = create_model_bundle(config, lab.folder / "b.zip")
    assert path == str(lab.folder / "b_20251218.zip")
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    with pytest.warns(BundleWarning):
        assert create_model_bundle(config, lab.folder / "b.zip") == path

    other = lab.folder / "other"
    other.mkdir()
    shutil.copy(config, other / "models_info.yml")
    with pytest.warns(BundleWarning):
        path = create_model_bundle(other / "models_info.yml", lab.folder / "c.zip")
    created = yaml.safe_load(packed(path)["config.yml"])["_bundle_metadata"]["creation_date"]
    day = datetime.datetime.strptime(created, "%Y-%m-%d %H:%M:%S").strftime("%Y%m%d")
    assert path == str(lab.folder / f"c_{day}.zip")


def test_what_is_there_is_overwritten(lab):
    output = lab.folder / "b.zip"
    output.write_text("anything")
    with pytest.warns(BundleWarning):
        create_model_bundle(lab(bf_focus=lab.focus), output, auto_date=False)
    assert zipfile.is_zipfile(output)


def test_nothing_is_said_of_what_is_in_order(rods, tmp_path):
    shutil.copytree(rods, tmp_path / "rods")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        path = create_model_bundle(
            tmp_path / "rods" / "config_model_bundle.yml", tmp_path / "b.zip", auto_date=False
        )
    assert list(model_bundle.load(path)) == list(yaml.safe_load(packed(path)["config.yml"]))[1:]
    assert model_bundle.verify(path)


def test_what_hitmictools_passes_over_is_passed_over(lab):
    config = lab(
        bf_focus={**lab.focus, "note": "mine", "test": 3},
        my_model=lab.focus,
        fl_focus={"model_metadata": str(lab.folder / "m.json")},
        segmentation={**lab.focus, "model_metadata": str(lab.folder / "none.json")},
        tracker={"config_path": str(lab.folder / "none.yml")},
    )
    with pytest.warns(BundleWarning) as said:
        path = create_model_bundle(config, lab.folder / "b.zip", auto_date=False)
    texts = "\n".join(str(warning.message) for warning in said)
    for word in ("note", "my_model", "`fl_focus` has no `model_path`", "none.json", "none.yml"):
        assert word in texts
    entries = packed(path)
    inner = yaml.safe_load(entries["config.yml"])
    assert set(inner) == {"_bundle_metadata", "bf_focus", "segmentation"}
    assert "note" not in inner["bf_focus"]
    assert json.loads(entries["metadata/MonaiUnet-segmentation.json"]) == {"original_name": "w.pth"}
    assert "config_tracker.yml" not in entries


def test_arguments_that_no_loader_takes_are_packed_as_they_are(lab):
    arguments = {"patch_size": "large", "overlap_ratio": 2, "own": [1, {"a": True}]}
    config = lab(bf_focus={**lab.focus, "inferer_args": arguments})
    with pytest.warns(BundleWarning):
        path = create_model_bundle(config, lab.folder / "b.zip", auto_date=False)
    assert yaml.safe_load(packed(path)["config.yml"])["bf_focus"]["inferer_args"] == arguments


def test_exceptions_are_hitmictools(lab):
    config = lab(bf_focus=lab.focus)
    with pytest.raises(FileNotFoundError):
        create_model_bundle(lab.folder / "none.yml", lab.folder / "b.zip")
    with pytest.raises(FileNotFoundError):
        create_model_bundle(lab.folder / "none.yml", lab.folder / "b.tar.gz")
    with pytest.raises(ValueError, match="does not end in `.zip`"):
        create_model_bundle(config, lab.folder / "b.tar.gz")
    (lab.folder / "w.pth").unlink()
    with pytest.raises(FileNotFoundError, match="w.pth"):
        create_model_bundle(config, lab.folder / "b.zip")
    assert not list(lab.folder.glob("b*.zip"))


def test_what_may_do_harm_is_refused(lab):
    (lab.folder / "w.pth").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(ValueError, match="system") as raised:
        create_model_bundle(lab(bf_focus=lab.focus), lab.folder / "b.zip")
    assert isinstance(raised.value, model_bundle.RefusedError)
    (lab.folder / "w.pth").write_text("harmless")
    (lab.folder / "m.json").write_text("{")
    with pytest.raises(ValueError, match="JSON"):
        create_model_bundle(lab(bf_focus=lab.focus), lab.folder / "b.zip")
