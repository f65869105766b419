"""The inner loops of bundle adjustment over observations and points, compiled by numba.

Every kernel works on a range ``first..last`` of points, images or observations and writes only what
that range owns, so ranges may run on several threads and the result does not depend on how many.
Arrays are C-contiguous float64 and int64: one compilation each.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from pipeline.geometry.arrays import Float64s, Int64s

# "contract" allows fused multiply-add and nothing else: sums keep their order.
kernel = njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})

LOSSES = {"none": 0, "huber": 1, "soft_l1": 2, "cauchy": 3}


class Observations(NamedTuple):
    """images, points: (N,) indices. px: (N, 2)."""

    images: Int64s
    points: Int64s
    px: Float64s


class World(NamedTuple):
    """The parameters: poses cam_from_world, points, intrinsics (K, 8) as OPENCV has them."""

    rotations: Float64s
    translations: Float64s
    points: Float64s
    opencv: Float64s
    image_cameras: Int64s


class Robust(NamedTuple):
    """The loss: a value of LOSSES and the square of its scale in pixels."""

    loss: int
    scale2: float


class Structure(NamedTuple):
    """Which observation belongs to which free block. Observations are sorted by free point, those
    of one point by pose slot, held poses last; after the free points come the observations of held
    points. A *slot* numbers free things from 0; -1: held. A *term* is a pair (free point, free
    camera).

    image_slots (I,), image_camera_slots (I,). slot_images (F,): the image of each pose slot. feeds
    (K, 8): which free own parameter, counted within its camera, sets each OPENCV parameter, or -1.
    point_starts (P + 1,), pose_ends (P,): observations of each free point, and where those with a
    free pose end. slot_points (P,): its index. image_starts (I + 1,), image_obs (N,): observations
    of each image. obs_slots (N,): pose slot. obs_points (N,): number of the free point, or P.
    term_starts (P + 1,): terms of each point. term_slots, term_points (M,): camera slot and point
    of each term. obs_terms (N,): term or -1. camera_term_starts (S + 1,), camera_terms (M,): terms
    of each camera slot. offsets (S + 1,): first reduced parameter of each camera slot; the poses
    come before them, six each.
    """

    image_slots: Int64s
    image_camera_slots: Int64s
    slot_images: Int64s
    feeds: Int64s
    point_starts: Int64s
    pose_ends: Int64s
    slot_points: Int64s
    image_starts: Int64s
    image_obs: Int64s
    obs_slots: Int64s
    obs_points: Int64s
    term_starts: Int64s
    term_slots: Int64s
    term_points: Int64s
    obs_terms: Int64s
    camera_term_starts: Int64s
    camera_terms: Int64s
    offsets: Int64s


class Linearised(NamedTuple):
    """Weighted residuals (N, 2), their derivatives by pose (N, 2, 6: rotation, translation), by own
    parameters (N, 2, Q) and by point (N, 2, 3), and per free point the Hessian (P, 6: xx xy xz yy
    yz zz) and gradient (P, 3)."""

    residuals: Float64s
    by_pose: Float64s
    by_own: Float64s
    by_point: Float64s
    point_hessians: Float64s
    point_gradients: Float64s


class Eliminated(NamedTuple):
    """The points eliminated at one damping. With V = L L^T: factors (P, 6: L00 L10 L20 L11 L21 L22,
    the diagonal inverted), gradients L^-1 g (P, 3), damping (P, 3), pose terms L^-1 W^T per
    observation (N, 3, 6), own terms likewise per term (M, 3, Q)."""

    factors: Float64s
    gradients: Float64s
    damping: Float64s
    pose_terms: Float64s
    own_terms: Float64s


@kernel
def robustify(robust: Robust, squared: float) -> tuple[float, float]:
    """rho(s) and rho'(s) of a squared error s, with the definitions of Ceres."""
    b = robust.scale2
    if robust.loss == 1:
        if squared <= b:
            return squared, 1.0
        root = math.sqrt(squared * b)
        return 2.0 * root - b, b / root
    if robust.loss == 2:
        root = math.sqrt(1.0 + squared / b)
        return 2.0 * b * (root - 1.0), 1.0 / root
    if robust.loss == 3:
        total = 1.0 + squared / b
        return b * math.log(total), 1.0 / total
    return squared, 1.0


@kernel
def evaluate(
    first: int, last: int, obs: Observations, world: World, robust: Robust, rho: Float64s
) -> None:
    """rho of every observation; infinite where the point is not in front of the camera."""
    for n in range(first, last):
        i = obs.images[n]
        j = obs.points[n]
        r = world.rotations[i]
        t = world.translations[i]
        c = world.opencv[world.image_cameras[i]]
        x, y, z = world.points[j, 0], world.points[j, 1], world.points[j, 2]
        depth = r[2, 0] * x + r[2, 1] * y + r[2, 2] * z + t[2]
        if not depth > 0.0:
            rho[n] = np.inf
            continue
        u = (r[0, 0] * x + r[0, 1] * y + r[0, 2] * z + t[0]) / depth
        v = (r[1, 0] * x + r[1, 1] * y + r[1, 2] * z + t[1]) / depth
        r2 = u * u + v * v
        radial = 1.0 + r2 * (c[4] + r2 * c[5])
        ud = u * radial + 2.0 * c[6] * u * v + c[7] * (r2 + 2.0 * u * u)
        vd = v * radial + 2.0 * c[7] * u * v + c[6] * (r2 + 2.0 * v * v)
        ex = c[0] * ud + c[2] - obs.px[n, 0]
        ey = c[1] * vd + c[3] - obs.px[n, 1]
        rho[n] = robustify(robust, ex * ex + ey * ey)[0]


@kernel
def linearise_observation(
    n: int, obs: Observations, world: World, robust: Robust, feeds: Int64s, out: Linearised
) -> None:
    """Residual and Jacobians of one observation, scaled by sqrt(rho').

    That first-order weighting is what Ceres applies, too: its second-order (Triggs) correction is
    switched off where rho'' <= 0, and all our losses are concave.
    """
    i = obs.images[n]
    j = obs.points[n]
    r = world.rotations[i]
    t = world.translations[i]
    k = world.image_cameras[i]
    c = world.opencv[k]
    x, y, z = world.points[j, 0], world.points[j, 1], world.points[j, 2]
    # The point, rotated only: the lever arm of the left rotation update.
    ax = r[0, 0] * x + r[0, 1] * y + r[0, 2] * z
    ay = r[1, 0] * x + r[1, 1] * y + r[1, 2] * z
    az = r[2, 0] * x + r[2, 1] * y + r[2, 2] * z
    inverse = 1.0 / (az + t[2])
    u = (ax + t[0]) * inverse
    v = (ay + t[1]) * inverse
    fx, fy, k1, k2, p1, p2 = c[0], c[1], c[4], c[5], c[6], c[7]
    r2 = u * u + v * v
    radial = 1.0 + r2 * (k1 + r2 * k2)
    ud = u * radial + 2.0 * p1 * u * v + p2 * (r2 + 2.0 * u * u)
    vd = v * radial + 2.0 * p2 * u * v + p1 * (r2 + 2.0 * v * v)
    ex = fx * ud + c[2] - obs.px[n, 0]
    ey = fy * vd + c[3] - obs.px[n, 1]
    w = math.sqrt(robustify(robust, ex * ex + ey * ey)[1])
    out.residuals[n, 0] = w * ex
    out.residuals[n, 1] = w * ey
    slope = 2.0 * (k1 + 2.0 * r2 * k2)
    cross = slope * u * v + 2.0 * p1 * u + 2.0 * p2 * v
    fx *= w
    fy *= w
    duu = fx * (radial + slope * u * u + 2.0 * p1 * v + 6.0 * p2 * u)
    duv = fx * cross
    dvu = fy * cross
    dvv = fy * (radial + slope * v * v + 2.0 * p2 * u + 6.0 * p1 * v)
    own = out.by_own[n]
    for q in range(own.shape[1]):
        own[0, q] = 0.0
        own[1, q] = 0.0
    feed = feeds[k]
    for c8 in range(8):
        q = feed[c8]
        if q < 0:
            continue
        if c8 == 0:
            own[0, q] += w * ud
        elif c8 == 1:
            own[1, q] += w * vd
        elif c8 == 2:
            own[0, q] += w
        elif c8 == 3:
            own[1, q] += w
        elif c8 == 4:
            own[0, q] += fx * u * r2
            own[1, q] += fy * v * r2
        elif c8 == 5:
            own[0, q] += fx * u * r2 * r2
            own[1, q] += fy * v * r2 * r2
        elif c8 == 6:
            own[0, q] += fx * 2.0 * u * v
            own[1, q] += fy * (r2 + 2.0 * v * v)
        else:
            own[0, q] += fx * (r2 + 2.0 * u * u)
            own[1, q] += fy * 2.0 * u * v
    pose = out.by_pose[n]
    point = out.by_point[n]
    for row in range(2):
        du = duu if row == 0 else dvu
        dv = duv if row == 0 else dvv
        # By the point in the camera frame; everything else follows by the chain rule.
        px = du * inverse
        py = dv * inverse
        pz = -(du * u + dv * v) * inverse
        pose[row, 0] = pz * ay - py * az
        pose[row, 1] = px * az - pz * ax
        pose[row, 2] = py * ax - px * ay
        pose[row, 3] = px
        pose[row, 4] = py
        pose[row, 5] = pz
        point[row, 0] = px * r[0, 0] + py * r[1, 0] + pz * r[2, 0]
        point[row, 1] = px * r[0, 1] + py * r[1, 1] + pz * r[2, 1]
        point[row, 2] = px * r[0, 2] + py * r[1, 2] + pz * r[2, 2]


@kernel
def linearise(
    first: int,
    last: int,
    obs: Observations,
    world: World,
    robust: Robust,
    structure: Structure,
    out: Linearised,
) -> None:
    """Residuals, Jacobians, and Hessian and gradient of each free point of the range.

    The range counts one more than the free points: the last number stands for the held points.
    """
    free = len(structure.slot_points)
    for j in range(first, last):
        if j == free:
            for n in range(structure.point_starts[free], len(obs.images)):
                linearise_observation(n, obs, world, robust, structure.feeds, out)
            continue
        xx = xy = xz = yy = yz = zz = gx = gy = gz = 0.0
        for n in range(structure.point_starts[j], structure.point_starts[j + 1]):
            linearise_observation(n, obs, world, robust, structure.feeds, out)
            for row in range(2):
                a = out.by_point[n, row, 0]
                b = out.by_point[n, row, 1]
                c = out.by_point[n, row, 2]
                e = out.residuals[n, row]
                xx += a * a
                xy += a * b
                xz += a * c
                yy += b * b
                yz += b * c
                zz += c * c
                gx += a * e
                gy += b * e
                gz += c * e
        hessian = out.point_hessians[j]
        hessian[0], hessian[1], hessian[2] = xx, xy, xz
        hessian[3], hessian[4], hessian[5] = yy, yz, zz
        gradient = out.point_gradients[j]
        gradient[0], gradient[1], gradient[2] = gx, gy, gz


@kernel
def eliminate_points(
    first: int, last: int, structure: Structure, linear: Linearised, out: Eliminated
) -> bool:
    """Factor the damped Hessian of each point and form the terms of the Schur complement.

    False if a Hessian is not positive definite: the damping is too small.
    """
    for j in range(first, last):
        h = linear.point_hessians[j]
        g = linear.point_gradients[j]
        d = out.damping[j]
        pivot = h[0] + d[0]
        if not pivot > 0.0:
            return False
        i0 = 1.0 / math.sqrt(pivot)
        l10 = h[1] * i0
        l20 = h[2] * i0
        pivot = h[3] + d[1] - l10 * l10
        if not pivot > 0.0:
            return False
        i1 = 1.0 / math.sqrt(pivot)
        l21 = (h[4] - l10 * l20) * i1
        pivot = h[5] + d[2] - l20 * l20 - l21 * l21
        if not pivot > 0.0:
            return False
        i2 = 1.0 / math.sqrt(pivot)
        f = out.factors[j]
        f[0], f[1], f[2], f[3], f[4], f[5] = i0, l10, l20, i1, l21, i2
        z = out.gradients[j]
        z[0] = g[0] * i0
        z[1] = (g[1] - l10 * z[0]) * i1
        z[2] = (g[2] - l20 * z[0] - l21 * z[1]) * i2
        for e in range(structure.term_starts[j], structure.term_starts[j + 1]):
            for axis in range(3):
                for q in range(out.own_terms.shape[2]):
                    out.own_terms[e, axis, q] = 0.0
        for n in range(structure.point_starts[j], structure.point_starts[j + 1]):
            e = structure.obs_terms[n]
            free_pose = n < structure.pose_ends[j]
            if e < 0 and not free_pose:
                continue
            by_point = linear.by_point[n]
            u0 = by_point[0, 0] * i0
            u1 = (by_point[0, 1] - l10 * u0) * i1
            u2 = (by_point[0, 2] - l20 * u0 - l21 * u1) * i2
            v0 = by_point[1, 0] * i0
            v1 = (by_point[1, 1] - l10 * v0) * i1
            v2 = (by_point[1, 2] - l20 * v0 - l21 * v1) * i2
            if free_pose:
                by_pose = linear.by_pose[n]
                term = out.pose_terms[n]
                for a in range(6):
                    term[0, a] = u0 * by_pose[0, a] + v0 * by_pose[1, a]
                    term[1, a] = u1 * by_pose[0, a] + v1 * by_pose[1, a]
                    term[2, a] = u2 * by_pose[0, a] + v2 * by_pose[1, a]
            if e >= 0:
                by_own = linear.by_own[n]
                term = out.own_terms[e]
                for q in range(by_own.shape[1]):
                    term[0, q] += u0 * by_own[0, q] + v0 * by_own[1, q]
                    term[1, q] += u1 * by_own[0, q] + v1 * by_own[1, q]
                    term[2, q] += u2 * by_own[0, q] + v2 * by_own[1, q]
    return True


@kernel
def gather_points(
    first: int,
    last: int,
    structure: Structure,
    eliminated: Eliminated,
    vector: Float64s,
    out: Float64s,
) -> None:
    """``L^-1 W^T x`` of each point, (P, 3), for a vector x of reduced parameters."""
    for j in range(first, last):
        s0 = s1 = s2 = 0.0
        for n in range(structure.point_starts[j], structure.pose_ends[j]):
            start = 6 * structure.obs_slots[n]
            term = eliminated.pose_terms[n]
            for a in range(6):
                x = vector[start + a]
                s0 += term[0, a] * x
                s1 += term[1, a] * x
                s2 += term[2, a] * x
        for e in range(structure.term_starts[j], structure.term_starts[j + 1]):
            slot = structure.term_slots[e]
            start = structure.offsets[slot]
            term = eliminated.own_terms[e]
            for q in range(structure.offsets[slot + 1] - start):
                x = vector[start + q]
                s0 += term[0, q] * x
                s1 += term[1, q] * x
                s2 += term[2, q] * x
        out[j, 0], out[j, 1], out[j, 2] = s0, s1, s2


@kernel
def step_points(first: int, last: int, eliminated: Eliminated, steps: Float64s) -> None:
    """Turn what `gather_points` made of the reduced step into the steps of the points, (P, 3)."""
    for j in range(first, last):
        z = eliminated.gradients[j]
        f = eliminated.factors[j]
        s2 = (z[2] + steps[j, 2]) * f[5]
        s1 = (z[1] + steps[j, 1] - f[4] * s2) * f[3]
        s0 = (z[0] + steps[j, 0] - f[1] * s1 - f[2] * s2) * f[0]
        steps[j, 0], steps[j, 1], steps[j, 2] = -s0, -s1, -s2
