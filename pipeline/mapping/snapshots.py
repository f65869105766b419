"""The model as it grows, for browsers. Only looks at the state: nothing follows from it."""

from __future__ import annotations

import numpy as np

from pipeline.geometry.arrays import Int64s, UInt8s
from pipeline.live_scenes import MOST_POINTS, LiveScene, up_of
from pipeline.mapping import structure
from pipeline.mapping.colors import KeypointColors
from pipeline.mapping.export import frame_of_centers
from pipeline.mapping.state import MapState
from pipeline.mapping.tracks import Tracks

_GREY = 128


class Snapshots:
    """Snapshots of a model. photographs: how many there are. normalise: show the model in the frame
    that it will have in the end, as far as that is known."""

    def __init__(
        self, tracks: Tracks, photographs: int, colors: KeypointColors, normalise: bool = True
    ) -> None:
        self._tracks = tracks
        self._photographs = photographs
        self._colors = colors
        self._normalise = normalise
        self._rgb: UInt8s = np.full((len(tracks), 3), _GREY, np.uint8)
        self._first_obs = tracks.starts[:-1]
        self._uncolored = set(np.unique(tracks.obs_images[self._first_obs]).tolist())

    def of_state(self, state: MapState) -> LiveScene | None:
        """The model now; None before it has a camera."""
        images = state.registered_images
        if not len(images):
            return None
        self._color()
        rotations, translations = state.rotations[images], state.translations[images]
        places = np.flatnonzero(state.has_point)
        places = places[:: max(1, -(-len(places) // MOST_POINTS))]
        xyz = state.points.reshape(-1, 3)[places]
        if self._normalise:
            center, scale = frame_of_centers(state.centers()[images])
            xyz = (xyz - center) * scale
            translations = (translations + rotations @ center) * scale
        return LiveScene(
            stage="mapping",
            registered=len(images),
            of=self._photographs,
            up=up_of(rotations),
            poses=np.concatenate([rotations, translations[:, :, None]], axis=2).astype(np.float32),
            photos=images.astype(np.int32),
            cameras=_intrinsics(state, images),
            xyz=xyz,
            rgb=self._rgb[places // structure.SLOTS],
        )

    def _color(self) -> None:
        """Take over the colours that are known by now: a track has that of its first keypoint."""
        tracks = self._tracks
        for i in sorted(self._uncolored):
            rgb = self._colors.found(i)
            if rgb is not None:
                obs = tracks.of_image(i)
                obs = obs[self._first_obs[tracks.obs_tracks[obs]] == obs]
                self._rgb[tracks.obs_tracks[obs]] = rgb[tracks.obs_keypoints[obs]]
                self._uncolored.remove(i)


def _intrinsics(state: MapState, images: Int64s) -> np.ndarray:
    """(M, 6) width, height, fx, fy, cx, cy of images."""
    rows = {
        k: (camera.width, camera.height, *camera.opencv_params[:4])
        for k, camera in enumerate(state.cameras)
    }
    return np.array([rows[int(k)] for k in state.image_cameras[images]], np.float32)
