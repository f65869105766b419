"""Points from tracks, given the cameras: filter, complete, merge and triangulate in one pass.

The structure is a function of the cameras and the tracks: after every change of the cameras one
call drops what no longer fits, adds what now fits and triangulates what is left. A track may hold
two points, so that one wrong match does not cost the others their point.

The rules are COLMAP's (incremental triangulator; observation filter), applied per track.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numba
import numpy as np

from pipeline.geometry.arrays import Bools, Float64s, Int64s

SLOTS = 2  # points that one track may hold
FREE = -1
_MAX_HYPOTHESES = 80
_GAUSS_NEWTON_STEPS = 4


class Views(NamedTuple):
    """Cameras: registered (I,), cam_from_world as R (I, 3, 3) and t (I, 3), OPENCV parameters k
    (I, 8)."""

    registered: Bools
    R: Float64s
    t: Float64s
    k: Float64s


class Sightings(NamedTuple):
    """Tracks: starts (T + 1,); per observation its image (N,), pixel px (N, 2), camera centre
    origins (N, 3) and unit ray (N, 3) in the world."""

    starts: Int64s
    images: Int64s
    px: Float64s
    origins: Float64s
    rays: Float64s


class Structure(NamedTuple):
    """Points: obs_slot (N,) int8, which of its track's points an observation sees, or FREE;
    has_point (T, SLOTS); points (T, SLOTS, 3)."""

    obs_slot: Any
    has_point: Bools
    points: Float64s


class Rules(NamedTuple):
    """limit2: largest squared reprojection error in pixels. cos_min: cosine of the least
    triangulation angle."""

    limit2: float
    cos_min: float


@numba.njit(cache=True)
def project(x: Any, y: Any, z: Any, k: Any) -> tuple[float, float]:
    """Pixel of a point in the camera frame; k: the eight OPENCV parameters."""
    u, v = x / z, y / z
    r2 = u * u + v * v
    radial = 1.0 + r2 * (k[4] + r2 * k[5])
    du = u * radial + 2.0 * k[6] * u * v + k[7] * (r2 + 2.0 * u * u)
    dv = v * radial + 2.0 * k[7] * u * v + k[6] * (r2 + 2.0 * v * v)
    return k[0] * du + k[2], k[1] * dv + k[3]


@numba.njit(cache=True)
def _error2(X: Any, o: int, seen: Any, views: Any) -> Any:
    """Squared reprojection error of point X at observation o, infinite behind the camera."""
    i = seen.images[o]
    R, t = views.R[i], views.t[i]
    z = R[2, 0] * X[0] + R[2, 1] * X[1] + R[2, 2] * X[2] + t[2]
    if z <= 1e-9:
        return math.inf
    x = R[0, 0] * X[0] + R[0, 1] * X[1] + R[0, 2] * X[2] + t[0]
    y = R[1, 0] * X[0] + R[1, 1] * X[1] + R[1, 2] * X[2] + t[1]
    u, v = project(x, y, z, views.k[i])
    return (u - seen.px[o, 0]) ** 2 + (v - seen.px[o, 1]) ** 2


@numba.njit(cache=True)
def _solve3(A: Any, b: Any, out: Any) -> bool:
    """Solve a symmetric 3x3 system; False when it is singular."""
    c00 = A[1, 1] * A[2, 2] - A[1, 2] * A[1, 2]
    c01 = A[0, 2] * A[1, 2] - A[0, 1] * A[2, 2]
    c02 = A[0, 1] * A[1, 2] - A[0, 2] * A[1, 1]
    determinant = A[0, 0] * c00 + A[0, 1] * c01 + A[0, 2] * c02
    scale = A[0, 0] + A[1, 1] + A[2, 2]
    if determinant <= 1e-14 * scale * scale * scale:
        return False
    c11 = A[0, 0] * A[2, 2] - A[0, 2] * A[0, 2]
    c12 = A[0, 1] * A[0, 2] - A[0, 0] * A[1, 2]
    c22 = A[0, 0] * A[1, 1] - A[0, 1] * A[0, 1]
    out[0] = (c00 * b[0] + c01 * b[1] + c02 * b[2]) / determinant
    out[1] = (c01 * b[0] + c11 * b[1] + c12 * b[2]) / determinant
    out[2] = (c02 * b[0] + c12 * b[1] + c22 * b[2]) / determinant
    return True


@numba.njit(cache=True)
def _nearest_to_rays(members: Any, count: int, origins: Any, rays: Any, X: Any) -> bool:
    """The point nearest to the rays of the members, in the least-squares sense."""
    A, b = np.zeros((3, 3)), np.zeros(3)
    for m in range(count):
        d, c = rays[members[m]], origins[members[m]]
        dc = d[0] * c[0] + d[1] * c[1] + d[2] * c[2]
        for p in range(3):
            for q in range(3):
                A[p, q] -= d[p] * d[q]
            A[p, p] += 1.0
            b[p] += c[p] - d[p] * dc
    return bool(_solve3(A, b, X))


@numba.njit(cache=True)
def _refine(members: Any, count: int, seen: Any, views: Any, X: Any) -> None:
    """Gauss-Newton on the reprojection errors of the members; numeric in the distortion only."""
    R, t, k = views.R, views.t, views.k
    step, trial = np.empty(3), np.empty(3)
    cost = 0.0
    for m in range(count):
        cost += _error2(X, members[m], seen, views)
    for _ in range(_GAUSS_NEWTON_STEPS):
        A, b = np.zeros((3, 3)), np.zeros(3)
        for m in range(count):
            i, px = seen.images[members[m]], seen.px[members[m]]
            x = R[i, 0, 0] * X[0] + R[i, 0, 1] * X[1] + R[i, 0, 2] * X[2] + t[i, 0]
            y = R[i, 1, 0] * X[0] + R[i, 1, 1] * X[1] + R[i, 1, 2] * X[2] + t[i, 1]
            z = R[i, 2, 0] * X[0] + R[i, 2, 1] * X[1] + R[i, 2, 2] * X[2] + t[i, 2]
            if z <= 1e-9:
                return
            u, v = project(x, y, z, k[i])
            eu, ev = px[0] - u, px[1] - v
            # The pinhole slope is near enough: the step is only accepted when the cost falls.
            fu, fv = k[i, 0] / z, k[i, 1] / z
            for p in range(3):
                jp = fu * (R[i, 0, p] - x / z * R[i, 2, p])
                lp = fv * (R[i, 1, p] - y / z * R[i, 2, p])
                b[p] += jp * eu + lp * ev
                for q in range(3):
                    A[p, q] += jp * fu * (R[i, 0, q] - x / z * R[i, 2, q])
                    A[p, q] += lp * fv * (R[i, 1, q] - y / z * R[i, 2, q])
        if not _solve3(A, b, step):
            return
        new_cost = 0.0
        for p in range(3):
            trial[p] = X[p] + step[p]
        for m in range(count):
            new_cost += _error2(trial, members[m], seen, views)
        if not new_cost < cost:
            return
        gained = cost - new_cost
        cost = new_cost
        X[0], X[1], X[2] = trial[0], trial[1], trial[2]
        if gained < 1e-4 * cost:
            return


@numba.njit(cache=True)
def _cos_of_widest(X: Any, members: Any, count: int, origins: Any) -> float:
    """Cosine of the largest angle under which the point sees two of the origins."""
    smallest = 1.0
    for m in range(count):
        a = origins[members[m]]
        a0, a1, a2 = a[0] - X[0], a[1] - X[1], a[2] - X[2]
        na = math.sqrt(a0 * a0 + a1 * a1 + a2 * a2)
        for n in range(m):
            b = origins[members[n]]
            b0, b1, b2 = b[0] - X[0], b[1] - X[1], b[2] - X[2]
            nb = math.sqrt(b0 * b0 + b1 * b1 + b2 * b2)
            if na > 0.0 and nb > 0.0:
                smallest = min(smallest, (a0 * b0 + a1 * b1 + a2 * b2) / (na * nb))
    return smallest


@numba.njit(cache=True)
def _gather(slot: int, obs: Any, count: int, obs_slot: Any, members: Any) -> int:
    """Members of a slot among the track's registered observations."""
    n = 0
    for m in range(count):
        if obs_slot[obs[m]] == slot:
            members[n] = obs[m]
            n += 1
    return n


@numba.njit(cache=True)
def _best_hypothesis(free: Any, count: int, seen: Any, views: Any, rules: Any, X: Any) -> int:
    """Two-view points of (a spread of) the pairs; X becomes the one that most observations fit."""
    pairs = count * (count - 1) // 2
    stride = max(1, (pairs + _MAX_HYPOTHESES - 1) // _MAX_HYPOTHESES)
    two, candidate = np.empty(2, np.int64), np.empty(3)
    best, best_error, number = 0, math.inf, 0
    for m in range(count):
        for n in range(m):
            number += 1
            if number % stride:
                continue
            two[0], two[1] = free[m], free[n]
            if not _nearest_to_rays(two, 2, seen.origins, seen.rays, candidate):
                continue
            if _cos_of_widest(candidate, two, 2, seen.origins) > rules.cos_min:
                continue
            inliers, error = 0, 0.0
            for o in range(count):
                e2 = _error2(candidate, free[o], seen, views)
                if e2 < rules.limit2:
                    inliers += 1
                    error += e2
            if inliers > best or (inliers == best and error < best_error):
                best, best_error = inliers, error
                X[0], X[1], X[2] = candidate[0], candidate[1], candidate[2]
    return best


@numba.njit(cache=True)
def _keep(members: Any, count: int, X: Any, limit2: float, seen: Any, views: Any) -> int:
    """Compact the members to those that see X within the limit; returns how many."""
    kept = 0
    for m in range(count):
        if _error2(X, members[m], seen, views) < limit2:
            members[kept] = members[m]
            kept += 1
    return kept


@numba.njit(cache=True)
def _filter(
    track: int,
    obs: Any,
    count: int,
    seen: Any,
    views: Any,
    structure: Any,
    rules: Any,
    members: Any,
) -> None:
    """Free observations and drop points that no longer fit."""
    for slot in range(SLOTS):
        if not structure.has_point[track, slot]:
            continue
        X = structure.points[track, slot]
        n = _gather(slot, obs, count, structure.obs_slot, members)
        for m in range(n):
            structure.obs_slot[members[m]] = FREE
        kept = _keep(members, n, X, rules.limit2, seen, views)
        if kept >= 2 and _cos_of_widest(X, members, kept, seen.origins) <= rules.cos_min:
            for m in range(kept):
                structure.obs_slot[members[m]] = slot
        else:
            structure.has_point[track, slot] = False


@numba.njit(cache=True)
def _merge(
    track: int,
    obs: Any,
    count: int,
    seen: Any,
    views: Any,
    structure: Any,
    rules: Any,
    members: Any,
) -> None:
    """Make the track's two points one if every observation of both fits it."""
    sizes = np.zeros(SLOTS)
    total = 0
    for m in range(count):
        if structure.obs_slot[obs[m]] != FREE:
            sizes[structure.obs_slot[obs[m]]] += 1
            members[total] = obs[m]
            total += 1
    points = structure.points
    X = (points[track, 0] * sizes[0] + points[track, 1] * sizes[1]) / (sizes[0] + sizes[1])
    _refine(members, total, seen, views, X)
    for m in range(total):
        if not _error2(X, members[m], seen, views) < rules.limit2:
            return
    for m in range(total):
        structure.obs_slot[members[m]] = 0
    points[track, 0] = X
    structure.has_point[track, 1] = False


@numba.njit(cache=True)
def _complete(
    track: int, obs: Any, count: int, seen: Any, views: Any, structure: Any, rules: Any
) -> None:
    """Give free observations to the nearest of the track's points that they see."""
    for m in range(count):
        if structure.obs_slot[obs[m]] != FREE:
            continue
        nearest = rules.limit2
        for slot in range(SLOTS):
            if structure.has_point[track, slot]:
                e2 = _error2(structure.points[track, slot], obs[m], seen, views)
                if e2 < nearest:
                    nearest = e2
                    structure.obs_slot[obs[m]] = slot


@numba.njit(cache=True)
def _create(
    track: int,
    obs: Any,
    count: int,
    seen: Any,
    views: Any,
    structure: Any,
    rules: Any,
    members: Any,
) -> None:
    """Triangulate points from the free observations into the free slots."""
    X = np.empty(3)
    for slot in range(SLOTS):
        if structure.has_point[track, slot]:
            continue
        free = _gather(FREE, obs, count, structure.obs_slot, members)
        if free < 2 or _best_hypothesis(members, free, seen, views, rules, X) < 2:
            return
        kept = _keep(members, free, X, rules.limit2, seen, views)
        _refine(members, kept, seen, views, X)
        kept = _keep(members, kept, X, rules.limit2, seen, views)
        if kept < 2 or _cos_of_widest(X, members, kept, seen.origins) > rules.cos_min:
            return
        for m in range(kept):
            structure.obs_slot[members[m]] = slot
        structure.has_point[track, slot] = True
        structure.points[track, slot] = X


@numba.njit(cache=True, nogil=True)
def update_points(
    first: int, last: int, tracks: Any, seen: Any, views: Any, structure: Any, rules: Any
) -> None:
    """Bring the points of ``tracks[first:last]`` (unique track numbers) up to date, in place.

    seen: Sightings. views: Views. structure: Structure. rules: Rules. Tracks do not touch each
    other, so ranges may run on several threads.
    """
    for n in range(first, last):
        track = tracks[n]
        start, end = seen.starts[track], seen.starts[track + 1]
        obs, members = np.empty(end - start, np.int64), np.empty(end - start, np.int64)
        count = 0
        for o in range(start, end):
            if views.registered[seen.images[o]]:
                obs[count] = o
                count += 1
            else:
                structure.obs_slot[o] = FREE
        _filter(track, obs, count, seen, views, structure, rules, members)
        if structure.has_point[track, 0] and structure.has_point[track, 1]:
            _merge(track, obs, count, seen, views, structure, rules, members)
        _complete(track, obs, count, seen, views, structure, rules)
        _create(track, obs, count, seen, views, structure, rules, members)
