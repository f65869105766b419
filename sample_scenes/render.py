"""The command that draws the photographs of a sample scene: `python -m sample_scenes.render`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import numpy as np

from sample_scenes import desk_scene, facade_scene
from sample_scenes.photo_files import encode_photo, ground_truth, write_mesh
from sample_scenes.scene import Material, Scene, SceneSpec, View
from sample_scenes.sensor import develop
from sample_scenes.tracer import Tracer
from sample_scenes.world import World

_FOLDER = Path(__file__).parent


def scene_spec(name: str) -> SceneSpec:
    """The scene called `name`: "desk" or "facade". Raises KeyError for another name."""
    return {"desk": desk_scene.spec, "facade": facade_scene.spec}[name]()


def render(
    spec: SceneSpec,
    folder: Path,
    *,
    only: Sequence[int] | None = None,
    scale: float = 1.0,
    truth: bool = False,
    threads: int = 2,
) -> None:
    """Write `images/` and `ground_truth.json` of a scene into `folder`, and `truth/` if asked for.

    `only` picks views by number (from 1); the ground truth is then left alone. `scale` makes
    smaller pictures.
    """
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    start = perf_counter()
    tracer = Tracer(spec.build(), spec.seed)
    triangles = len(tracer.world.triangles)
    print(
        f"{spec.name}: {triangles} triangles, light worked out in {perf_counter() - start:.1f} s",
        flush=True,
    )
    for view in _chosen(spec, only, scale):
        start = perf_counter()
        image = develop(spec, view, tracer.radiance(view, threads=threads))
        photo = encode_photo(image, view, spec.device, spec.jpeg_quality)
        (images / view.name).write_bytes(photo)
        print(f"{view.name}  {len(photo) / 1e3:.0f} kB  {perf_counter() - start:.1f} s", flush=True)
    if not only and scale == 1.0:
        text = ground_truth(spec.views())
        (folder / "ground_truth.json").write_text(text, encoding="utf-8")
    if truth:
        render_truth(spec, folder, tracer.world, only=only, scale=scale)


def render_truth(
    spec: SceneSpec,
    folder: Path,
    world: World | None = None,
    *,
    only: Sequence[int] | None = None,
    scale: float = 1.0,
) -> None:
    """Write the geometry of a scene into `folder/truth`: the mesh, and a depth map for each view.

    Without a painted `world` it is made in seconds, and the mesh has no colours. `only` and `scale`
    as in `render`.
    """
    truth = folder / "truth"
    truth.mkdir(parents=True, exist_ok=True)
    start = perf_counter()
    shape = world or World(_unpainted(spec))
    write_mesh(truth / "mesh.ply", shape, colours=world is not None)
    for view in _chosen(spec, only, scale):
        np.save(truth / f"{Path(view.name).stem}_depth_m.npy", shape.depth(view.camera))
    print(f"{spec.name}: true geometry  {perf_counter() - start:.1f} s", flush=True)


def _chosen(spec: SceneSpec, only: Sequence[int] | None, scale: float) -> list[View]:
    views = [view for view in spec.views() if not only or view.index + 1 in only]
    return views if scale == 1.0 else [view.scaled(scale) for view in views]


def _unpainted(spec: SceneSpec) -> Scene:
    parts = spec.parts()
    grey = Material(np.full((4, 4, 3), 128, dtype=np.uint8))
    return Scene(parts, {part.material: grey for part in parts}, (), np.zeros_like)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and render."""
    parser = argparse.ArgumentParser(prog="python -m sample_scenes.render", description=__doc__)
    parser.add_argument("scene", choices=["desk", "facade"])
    parser.add_argument("--out", type=Path, help="folder to write to (default: the scene's own)")
    parser.add_argument("--only", type=int, nargs="+", metavar="N", help="views to draw, from 1")
    parser.add_argument("--scale", type=float, default=1.0, help="picture size, 1 is 960x640")
    truth = parser.add_mutually_exclusive_group()
    truth.add_argument("--truth", action="store_true", help="write depth maps and the mesh, too")
    truth.add_argument("--truth-only", action="store_true", help="write them alone, in seconds")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(arguments)
    spec = scene_spec(options.scene)
    folder = options.out or _FOLDER / spec.name
    if options.truth_only:
        render_truth(spec, folder, only=options.only, scale=options.scale)
        return
    render(
        spec,
        folder,
        only=options.only,
        scale=options.scale,
        truth=options.truth,
        threads=options.threads,
    )


if __name__ == "__main__":
    main()
