"""The parameters' form without a terminal: what is typed, what it would do, what was changed."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from pipeline.config import RunConfig
from pipeline.engine.messages import StageView
from pipeline.errors import PipelineError
from pipeline.events import ParameterChanged
from pipeline.request import Change, GivenPaths, RunRequest
from pipeline.run_directory import RunDirectory
from pipeline.settings import changed_config, load_settings, parameters
from tests.dashboard.configured import ConfiguredRun, answer_of, field_of, known_of
from tests.dashboard.recorded import RecordedRun
from tui.dashboard.parameters_effect import (
    Known,
    effect_of,
    look_up,
    objection,
    reach_of,
    undoable,
)
from tui.dashboard.parameters_form import fields_of, groups_of, matches, value_as_typed
from tui.dashboard.parameters_save import free_name, save_settings
from tui.dashboard.parameters_typed import Refused, read_value

ALL = tuple(fields_of(answer_of(RunConfig())).values())

RIGHT: tuple[tuple[str, str, JsonValue], ...] = (
    ("mapping.max_reprojection_error_px", "3.5", 3.5),
    ("mapping.max_reprojection_error_px", " 1e1 ", 10.0),
    ("mapping.max_reprojection_error_px", ".5", 0.5),
    ("mapping.min_resection_inliers", "12", 12),
    ("mapping.min_resection_inliers", "1_000", 1000),
    ("mapping.min_resection_inliers", "12.0", 12),
    ("mapping.refine_focal", "no", False),
    ("mapping.refine_focal", "True", True),
    ("mapping.loss", "HUBER", "huber"),
    ("mapping.loss", "none", "none"),
    ("features.first_octave", "0", 0),
    ("features.first_octave", "-1", -1),
    ("ingest.masks", "", ""),
    ("ingest.masks", "[a] b", "[a] b"),
    ("radiance.rays", "none", None),
    ("radiance.rays", "", None),
    ("radiance.rays", "null", None),
    ("radiance.rays", "512", 512),
    ("radiance.exposure", "yes", True),
    ("radiance.exposure", "none", None),
    ("planar.methods", "barf, none", ["barf", "none"]),
    ("planar.methods", '["full"]', ["full"]),
)

WRONG = (
    ("mapping.max_reprojection_error_px", "", "type a value: >0 to 50"),
    ("mapping.max_reprojection_error_px", "0", "more than 0 px"),
    ("mapping.max_reprojection_error_px", "50.01", "at most 50 px"),
    ("mapping.max_reprojection_error_px", "3,5", "with a point: 3.5"),
    ("mapping.max_reprojection_error_px", "3 px", "a number, not '3 px'"),
    ("mapping.max_reprojection_error_px", "nan", "has an end"),
    ("mapping.max_reprojection_error_px", "-inf", "has an end"),
    ("mapping.max_reprojection_error_px", "1e999", "has an end"),
    ("mapping.max_reprojection_error_px", "1" * 5000, "at most 40 characters"),
    ("mapping.max_reprojection_error_px", "٣", "a number"),
    ("mapping.max_reprojection_error_px", ".", "a number"),
    ("mapping.max_reprojection_error_px", "true", "a number"),
    ("mapping.max_reprojection_error_px", "\x1b[31m4", "a number, not '?[31m4'"),
    ("verification.confidence", "1", "less than 1"),
    ("mapping.min_initial_angle_deg", "90", "less than 90 deg"),
    ("mapping.min_resection_inliers", "5", "at least 6"),
    ("mapping.min_resection_inliers", "7.5", "a whole number"),
    ("mapping.min_resection_inliers", "7,5", "a whole number"),
    ("mapping.min_resection_inliers", "1e999", "has an end"),
    ("mapping.min_resection_inliers", "1" * 5000, "at most 40 characters"),
    ("pairs.seed", "10,000", "without ,: 10000"),
    ("mapping.refine_focal", "2", "true or false, not '2'"),
    ("mapping.refine_focal", "", "true or false"),
    ("mapping.refine_focal", "none", "true or false"),
    ("mapping.loss", "hub", "did you mean huber?"),
    ("mapping.loss", "couchy", "did you mean cauchy?"),
    ("mapping.loss", "zzz", "one of none, huber, soft_l1, cauchy"),
    ("features.first_octave", "1", "one of -1, 0"),
    ("features.first_octave", "x", "a number"),
    ("radiance.rays", "8", "at least 16"),
    ("radiance.rays", "auto", "a number"),
    ("radiance.exposure", "maybe", "true or false or none"),
    ("planar.methods", "barf, braf", "did you mean barf?"),
    ("planar.methods", "[barf", "a list is written"),
    ("planar.methods", "[" * 5000, "a list is written"),
)


@pytest.mark.parametrize(("name", "text", "value"), RIGHT)
def test_what_is_typed_is_read_by_its_schema(name: str, text: str, value: JsonValue) -> None:
    read = read_value(field_of(name), text)
    assert read == value and type(read) is type(value)
    assert objection(known_of(), {name: read}) == ""


@pytest.mark.parametrize(("name", "text", "words"), WRONG)
def test_what_cannot_be_is_refused_saying_what_can(name: str, text: str, words: str) -> None:
    with pytest.raises(Refused) as refused:
        read_value(field_of(name), text)
    assert words in str(refused.value)
    assert len(str(refused.value)) < 100 and str(refused.value).isprintable()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("planar.methods", [], "at least 1 item"),
        ("planar.methods", ["barf", "barf"], "each method once"),
        ("features.peak_threshold", 0.01, ""),
    ],
)
def test_what_no_bounds_say_is_checked_by_the_configuration(
    name: str, value: JsonValue, words: str
) -> None:
    wrong = objection(known_of(), {name: value})
    assert words in wrong and bool(wrong) == bool(words)


def test_settings_that_contradict_each_other_are_refused() -> None:
    known = known_of(features__preset="lowe")
    assert "does nothing while features.preset" in objection(
        known, {"features.peak_threshold": 0.01}
    )


@pytest.mark.parametrize("field", ALL, ids=lambda field: field.name)
def test_every_default_can_be_typed_as_it_is_shown(field) -> None:  # type: ignore[no-untyped-def]
    assert read_value(field, value_as_typed(field.view.default)) == field.view.default
    for value in field.steps:
        assert read_value(field, value_as_typed(value)) == value


@given(field=st.sampled_from(ALL), text=st.text(max_size=60))
def test_nothing_that_is_typed_does_harm(field, text: str) -> None:  # type: ignore[no-untyped-def]
    try:
        value, wrong = read_value(field, text), ""
    except Refused as refused:
        value, wrong = field.view.default, str(refused)
    assert wrong.isprintable()
    objection(known_of(), {field.name: value})


def test_the_form_has_every_parameter_stages_of_the_run_first() -> None:
    fields = fields_of(answer_of(RunConfig()))
    groups = groups_of(fields, ("planar",))
    assert groups[0].stage == "planar" and "BARF" in groups[0].about
    assert {field.name for group in groups for field in group.fields} == set(parameters())
    found = [f.name for f in fields.values() if matches(f, "reprojection PX")]
    assert "mapping.max_reprojection_error_px" in found and len(found) < 5
    assert any(matches(f, "min_resection_inliers live") for f in fields.values())


STAGES = (
    StageView(name="features", state="done", seconds=30.0),
    StageView(name="matching", state="skipped", seconds=40.0),
    StageView(name="mapping", state="started", seconds=50.0),
    StageView(name="radiance", state="waiting"),
)


def test_what_a_change_makes_stale_is_told_before() -> None:
    known = known_of()
    effect = effect_of(known, {"matching.ratio": 0.7}, STAGES)
    assert effect.reruns == ("matching", "mapping") and effect.lost_s == 90.0
    live = effect_of(known, {"mapping.loss": "huber"}, STAGES)
    assert live.live == ("mapping",) and not live.reruns
    assert "between two steps of mapping" in live.in_words()
    assert effect_of(known, {"mapping.seed": 1}, STAGES).reruns == ("mapping",)
    assert effect_of(known, {"radiance.steps": 9}, STAGES).later == ("radiance",)
    assert effect_of(known, {"planar.patches": 9}, STAGES).nowhere == ("planar",)
    assert effect_of(known, {"cluster.workers": 2}, STAGES).fixed == ("cluster.workers",)
    assert effect_of(known, {"matching.ratio": 0.8}, STAGES).in_words() == ""
    assert reach_of(field_of("features.sigma"), STAGES).reruns[0] == "features"


def test_what_follows_from_a_change_is_told_and_follows_anew() -> None:
    effect = effect_of(known_of(), {"verification.guided": False}, STAGES)
    assert effect.follows == {"matching.preview_keypoints": 0} and "matching" in effect.reruns
    change = Change(
        parameter="verification.guided", old=True, new=False, by="x", revision=1, time=0.0
    )
    request = RunRequest(paths=GivenPaths(photos=Path("/p")), out=Path("/o"), changes=(change,))
    now = changed_config(RunConfig(), {"verification.guided": False})
    known = Known(answer_of(now, 1), request)
    back = effect_of(known, {"verification.guided": True}, STAGES)
    assert back.follows == {"matching.preview_keypoints": 1024}


def test_parameters_of_a_later_version_are_left_to_the_engine() -> None:
    answer = answer_of(RunConfig())
    views = {**answer.parameters, "mapping.new": answer.parameters["mapping.seed"]}
    known = Known(answer.model_copy(update={"parameters": views}))
    assert known.config is None and objection(known, {"mapping.new": 3}) == ""
    assert effect_of(known, {"mapping.new": 3}, STAGES).in_words() == ""


def test_undo_goes_back_one_change_after_the_other() -> None:
    values: list[JsonValue] = [1, 2, 3]
    made = [ParameterChanged("a.b", old, new, "x", 0) for old, new in pairwise(values)]
    assert undoable(made) == made[1]
    made.append(ParameterChanged("a.b", 3, 2, "x", 0))
    assert undoable(made) == made[0]
    made.append(ParameterChanged("a.b", 2, 1, "x", 0))
    assert undoable(made) is None


class WithoutEngine(RecordedRun):
    """Nobody answers."""

    def config(self):  # type: ignore[no-untyped-def]
        raise PipelineError("The run does not go on", "No engine.", "Start it again.")


def test_without_an_engine_the_parameters_are_those_of_the_request(tmp_path: Path) -> None:
    root = tmp_path / "run"
    assert look_up(WithoutEngine(root)).problem == "The run does not go on"
    change = Change(parameter="mapping.loss", old="cauchy", new="huber", by="x", revision=4, time=0)
    with RunDirectory(root, "test") as directory:
        directory.write_request(
            RunRequest(paths=GivenPaths(photos=tmp_path), out=root, changes=(change,))
        )
    known = look_up(WithoutEngine(root))
    assert known.answer.parameters["mapping.loss"].value == "huber" and known.answer.revision == 4
    (root / "request.json").write_text("{")
    assert look_up(WithoutEngine(root)).answer.parameters == {}
    assert look_up(ConfiguredRun(root)).answer.parameters


def test_a_saved_file_is_one_that_the_program_reads(tmp_path: Path) -> None:
    config = changed_config(
        RunConfig(),
        {"verification.guided": False, "radiance.rays": 99, "ingest.masks": 'a "b" \\ ü'},
    )
    path = save_settings(free_name(tmp_path, "garden"), config)
    assert path == tmp_path / "garden.toml" and load_settings(path) == config
    assert free_name(tmp_path, "garden") == tmp_path / "garden-2.toml"
    before = path.read_bytes()
    with pytest.raises(PipelineError, match="there already"):
        save_settings(path, RunConfig())
    assert path.read_bytes() == before
    link = tmp_path / "link.toml"
    link.symlink_to(tmp_path / "nowhere.toml")
    with pytest.raises(PipelineError, match="there already"):
        save_settings(link, RunConfig())
    with pytest.raises(PipelineError, match="no folder"):
        save_settings(tmp_path / "none" / "a.toml", RunConfig())
    for name in (str(path / "b.toml"), "a\0b", "n" * 300):
        with pytest.raises(PipelineError):
            save_settings(tmp_path / name, RunConfig())
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["garden.toml", "link.toml"]
