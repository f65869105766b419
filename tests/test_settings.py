"""Settings from file and command line; what is wrong is named with its place and a suggestion."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.config import RunConfig
from pipeline.settings import (
    HELD_INTRINSICS,
    SettingsError,
    load_settings,
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
    assert load_settings(file) == config
    assert "# nearest" not in settings_as_toml(config).splitlines()[0]


def test_without_guided_matching_all_keypoints_are_compared() -> None:
    assert load_settings(None, ["verification.guided=false"]).matching.preview_keypoints == 0
    assert load_settings().matching.preview_keypoints > 0
