"""The other explanations that photographs have of a scene before cameras that all look one way."""

from __future__ import annotations

from pipeline.geometry.arrays import Float32s, Float64s


def other_explanation(box: Float64s, corrections: Float32s, attempt: int) -> Float32s:
    """What an attempt after the first (1, 2, ...) begins with: what the first one found, turned
    inside out sideways, upwards and both.

    box: (2, 3) before the frame's origin, where the scene is expected. corrections: as in
    `turned_inside_out`.
    """
    near, far = box[:, 2]
    nearness = (1.0 / near + 1.0 / far) / 2.0
    return turned_inside_out(corrections, bool(attempt & 1), bool(attempt & 2), nearness)


def turned_inside_out(
    corrections: Float32s, sideways: bool, upwards: bool, nearness: float
) -> Float32s:
    """Corrections with which what is near becomes far, and about the same photographs are seen.

    A camera that turns by w and moves by t sees a point of inverse depth q shifted by w_y + t_x q
    sideways and by t_y q - w_x upwards, in the first order. Where q is mirrored at `nearness`, as
    in Necker's cube, it has to move the other way and to turn by more. With blurred photographs one
    direction can be mirrored without the other.

    corrections: (I, 6), rotation vectors in radians and translations, of cameras that began at the
    identity. sideways, upwards: along which directions. nearness: 1 / depth, about the scene's
    mean; what it is wrong by is the same for a whole photograph, and the first steps find it.
    """
    turned = corrections.copy()
    if sideways:
        turned[:, 1] += 2.0 * nearness * corrections[:, 3]
        turned[:, 3] *= -1.0
    if upwards:
        turned[:, 0] -= 2.0 * nearness * corrections[:, 4]
        turned[:, 4] *= -1.0
    return turned
