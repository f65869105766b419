"""The screen that tests look at: what Textual sends, and what it is to be passed over."""

from __future__ import annotations

from tests.tui.screen_text import ScreenText


def shown(*pieces: str, size: tuple[int, int] = (10, 3)) -> list[str]:
    screen = ScreenText(*size)
    for piece in pieces:
        screen.feed(piece.encode())
    return screen.text.split("\n")


def test_text_goes_where_the_cursor_is() -> None:
    assert shown("\x1b[2;3Hab\x1b[1;1Hc") == ["c", "  ab", ""]
    assert shown("a\r\nb\x1b[Ac\x1b[5Gd") == ["ac  d", "b", ""]
    assert shown("0123456789ab") == ["0123456789", "ab", ""]
    assert shown("a\r\nb\r\nc\r\nd") == ["b", "c", "d"]


def test_what_only_changes_the_look_is_passed_over() -> None:
    assert shown("\x1b[?2026h\x1b[1;38;2;1;2;3ma\x1b[0mb\x1b]52;c;Zm9v\x07c\x1b[>1u") == [
        "abc", "", "",
    ]  # fmt: skip


def test_sequences_and_characters_may_come_in_pieces() -> None:
    data = "\x1b[2;3Hé\x1b]0;title\x1b\\x".encode()
    screen = ScreenText(10, 3)
    for byte in data:
        screen.feed(bytes([byte]))
    assert screen.text.split("\n") == ["", "  éx", ""]


def test_wide_characters_take_two_cells_and_erasing_leaves_blanks() -> None:
    assert shown("写a\x1b[1;3Hb") == ["写b", "", ""]
    assert shown("abc\x1b[1;2H\x1b[K") == ["a", "", ""]
    assert shown("abc\x1b[2J") == ["", "", ""]
    assert shown("abc\x1b[?1049hd") == ["d", "", ""]


def test_colours_are_part_of_the_look() -> None:
    plain, marked = ScreenText(4, 1), ScreenText(4, 1)
    plain.feed(b"ab")
    marked.feed(b"\x1b[7ma\x1b[0mb")
    assert plain.text == marked.text and plain.look != marked.look
    assert plain.look[1:] == marked.look[1:]
