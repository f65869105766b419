"""What is printed on the things of the desk: papers, books, keys, mug, screen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from sample_scenes.noise import Pixels, fractal, to_floats, to_pixels
from sample_scenes.pictures import landscape
from sample_scenes.text import Colour, write, write_column

PAPER: Colour = (246, 244, 238)
INK: Colour = (34, 34, 42)

_ESSAY = (
    "Every photograph is a bundle of rays that met in one point. Take two of them and the rays "
    "that saw the same corner must cross; take forty, and the corners begin to argue about "
    "where the cameras stood. Structure from motion listens to the argument until nobody has "
    "anything new to say. It starts with a pair that sees the scene from two sides, sets a "
    "first handful of points, and lets every further picture find its place among them. After "
    "each step the whole net is pulled tight: points move, cameras turn, the focal length gives "
    "a little, and the errors that remain are those of the pixels. Bad matches are found by "
    "their stubbornness. A radiance field then asks a finer question, one for every ray: what "
    "light came along here? If the answer is blurred, the camera was wrong, and the field says "
    "by how much. "
)
_PROGRESS = (
    "ingest 36 photos",
    "features 118204",
    "matching 630 pairs",
    "verification 211",
    "mapping 36 of 36",
    "radiance step 4200",
)
_KEY_ROWS = (
    "Esc F1 F2 F3 F4 F5 F6 F7 F8 F9 F10 F11 F12 Del",
    "` 1 2 3 4 5 6 7 8 9 0 - = Back:2",
    "Tab:1.5 Q W E R T Y U I O P [ ] \\:1.5",
    "Caps:1.75 A S D F G H J K L ; ' Enter:2.25",
    "Shift:2.25 Z X C V B N M , . / Shift:2.75",
    "Ctrl:1.25 Win:1.25 Alt:1.25 _:6.25 Alt:1.25 Fn:1.25 Menu:1.25 Ctrl:1.25",
)


@dataclass(frozen=True)
class Book:
    """A book: title, author, cover and accent, size (width, height, thickness) in metres."""

    title: str
    author: str
    cover: Colour
    accent: Colour
    size: tuple[float, float, float]


BOOKS = (
    Book("EPIPOLAR TALES", "M. Essential", (158, 42, 43), (250, 226, 170), (0.165, 0.235, 0.034)),
    Book(
        "THE PATIENT BUNDLE", "L. Marquardt", (28, 74, 110), (238, 238, 232), (0.160, 0.225, 0.042)
    ),
    Book("FIELDS OF LIGHT", "R. Ance", (232, 178, 64), (52, 40, 30), (0.150, 0.215, 0.026)),
    Book("RAYS & ROTATIONS", "Q. Ternion", (44, 96, 72), (244, 220, 150), (0.170, 0.240, 0.030)),
    Book("NOTES ON NOISE", "G. Auss", (92, 60, 110), (236, 200, 222), (0.155, 0.220, 0.022)),
    Book(
        "A GARDEN OF DESCRIPTORS", "S. I. Ft", (222, 214, 196), (150, 50, 40), (0.180, 0.250, 0.038)
    ),
    Book("ON TRIANGULATION", "H. Artley", (30, 34, 44), (230, 120, 60), (0.160, 0.230, 0.031)),
    Book("THE LONG BASELINE", "A. Parallax", (120, 150, 160), (24, 36, 52), (0.175, 0.245, 0.028)),
)


def key_layout() -> list[tuple[str, float, float, float]]:
    """The keys as (label, left, top, width) in units of a key pitch."""
    keys = []
    for row, line in enumerate(_KEY_ROWS):
        x = 0.0
        for item in line.split():
            label, _, width = item.partition(":")
            keys.append((label.replace("_", ""), x, float(row), float(width or 1.0)))
            x += float(width or 1.0)
    return keys


def keycaps(rng: np.random.Generator, unit: int = 64) -> Pixels:
    """One picture of all keys, laid out like the keyboard; the margin below has their colour."""
    image = Image.new("RGB", (15 * unit, 7 * unit), (232, 230, 224))
    draw = ImageDraw.Draw(image)
    for label, x, y, width in key_layout():
        special = len(label) > 1 or not label
        fill = (232, 230, 224) if not special else (96, 112, 124)
        if label in ("Esc", "Enter"):
            fill = (212, 96, 62)
        corner = (x * unit, y * unit, (x + width) * unit, (y + 1) * unit)
        draw.rectangle(corner, fill=fill)
        ink = (40, 42, 50) if not special else (244, 242, 236)
        size = unit * (0.52 if len(label) == 1 else 0.30)
        place = (x * unit + unit * 0.22, y * unit + unit * 0.16)
        write(draw, place, label, size, ink, weight=1)
    return _worn(image, rng, 0.02)


def paper_page(rng: np.random.Generator, title: str, start: int, figure: bool) -> Pixels:
    """A printed A4 page, 3 pixels a millimetre, two columns, with a plot or a drawing."""
    image = Image.new("RGB", (630, 891), PAPER)
    draw = ImageDraw.Draw(image)
    write(draw, (48, 44), title, 34, INK, weight=1)
    draw.line([(48, 96), (582, 96)], fill=(170, 60, 50), width=4)
    words = " ".join((_ESSAY * 4).split()[start:])
    bottom = 520 if figure else 840
    write_column(draw, (48, 118, 302, bottom), words, 15.5, INK)
    write_column(draw, (328, 118, 582, 840), " ".join(words.split()[150:]), 15.5, INK)
    if figure:
        _scatter_plot(draw, (48, 545, 302, 820), rng)
    return _worn(image, rng, 0.008)


def _scatter_plot(
    draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], rng: np.random.Generator
) -> None:
    left, top, right, bottom = box
    draw.rectangle(box, outline=INK, width=2)
    palette = [(200, 60, 50), (40, 110, 160), (60, 140, 80)]
    for colour in palette:
        slope, offset = rng.uniform(-0.8, 0.8), rng.uniform(0.3, 0.7)
        for x in rng.uniform(0.03, 0.97, 26):
            y = np.clip(offset + slope * (x - 0.5) + rng.normal(0, 0.06), 0.04, 0.96)
            px, py = left + x * (right - left), bottom - y * (bottom - top)
            draw.ellipse((px - 4, py - 4, px + 4, py + 4), fill=colour)
        ends = [np.clip(offset + slope * (x - 0.5), 0.02, 0.98) for x in (0.0, 1.0)]
        height = bottom - top
        draw.line(
            [(left, bottom - ends[0] * height), (right, bottom - ends[1] * height)],
            fill=colour,
            width=3,
        )


def notebook_page(rng: np.random.Generator) -> Pixels:
    """A squared page with a hand-drawn pyramid of rays and some formulas."""
    image = Image.new("RGB", (480, 660), (250, 247, 236))
    draw = ImageDraw.Draw(image)
    for at in range(0, 660, 16):
        draw.line([(0, at), (480, at)], fill=(196, 210, 222), width=1)
        draw.line([(at, 0), (at, 660)], fill=(196, 210, 222), width=1)
    blue = (28, 52, 140)
    eyes = [(90, 330), (250, 400), (400, 330)]
    corners = [(200, 110), (290, 100), (330, 190), (190, 205)]
    for eye in eyes:
        for corner in corners:
            draw.line([eye, corner], fill=blue, width=2)
        draw.ellipse((eye[0] - 7, eye[1] - 7, eye[0] + 7, eye[1] + 7), fill=(190, 40, 40))
    draw.polygon(corners, outline=(20, 20, 30), width=4)
    write(draw, (36, 30), "x' F x = 0", 40, blue, weight=1)
    write(draw, (36, 440), "t = -R c", 40, blue, weight=1)
    write(draw, (230, 452), "8 points, 7 would do", 22, (190, 40, 40))
    for row in range(5):
        y, x = 520 + 24 * row, 36.0
        while x < 420:
            length = float(rng.uniform(14, 60))
            wave = [(x + t, y + 4 * np.sin(t * 0.7 + x)) for t in np.arange(0, length, 2.5)]
            draw.line(wave, fill=blue, width=2)
            x += length + 12
    return _worn(image, rng, 0.008)


def sticky_note(rng: np.random.Generator, words: str, colour: Colour) -> Pixels:
    """A square note with a few large words."""
    image = Image.new("RGB", (228, 228), colour)
    draw = ImageDraw.Draw(image)
    for row, line in enumerate(words.split("/")):
        write(draw, (18, 26 + 50 * row), line, 39, (40, 40, 60), weight=1)
    return _worn(image, rng, 0.012)


def book_cover(book: Book, rng: np.random.Generator) -> Pixels:
    """The front of a book, 3 pixels a millimetre."""
    width, height = round(book.size[0] * 3000), round(book.size[1] * 3000)
    image = Image.new("RGB", (width, height), book.cover)
    draw = ImageDraw.Draw(image)
    draw.rectangle((18, 18, width - 19, height - 19), outline=book.accent, width=4)
    words = book.title.split()
    for row, word in enumerate(words):
        write(draw, (44, 50 + 66 * row), word, 56, book.accent, weight=2)
    middle = (width * 0.55, height * 0.66)
    for spoke in rng.uniform(0, 2 * np.pi, 16):
        length = width * rng.uniform(0.16, 0.36)
        end = (middle[0] + length * np.cos(spoke), middle[1] + length * 0.8 * np.sin(spoke))
        draw.line([middle, end], fill=book.accent, width=4)
        draw.ellipse((end[0] - 9, end[1] - 9, end[0] + 9, end[1] + 9), fill=book.accent)
    write(draw, (44, height - 76), book.author, 34, book.accent, weight=1)
    return _worn(image, rng, 0.03)


def book_spine(book: Book, rng: np.random.Generator) -> Pixels:
    """The spine lying on its side, text running right, 4 pixels a millimetre."""
    width, height = round(book.size[1] * 4000), round(book.size[2] * 4000)
    image = Image.new("RGB", (width, height), book.cover)
    draw = ImageDraw.Draw(image)
    for at in (0.035, 0.055, 0.945, 0.965):
        draw.line([(at * width, 0), (at * width, height)], fill=book.accent, width=6)
    size = min(height * 0.52, width * 0.62 / (0.62 * len(book.title)))
    write(draw, (width * 0.09, height / 2), book.title, size, book.accent, weight=2, anchor="lm")
    write(draw, (width * 0.92, height / 2), book.author, height * 0.26, book.accent, anchor="rm")
    return _worn(image, rng, 0.03)


def page_edges(rng: np.random.Generator) -> Pixels:
    """The edge of a block of pages, the sheets along the rows."""
    shade = 1.0 + 0.09 * fractal((96, 512), (1.6, 200.0), 2, rng)
    return to_pixels(np.array([0.92, 0.88, 0.78]) * shade[..., None])


def mug_wrap(rng: np.random.Generator) -> Pixels:
    """The print round the mug, seen from outside."""
    image = Image.new("RGB", (1024, 380), (240, 236, 226))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 300, 1024, 380), fill=(32, 78, 98))
    for at in range(0, 1024, 64):
        points = [(at, 300), (at + 32, 262), (at + 64, 300)]
        draw.polygon(points, fill=(226, 120, 62) if at % 128 else (236, 178, 74))
    for start in (96, 608):
        write(draw, (start, 70), "barfield", 104, (32, 78, 98), weight=4)
        write(draw, (start + 6, 190), "photos in, 3D out", 44, (206, 84, 52), weight=1)
    for _ in range(40):
        x, y = rng.uniform(0, 1024), rng.uniform(8, 50)
        draw.ellipse((x - 5, y - 5, x + 5, y + 5), fill=(32, 78, 98))
    return _worn(image, rng, 0.012)


def screen(rng: np.random.Generator) -> Pixels:
    """What the monitor shows: a landscape with a terminal window over it."""
    view = landscape((675, 1200), rng, (0.13, 0.30, 0.56), (0.98, 0.66, 0.42))
    image = Image.fromarray(view)
    draw = ImageDraw.Draw(image)
    draw.rectangle((40, 60, 520, 372), fill=(18, 22, 30))
    draw.rectangle((40, 60, 520, 92), fill=(58, 66, 82))
    for at, colour in ((62, (236, 96, 86)), (88, (240, 190, 80)), (114, (104, 200, 110))):
        draw.ellipse((at - 8, 68, at + 8, 84), fill=colour)
    write(draw, (210, 65), "barfield run desk", 20, (226, 230, 236))
    for row, line in enumerate(_PROGRESS):
        y = 108 + 42 * row
        write(draw, (62, y), line, 25, (160, 222, 170))
        draw.rectangle((330, y + 8, 500, y + 24), outline=(90, 110, 130), width=2)
        draw.rectangle((330, y + 8, 500 - 14 * row, y + 24), fill=(226, 140, 72))
    draw.rectangle((0, 645, 1200, 675), fill=(24, 26, 34))
    for at in range(8):
        red, green, blue = (int(c) for c in rng.integers(90, 250, 3))
        box = (420 + 46 * at, 650, 440 + 46 * at, 670)
        draw.rectangle(box, fill=(red, green, blue))
    write(draw, (1110, 649), "14:36", 20, (230, 230, 230))
    return np.asarray(image)


def puzzle_face(rng: np.random.Generator) -> Pixels:
    """One face of a colour cube, scrambled."""
    image = Image.new("RGB", (192, 192), (22, 22, 24))
    draw = ImageDraw.Draw(image)
    palette = [
        (196, 30, 40),
        (250, 250, 245),
        (250, 205, 40),
        (30, 130, 70),
        (24, 80, 170),
        (240, 120, 30),
    ]
    for row in range(3):
        for column in range(3):
            corner = (8 + 60 * column, 8 + 60 * row, 62 + 60 * column, 62 + 60 * row)
            draw.rounded_rectangle(corner, 8, fill=palette[int(rng.integers(6))])
    return _worn(image, rng, 0.015)


def ruler_scale() -> Pixels:
    """A wooden ruler of 30 cm, 4 pixels a millimetre."""
    image = Image.new("RGB", (1240, 128), (222, 186, 120))
    draw = ImageDraw.Draw(image)
    for millimetre in range(301):
        length = 50 if millimetre % 10 == 0 else 36 if millimetre % 5 == 0 else 22
        x = 20 + 4 * millimetre
        draw.line([(x, 0), (x, length)], fill=(40, 30, 20), width=2)
        if millimetre % 10 == 0:
            write(draw, (x, 56), str(millimetre // 10), 30, (40, 30, 20), anchor="ma")
    return np.asarray(image)


def _worn(image: Image.Image, rng: np.random.Generator, amount: float) -> Pixels:
    shape = (image.height, image.width)
    clouds = fractal(shape, max(shape) / 5, 6, rng, 0.65)
    return to_pixels(to_floats(image) * (1.0 + amount * clouds)[..., None])
