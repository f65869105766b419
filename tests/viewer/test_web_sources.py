"""The client's sources: what they say of messages, and what is pinned."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from pipeline.engine.messages import message_schemas
from pipeline.events import KINDS
from pipeline.scene_answer import SceneAnswer
from pipeline.view_requests import FrameHeader, ViewRequest
from viewer.web.build import WEB

_MESSAGES = (WEB / "src" / "messages.ts").read_text()
_FIELD = re.compile(r"^  (\w+)\??:", re.MULTILINE)
_SCHEMAS: dict[str, dict[str, Any]] = {
    **message_schemas(),
    "SceneAnswer": SceneAnswer.model_json_schema(),
    "FrameHeader": FrameHeader.model_json_schema(),
    "ViewRequest": ViewRequest.model_json_schema(),
}
_OURS_ALONE = {"FrameHeader": {"kind"}}  # of the container around it
_THEIRS_ALONE = {"FrameHeader": {"viewer"}, "ViewRequest": {"viewer"}}  # the engine fills it in


def _interface(name: str) -> set[str]:
    found = re.search(rf"^export interface {name} \{{\n(.*?)^\}}", _MESSAGES, re.M | re.S)
    assert found is not None, f"messages.ts has no {name}"
    return set(_FIELD.findall(found[1]))


@pytest.mark.parametrize(
    "name",
    [
        "RunView", "StageView", "MetricView", "EventsAnswer", "Answer", "ParameterView",
        "ConfigAnswer", "LogAnswer", "MetricAnswer", "Bucket", "SceneAnswer", "FrameHeader",
        "ViewRequest",
    ],
)  # fmt: skip
def test_types_have_the_fields_of_the_messages(name: str) -> None:
    schema = _SCHEMAS.get(name) or _definition(name)
    theirs = set(schema["properties"]) - _THEIRS_ALONE.get(name, set())
    assert _interface(name) - _OURS_ALONE.get(name, set()) == theirs


def _definition(name: str) -> dict[str, Any]:
    for schema in _SCHEMAS.values():
        if name in schema.get("$defs", {}):
            definition: dict[str, Any] = schema["$defs"][name]
            return definition
    raise AssertionError(f"no message has a {name}")


def test_every_kind_of_event_is_known() -> None:
    told = re.search(r"^export type RunEvent = .*?^  \);", _MESSAGES, re.M | re.S)
    assert told is not None
    assert set(KINDS) <= set(re.findall(r'kind: "(\w+)"', told[0]))


def test_packages_are_pinned_and_no_address_is_in_the_lock_file() -> None:
    package = json.loads((WEB / "package.json").read_text())
    wanted = {**package["dependencies"], **package["devDependencies"]}
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in wanted.values())
    text = (WEB / "package-lock.json").read_text()
    assert "://" not in text
    locked = json.loads(text)["packages"]
    assert {name: locked[f"node_modules/{name}"]["version"] for name in wanted} == wanted
    assert all("integrity" in entry for place, entry in locked.items() if place)


def test_sources_make_no_markup_of_text() -> None:
    for path in (WEB / "src").rglob("*.ts"):
        text = path.read_text()
        for danger in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert danger not in text, f"{path.name}: {danger}"
        assert not re.search(r"https?://", text), f"{path.name} names another host"
