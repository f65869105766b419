"""Settings from file and command line; what is wrong is named with its place and a suggestion."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import JsonValue

from pipeline.config import RunConfig
from pipeline.request import GivenPaths, RunRequest
from pipeline.settings import (
    HELD_INTRINSICS,
    SettingsError,
    changed_config,
    load_settings,
    parameter,
    parameters,
    parse_assignment,
    settings_as_toml,
)


def test_the_command_line_wins_over_the_file_and_the_file_over_defaults(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text("[matching]\nratio = 0.7\nmutual = false\n")
    config = load_settings(file, ["matching.ratio=0.75"], {"ingest": {"cameras": "single"}})
    assert config.matching.ratio == 0.75
    assert config.matching.mutual is False
    assert config.matching.max_distance == RunConfig().matching.max_distance
    assert config.ingest.cameras == "single"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("mapping.refine_focal=false", False),
        ("mapping.loss=huber", "huber"),
        ('mapping.loss="huber"', "huber"),
        (" mapping.seed = 3 ", 3),
        ("ingest.masks=my masks", "my masks"),
        ("radiance.rays=null", None),
        ("ingest.masks=nan", "nan"),
    ],
)
def test_an_assignment_reads_toml_values_and_plain_text(text: str, value: object) -> None:
    ((fields,),) = [parse_assignment(text).values()]
    assert list(fields.values()) == [value]


@pytest.mark.parametrize(
    ("assignment", "words", "hint"),
    [
        ("matching.rato=0.7", "no matching.rato", "matching.ratio"),
        ("matchin.ratio=0.7", "no matchin", "matching"),
        ("matching.ratio=7", "matching.ratio = 7", "nearest"),
        ("matching.ratio=much", "matching.ratio = 'much'", "nearest"),
        ("mapping.loss=cubic", "mapping.loss = 'cubic'", "robust loss"),
        ("matching.ratio", "not of the form", "--set"),
        ("=3", "not of the form", "--set"),
        ("zzz.ratio=1", "no zzz", "ingest"),
        ("matching.ratio=nan", "matching.ratio = 'nan': Input should be a finite", "nearest"),
        ("mapping.loss=-inf", "mapping.loss = '-inf'", "robust loss"),
        ("mapping.loss=2020-02-02", "mapping.loss = '2020-02-02'", "robust loss"),
        (f"matching.ratio={'9' * 5000}", "matching.ratio = '999", "nearest"),
        (f"matching.ratio={'[' * 5000}", "matching.ratio = '[[[", "nearest"),
    ],
)
def test_wrong_assignments_are_named(assignment: str, words: str, hint: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(None, [assignment])
    assert words in caught.value.message and "command line" in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[matching]\nrato = 0.7", "no matching.rato"),
        ("matching = 3", "is a section"),
        ("[matching", "Expected"),
        ("[features]\nsigma = nan", "features.sigma"),
        (f"[matching]\nratio = {'9' * 5000}", "digits"),
    ],
)
def test_wrong_files_are_named(tmp_path: Path, content: str, words: str) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text(content)
    with pytest.raises(SettingsError) as caught:
        load_settings(file)
    assert str(file) in caught.value.message and words in caught.value.message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.toml"):
        load_settings(tmp_path / "none.toml")


def test_run_toml_is_a_config_file(tmp_path: Path) -> None:
    config = load_settings(
        None, ['ingest.masks="a\\"b"', "features.peak_threshold=1e-7"], {"mapping": HELD_INTRINSICS}
    )
    file = tmp_path / "run.toml"
    file.write_text(settings_as_toml(config), encoding="utf-8")
    assert "\n# rays =\n" in file.read_text()  # TOML has no word for what a preset decides
    assert load_settings(file) == config
    assert "# nearest" not in settings_as_toml(config).splitlines()[0]


def test_without_guided_matching_all_keypoints_are_compared() -> None:
    assert load_settings(None, ["verification.guided=false"]).matching.preview_keypoints == 0
    assert load_settings().matching.preview_keypoints > 0


@pytest.mark.parametrize(
    ("file_text", "assignments", "overrides", "words"),
    [
        ("", ["mapping.refine_focal=true"], {"mapping": HELD_INTRINSICS}, "mapping.refine_focal"),
        ("", ["ingest.cameras=auto"], {"ingest": {"cameras": "single"}}, "ingest.cameras"),
        ("", ["features.preset=lowe", "features.peak_threshold=0.01"], {}, "peak_threshold"),
        ("[features]\npreset = 'lowe'", ["features.peak_threshold=0.01"], {}, "peak_threshold"),
        ("[features]\npreset = 'lowe'\npeak_threshold = 0.01", [], {}, "peak_threshold"),
        ("", ["verification.guided=no", "matching.preview_keypoints=9"], {}, "preview_keypoints"),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_refused(
    tmp_path: Path,
    file_text: str,
    assignments: list[str],
    overrides: dict[str, dict[str, object]],
    words: str,
) -> None:
    file = tmp_path / "c.toml"
    file.write_text(file_text)
    with pytest.raises(SettingsError, match="Contradicting") as caught:
        load_settings(file, assignments, overrides)
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("first", "assignments", "overrides"),
    [
        ([], ["mapping.refine_focal=no"], {"mapping": HELD_INTRINSICS}),
        (["mapping.refine_focal=true"], [], {"mapping": HELD_INTRINSICS}),
        (["features.peak_threshold=0.01"], ["features.preset=lowe"], {}),
        ([], ["verification.guided=false", "matching.preview_keypoints=0"], {}),
        (["matching.preview_keypoints=9"], ["verification.guided=false"], {}),
        ([], ["verification.guided=false"], {}),
    ],
)
def test_the_later_word_is_no_contradiction_and_its_run_toml_is_a_config_file(
    tmp_path: Path,
    first: list[str],
    assignments: list[str],
    overrides: dict[str, dict[str, object]],
) -> None:
    file = tmp_path / "run.toml"
    file.write_text(settings_as_toml(load_settings(None, first)))
    config = load_settings(file, assignments, overrides)
    if overrides:
        assert config.mapping.refine_focal is False
    if not config.verification.guided:
        assert config.matching.preview_keypoints == 0
    if config.features.preset == "lowe":
        assert config.features.peak_threshold == RunConfig().features.peak_threshold
    file.write_text(settings_as_toml(config))
    assert load_settings(file) == config


def test_without_poses_the_mesh_is_of_the_field(tmp_path: Path) -> None:
    assert load_settings(route="unposed").mesh.source == "field"
    assert load_settings().mesh.source == "photographs"
    file = tmp_path / "run.toml"  # of a run with poses, which says all
    file.write_text(settings_as_toml(load_settings()))
    assert load_settings(file, route="unposed").mesh.source == "field"
    with pytest.raises(SettingsError, match="Contradicting") as caught:
        load_settings(file, ["mesh.source=photographs"], route="unposed")
    assert "mesh.source = 'photographs' does nothing with --poses none" in caught.value.message
    assert load_settings(None, ["mesh.source=field"], route="unposed").mesh.source == "field"


@pytest.mark.parametrize("asked", [RunConfig(), load_settings(route="unposed")])
def test_a_run_without_poses_keeps_the_mesh_of_its_field(asked: RunConfig) -> None:
    paths = GivenPaths(photos=Path("/p"))
    request = RunRequest(paths=paths, out=Path("/o"), kind="unposed", config=asked)
    assert request.current_config().mesh.source == "field"
    with pytest.raises(SettingsError, match="with --poses none"):
        request.current_config({"mesh.source": "photographs"})
    mapped = request.model_copy(update={"kind": "scene", "config": RunConfig()})
    assert mapped.current_config({"mesh.source": "field"}).mesh.source == "field"


def test_a_change_changes_nothing_else() -> None:
    config = load_settings(None, ["matching.ratio=0.7"])
    changed = changed_config(
        config, {"mapping.max_reprojection_error_px": 3, "mapping.loss": "none"}
    )
    assert parameter(changed, "mapping.max_reprojection_error_px") == 3.0
    assert changed.mapping.loss == "none" and changed.matching == config.matching
    back: dict[str, JsonValue] = {
        "mapping.max_reprojection_error_px": 4.0,
        "mapping.loss": "cauchy",
    }
    assert changed_config(changed, back) == config
    assert changed_config(config, {}) == config


def test_a_change_may_settle_another_parameter() -> None:
    start = RunConfig()
    changed = changed_config(start, {"verification.guided": False})
    assert changed.matching.preview_keypoints == 0
    assert changed_config(start, {"verification.guided": True}) == start
    with pytest.raises(SettingsError, match="does nothing"):
        changed_config(changed, {"matching.preview_keypoints": 9})
    both: dict[str, JsonValue] = {"verification.guided": True, "matching.preview_keypoints": 9}
    assert changed_config(changed, both).matching.preview_keypoints == 9


@pytest.mark.parametrize(
    ("key", "value", "words", "hint"),
    [
        ("matching.rato", 0.7, "no matching.rato", "matching.ratio"),
        ("matchin.ratio", 0.7, "no matchin", "matching"),
        ("matching", 0.7, "no matching.", "ratio"),
        ("matching.ratio.x", 0.7, "no matching.ratio.x", "matching.ratio"),
        ("", 1, "there is no", "Known"),
        ("matching.ratio", 7, "matching.ratio = 7", "nearest"),
        ("matching.ratio", None, "matching.ratio = None", "nearest"),
        ("matching.ratio", [0.7] * 10_000, "matching.ratio = [0.7, ", "nearest"),
        ("mapping.loss", {"a": 1}, "mapping.loss = {", "robust loss"),
        ("mapping.loss_scale_px", 10**400, "mapping.loss_scale_px = 1000", "loss"),
    ],
)
def test_wrong_changes_are_named(key: str, value: JsonValue, words: str, hint: str) -> None:
    with pytest.raises(SettingsError) as caught:
        changed_config(RunConfig(), {key: value})
    assert words in caught.value.message and "the change" in caught.value.message
    assert len(caught.value.message) < 400
    assert hint in caught.value.hint


def test_every_parameter_tells_a_form_what_it_is() -> None:
    known = parameters()
    ratio = known["matching.ratio"]
    assert (ratio.default, ratio.unit) == (0.8, "")
    assert ratio.bounds == {"type": "number", "exclusiveMinimum": 0.0, "maximum": 1.0}
    error = known["mapping.max_reprojection_error_px"]
    assert (error.unit, error.applies) == ("px", "live")
    rays = known["radiance.rays"].bounds
    assert rays == {"type": ["integer", "null"], "minimum": 16, "maximum": 1_048_576}
    assert known["mapping.loss"].bounds["enum"] == ["none", "huber", "soft_l1", "cauchy"]
    for key, info in known.items():
        assert info.effect and info.applies in ("live", "stage", "restart"), key
        assert info.default == parameter(RunConfig(), key)
        assert json.loads(json.dumps(info.default)) == info.default, key
        assert "type" in info.bounds, key
    with pytest.raises(SettingsError, match=r"no matching\.rato"):
        parameter(RunConfig(), "matching.rato")
