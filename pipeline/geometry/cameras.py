"""Camera models: projection and its inverse.

All five models are special cases of COLMAP's OPENCV model, so the code works on its eight
parameters ``fx fy cx cy k1 k2 p1 p2`` and a model is a linear map onto them. Pixel (0, 0) is the
outer corner of the top-left pixel; its centre is (0.5, 0.5).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.geometry.arrays import Float64s

OPENCV_PARAMETERS = ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2")


@dataclass(frozen=True)
class CameraModel:
    """A camera model: COLMAP's number and name, and which OPENCV parameters each of its own feeds.

    parameters: own names in COLMAP's order. feeds: per own parameter the OPENCV parameters it sets.
    """

    colmap_id: int
    name: str
    parameters: tuple[str, ...]
    feeds: tuple[tuple[str, ...], ...]

    @property
    def opencv_from_own(self) -> Float64s:
        """Matrix (8, K) of zeros and ones: ``opencv = matrix @ own``."""
        matrix = np.zeros((8, len(self.parameters)))
        for column, targets in enumerate(self.feeds):
            for target in targets:
                matrix[OPENCV_PARAMETERS.index(target), column] = 1.0
        return matrix

    def indices_of(self, kind: str) -> tuple[int, ...]:
        """Positions of the own parameters of one kind: ``focal``, ``center`` or ``distortion``."""
        prefixes = {"focal": ("f",), "center": ("c",), "distortion": ("k", "p")}[kind]
        return tuple(n for n, name in enumerate(self.parameters) if name.startswith(prefixes))


def _model(colmap_id: int, name: str, **feeds: Sequence[str]) -> CameraModel:
    return CameraModel(colmap_id, name, tuple(feeds), tuple(tuple(f) for f in feeds.values()))


_CENTER = {"cx": ("cx",), "cy": ("cy",)}
_FOCALS = {"fx": ("fx",), "fy": ("fy",)}
MODELS: dict[str, CameraModel] = {
    model.name: model
    for model in (
        _model(0, "SIMPLE_PINHOLE", f=("fx", "fy"), **_CENTER),
        _model(1, "PINHOLE", **_FOCALS, **_CENTER),
        _model(2, "SIMPLE_RADIAL", f=("fx", "fy"), **_CENTER, k=("k1",)),
        _model(3, "RADIAL", f=("fx", "fy"), **_CENTER, k1=("k1",), k2=("k2",)),
        _model(4, "OPENCV", **_FOCALS, **_CENTER, k1=("k1",), k2=("k2",), p1=("p1",), p2=("p2",)),
    )
}
MODELS_BY_COLMAP_ID = {model.colmap_id: model for model in MODELS.values()}


@dataclass(frozen=True, eq=False)
class Camera:
    """Intrinsics shared by one or more photographs.

    model: a key of MODELS. width, height: pixels. params: (K,) float64 in the model's order (pixels
    and dimensionless distortion). has_focal_prior: the focal length came from EXIF or the user.
    """

    model: str
    width: int
    height: int
    params: Float64s
    has_focal_prior: bool = False

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise ValueError(f"unknown camera model {self.model}; known: {', '.join(MODELS)}")
        expected = len(MODELS[self.model].parameters)
        if self.params.shape != (expected,):
            raise ValueError(f"{self.model} has {expected} parameters, not {self.params.shape}")

    @property
    def opencv_params(self) -> Float64s:
        """The eight parameters ``fx fy cx cy k1 k2 p1 p2``."""
        return MODELS[self.model].opencv_from_own @ self.params

    @property
    def focal_px(self) -> float:
        """Mean of the horizontal and vertical focal length."""
        fx, fy = self.opencv_params[:2]
        return float((fx + fy) / 2)

    @property
    def calibration_matrix(self) -> Float64s:
        """K (3, 3), without distortion."""
        fx, fy, cx, cy = self.opencv_params[:4]
        return np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])

    def with_params(self, params: Float64s) -> Camera:
        """The same camera with other parameters."""
        return replace(self, params=np.asarray(params, dtype=np.float64))

    def with_focal_scaled(self, factor: float) -> Camera:
        """The same camera with its focal lengths multiplied."""
        params = self.params.copy()
        params[list(MODELS[self.model].indices_of("focal"))] *= factor
        return self.with_params(params)

    def project(self, points_cam: Float64s) -> Float64s:
        """Pixels (N, 2) of points (N, 3) in the camera frame; NaN where z <= 0."""
        z = points_cam[:, 2:3]
        with np.errstate(divide="ignore", invalid="ignore"):
            uv = np.where(z > 0, points_cam[:, :2] / z, np.nan)
        fx, fy, cx, cy = self.opencv_params[:4]
        return np.asarray(distort(uv, self.opencv_params[4:]) * (fx, fy) + (cx, cy))

    def unproject(self, points_px: Float64s) -> Float64s:
        """Normalised, undistorted coordinates (N, 2) of pixels (N, 2): the ray is (u, v, 1).

        NaN where no ray arrives: outside the circle that a strong barrel distortion can fill.
        """
        fx, fy, cx, cy = self.opencv_params[:4]
        return undistort((points_px - (cx, cy)) / (fx, fy), self.opencv_params[4:])


def distort(uv: Float64s, distortion: Float64s) -> Float64s:
    """Brown's radial and tangential distortion, as OpenCV has it, of normalised points (N, 2).

    distortion: (4,) k1 k2 p1 p2.
    """
    k1, k2, p1, p2 = distortion
    u, v = uv[:, 0], uv[:, 1]
    r2 = u * u + v * v
    radial = 1.0 + r2 * (k1 + r2 * k2)
    du = 2.0 * p1 * u * v + p2 * (r2 + 2.0 * u * u)
    dv = 2.0 * p2 * u * v + p1 * (r2 + 2.0 * v * v)
    return np.column_stack([u * radial + du, v * radial + dv])


def undistort(uv_distorted: Float64s, distortion: Float64s, iterations: int = 20) -> Float64s:
    """Inverse of :func:`distort` by Newton's method with the analytic Jacobian; (N, 2) to (N, 2).

    NaN where there is no inverse: the distortion folds back before it reaches the point.
    """
    if not np.any(distortion):
        return uv_distorted.copy()
    k1, k2, p1, p2 = distortion
    uv = uv_distorted.copy()
    with np.errstate(over="ignore", invalid="ignore"):  # points without an inverse run away
        for _ in range(iterations):
            u, v = uv[:, 0], uv[:, 1]
            r2 = u * u + v * v
            radial = 1.0 + r2 * (k1 + r2 * k2)
            slope = 2.0 * (k1 + 2.0 * r2 * k2)
            error = distort(uv, distortion) - uv_distorted
            duu = radial + slope * u * u + 2.0 * p1 * v + 6.0 * p2 * u
            duv = slope * u * v + 2.0 * p1 * u + 2.0 * p2 * v
            dvv = radial + slope * v * v + 2.0 * p2 * u + 6.0 * p1 * v
            determinant = duu * dvv - duv * duv
            determinant = np.where(np.abs(determinant) < 1e-12, 1e-12, determinant)
            step_u = (dvv * error[:, 0] - duv * error[:, 1]) / determinant
            step_v = (duu * error[:, 1] - duv * error[:, 0]) / determinant
            uv = uv - np.column_stack([step_u, step_v])
            if max(np.abs(step_u).max(initial=0.0), np.abs(step_v).max(initial=0.0)) < 1e-13:
                break
        error = distort(uv, distortion) - uv_distorted
    # The Jacobian is symmetric; where it is not positive definite, the root lies beyond the fold.
    converged = np.abs(error).max(axis=1, initial=0.0) < 1e-9
    inverted = converged & (determinant > 0.0) & (duu > 0.0)
    return np.where(inverted[:, None], uv, np.nan)
