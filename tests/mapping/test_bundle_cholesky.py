"""Cholesky within the envelope against numpy's solver."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.geometry.arrays import Float64s, Int64s
from pipeline.mapping.bundle_cholesky import solve_positive_definite


def _banded(poses: int, reach: int, border: int) -> tuple[Float64s, Int64s]:
    """A positive definite matrix of pose blocks coupled with `reach` successors, and a border."""
    rng = np.random.default_rng(0)
    size = 6 * poses + border
    matrix = np.zeros((size, size))
    for s in range(poses):
        touched = np.r_[6 * s : 6 * min(s + reach + 1, poses), 6 * poses : size]
        rows = rng.normal(size=(12, len(touched)))
        matrix[np.ix_(touched, touched)] += rows.T @ rows
    matrix += 0.1 * np.eye(size)
    return matrix, np.minimum(np.arange(poses) + reach + 1, poses)


@pytest.mark.parametrize(("poses", "reach"), [(120, 5), (130, 40), (101, 0), (110, 110), (6, 2)])
@pytest.mark.parametrize("border", [0, 3, 200])
def test_agrees_with_a_dense_solver(poses: int, reach: int, border: int) -> None:
    matrix, ends = _banded(poses, reach, border)
    right = np.random.default_rng(1).normal(size=(len(matrix), 2))
    expected = np.linalg.solve(matrix, right)
    for columns in (right, right[:, 0].copy()):
        found = solve_positive_definite(np.triu(matrix), columns, ends)
        assert found is not None and found.shape == columns.shape
        np.testing.assert_allclose(found.reshape(len(matrix), -1)[:, 0], expected[:, 0], rtol=1e-7)


@pytest.mark.parametrize("poses", [6, 120])
def test_an_indefinite_matrix_has_no_answer(poses: int) -> None:
    matrix, ends = _banded(poses, 2, 3)
    matrix[-2, -2] = -1.0
    assert solve_positive_definite(matrix, np.ones(len(matrix)), ends) is None
