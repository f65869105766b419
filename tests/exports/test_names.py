"""Names of photographs that other programs can read."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.exports.names import NameRules, names_for

NAMES = st.lists(
    st.tuples(
        st.sampled_from(["", "a/", "b /"]),
        st.text("ä_ 12", min_size=1, max_size=3),
        st.sampled_from([".jpg", ".JPG", ".webp"]),
    ).map("".join),
    unique=True,
    max_size=12,
)


def test_names_stay_where_the_rules_allow() -> None:
    names = ["a b/c.jpg", "d.tif", "föto.jpg"]
    assert names_for(names, NameRules()) == dict(zip(names, names, strict=True))
    assert list(names_for(names, NameRules(flat=True)).values()) == ["c.jpg", "d.tif", "föto.jpg"]


def test_what_is_not_allowed_is_changed() -> None:
    rules = NameRules(flat=True, no_spaces=True, suffixes=(".jpg",))
    found = names_for(["a/1.jpg", "b/1.jpg", "c d.JPG", "e\t.webp", "b_1.jpg"], rules)
    assert found == {
        "a/1.jpg": "a_1.jpg",
        "b/1.jpg": "b_1.jpg",
        "c d.JPG": "c_d.JPG",
        "e\t.webp": "e_.png",
        "b_1.jpg": "b_1_2.jpg",
    }


@settings(derandomize=True, deadline=None, max_examples=40)
@given(NAMES, st.booleans(), st.booleans())
def test_new_names_are_all_unlike(names: list[str], flat: bool, no_spaces: bool) -> None:
    found = names_for(names, NameRules(flat, no_spaces, (".jpg",)))
    assert list(found) == names and len(set(found.values())) == len(names)
    for name in found.values():
        assert not (flat and "/" in name) and not (no_spaces and " " in name)
        assert name.lower().endswith((".jpg", ".png"))
