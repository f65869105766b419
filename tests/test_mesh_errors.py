"""Meshes against true surfaces: known errors come out, and what is not seen counts not."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.geometry.arrays import Float64s
from pipeline.geometry.cameras import Camera
from pipeline.geometry.poses import Pose, rotation_from_rotvec
from pipeline.mesh_errors import MeshErrors, Surface, mesh_errors
from pipeline.visibility import Viewpoint, nearest_triangles, times_seen
from tests.geometry.test_surfaces import grid

CAMERA = Camera("SIMPLE_RADIAL", 640, 480, np.array([500.0, 320.0, 240.0, -0.03]))


def views() -> list[Viewpoint]:
    """Five cameras along x that look down +z: scene size 1."""
    centers = [np.array([x, 0.0, 0.0]) for x in (-1.0, -0.5, 0.0, 0.5, 1.0)]
    return [Viewpoint.of(CAMERA, Pose(np.eye(3), -center)) for center in centers]


def wall(
    depth: float, side: float = 3.0, n: int = 30, middle: tuple[float, float] = (0, 0)
) -> Surface:
    vertices, triangles = grid(n, side)
    corner = np.array([middle[0] - side / 2, middle[1] - side / 2, depth])
    return Surface(vertices + corner, triangles)


def joined(first: Surface, second: Surface) -> Surface:
    assert first.triangles is not None and second.triangles is not None
    triangles = np.concatenate([first.triangles, second.triangles + len(first.vertices)])
    return Surface(np.concatenate([first.vertices, second.vertices]), triangles)


def errors(mesh: Surface, true: Surface, viewpoints: list[Viewpoint] | None = None) -> MeshErrors:
    return mesh_errors(mesh, true, viewpoints or views(), judged=10_000, spacing=0.02)


def test_a_surface_against_itself_cut_otherwise_has_no_error() -> None:
    found = errors(wall(4.0, n=30), wall(4.0, n=7))
    assert found.mean_relative is not None and 0.0 <= found.mean_relative < 1e-4
    assert found.within_1_percent == 1.0 and not found.reason


def test_a_known_distance_and_a_known_gap_come_out() -> None:
    """The mesh is 5 mm before the wall, and lacks a quarter of it."""
    whole = wall(4.0)
    assert whole.triangles is not None
    middles = whole.vertices[whole.triangles].mean(axis=1)
    kept = (middles[:, 0] < 0.0) | (middles[:, 1] < 0.0)
    mesh = Surface(whole.vertices - (0.0, 0.0, 0.005), whole.triangles[kept])
    found = errors(mesh, whole)
    assert found.mean_distance == pytest.approx(0.005, rel=0.01)
    assert found.mean_relative == found.mean_distance  # the scene size is 1
    assert found.median_relative == pytest.approx(0.005, rel=0.01)
    assert found.within_1_percent == pytest.approx(0.75, abs=0.01)  # a border of 9 mm is found
    json = found.to_json()
    assert list(json)[:4] == [
        "mean_distance",
        "mean_relative",
        "median_relative",
        "within_1_percent",
    ]


def test_what_is_hidden_counts_on_neither_side() -> None:
    """A wall 1 behind the other, of half its size: no camera sees it, in the truth or the mesh."""
    hidden = wall(5.0, side=1.0)
    for mesh, true in (
        (wall(4.0), joined(wall(4.0), hidden)),
        (joined(wall(4.0), hidden), wall(4.0)),
    ):
        found = errors(mesh, true)
        assert found.mean_relative is not None and found.mean_relative < 1e-4
        assert found.within_1_percent == 1.0
    before = errors(joined(wall(4.0), wall(3.0, side=1.0)), wall(4.0))
    assert before.mean_relative is not None
    assert 0.05 < before.mean_relative < 0.15  # a share of one ninth, one away


def test_what_only_one_camera_sees_counts_not() -> None:
    """The first camera's frame ends 2.56 left of its centre at depth 4; the second's 0.5 later."""
    left = wall(4.0, side=0.4, n=10, middle=(-3.32, 0.0))
    found = errors(joined(wall(4.0), left), wall(4.0))
    assert found.mean_relative is not None and found.mean_relative < 1e-4


def test_a_cloud_as_the_truth_counts_as_a_whole() -> None:
    rng = np.random.default_rng(5)
    cloud = np.column_stack([rng.uniform(-1.5, 1.5, (60_000, 2)), np.full(60_000, 4.004)])
    found = errors(wall(4.0), Surface(cloud, None))
    # Half the mean gap of 12 mm is added at right angles to the 4 mm.
    assert found.mean_distance is not None and 0.004 < found.mean_distance < 0.009
    assert found.within_1_percent == 1.0


def test_nothing_to_see_says_so() -> None:
    nothing = Surface(np.zeros((0, 3)), np.zeros((0, 3), np.int64))
    assert "the mesh has nothing" in errors(nothing, wall(4.0)).reason
    behind = errors(wall(4.0), wall(-4.0))
    assert "the true surface has nothing" in behind.reason and behind.mean_distance is None
    assert "one place" in errors(wall(4.0), wall(4.0), views()[:1]).reason


def test_a_board_hides_the_wall_close_behind_it() -> None:
    """A board 8 mm before a wall, both at a slant, is seen, and what it covers of the wall not;
    what is beside it is, up to its border."""
    turn = rotation_from_rotvec(np.array([0.3, -0.9, 0.1]))
    back, board = wall(0.0), wall(-0.008, side=1.0, n=4)
    both = joined(back, board)
    assert both.triangles is not None
    rng = np.random.default_rng(8)
    flat = np.column_stack([rng.uniform(-1.3, 1.3, (4000, 2)), np.zeros(4000)])
    covered = (np.abs(flat[:, :2]) < 0.46).all(axis=1)  # a pixel is 2 cm there
    free = (np.abs(flat[:, :2]) > 0.53).any(axis=1)
    place = np.array([0.0, 0.0, 4.0])
    seen = times_seen(
        flat @ turn.T + place, both.vertices @ turn.T + place, both.triangles, views()
    )
    assert (seen[free] == 5).all() and free.sum() > 1000
    assert (seen[covered] == 0).all() and covered.sum() > 400
    on_board = flat[covered] - (0.0, 0.0, 0.008)
    seen = times_seen(
        on_board @ turn.T + place, both.vertices @ turn.T + place, both.triangles, views()
    )
    assert (seen == 5).all()


def test_the_border_of_a_surface_before_nothing_is_seen() -> None:
    """Pixels that show nothing at its border hide nothing either, whichever way it is turned."""
    for turn in (np.eye(3), rotation_from_rotvec(np.array([0.2, 1.2, 0.0]))):
        surface = wall(0.0, side=1.0, n=3)
        assert surface.triangles is not None
        along = np.linspace(-0.4999, 0.4999, 200)
        border = np.column_stack([along, np.full(200, 0.4999), np.zeros(200)])
        border = np.concatenate([border, border[:, [1, 0, 2]], -border, -border[:, [1, 0, 2]]])
        place = np.array([0.0, 0.0, 4.0])
        vertices = surface.vertices @ turn.T + place
        seen = times_seen(border @ turn.T + place, vertices, surface.triangles, views())
        assert (seen == 5).all()


def test_the_nearest_triangles_are_those_that_rays_meet() -> None:
    """Against the plane's equation at every pixel, and with a nearer triangle before it."""
    turn = rotation_from_rotvec(np.array([0.3, -0.4, 0.1]))
    place = np.array([0.2, 0.1, 4.0])
    flat = wall(0.0, side=4.0, n=5)
    triangles = flat.triangles
    assert triangles is not None
    view = Viewpoint.of(CAMERA, Pose.identity(), 160)
    pixels, depth = view.project(flat.vertices @ turn.T + place)
    found = nearest_triangles(pixels, depth, triangles, 160, 120)
    y, x = np.divmod(np.arange(120 * 160), 160)
    rays = np.column_stack([view.camera.unproject(np.column_stack([x, y]) + 0.5), np.ones(len(x))])
    met = (turn[:, 2] @ place) / (rays @ turn[:, 2])
    places = ((met[:, None] * rays - place) @ turn).reshape(120, 160, 3)  # on the wall
    np.testing.assert_array_equal(found >= 0, (np.abs(places[..., :2]) <= 2.0).all(axis=2))
    assert 0.5 < (found >= 0).mean() < 1.0
    corners = flat.vertices[triangles[found[found >= 0]]][..., :2]
    at = places[found >= 0][:, None, :2]
    sides = np.roll(corners, -1, axis=1) - corners
    turned = sides[..., 0] * (at - corners)[..., 1] - sides[..., 1] * (at - corners)[..., 0]
    assert ((turned >= -1e-9).all(axis=1) | (turned <= 1e-9).all(axis=1)).all()

    near = np.array([[-0.2, -0.2, 1.0], [0.3, -0.2, 1.0], [0.0, 0.3, 1.0]])
    more = np.concatenate([triangles, [np.arange(3) + len(flat.vertices)]])
    pixels, depth = view.project(np.concatenate([flat.vertices @ turn.T + place, near]))
    both = nearest_triangles(pixels, depth, more, 160, 120)
    assert both[60, 80] == len(triangles)
    assert ((both == found) | (both == len(triangles))).all()


def test_triangles_behind_the_camera_hide_nothing() -> None:
    points: Float64s = np.array([[0.0, 0.0, 4.0], [0.0, 0.0, -4.0], [9.0, 0.0, 4.0]])
    behind = joined(wall(4.0), wall(-1.0))
    assert behind.triangles is not None
    seen = times_seen(points, behind.vertices, behind.triangles, views())
    np.testing.assert_array_equal(seen, [5, 0, 0])
