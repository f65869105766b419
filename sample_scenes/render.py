"""The command that draws the photographs of a sample scene: `python -m sample_scenes.render`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import numpy as np

from sample_scenes import desk_scene, facade_scene
from sample_scenes.photo_files import encode_photo, ground_truth, write_mesh
from sample_scenes.scene import SceneSpec
from sample_scenes.sensor import develop
from sample_scenes.tracer import Tracer

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
    views = spec.views()
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    start = perf_counter()
    tracer = Tracer(spec.build(), spec.seed)
    triangles = len(tracer.world.triangles)
    print(
        f"{spec.name}: {triangles} triangles, light worked out in {perf_counter() - start:.1f} s",
        flush=True,
    )
    if truth:
        (folder / "truth").mkdir(exist_ok=True)
        write_mesh(folder / "truth" / "mesh.ply", tracer.world)
    for view in views:
        if only and view.index + 1 not in only:
            continue
        start = perf_counter()
        if scale != 1.0:
            view = view.scaled(scale)
        image = develop(spec, view, tracer.radiance(view, threads=threads))
        photo = encode_photo(image, view, spec.device, spec.jpeg_quality)
        (images / view.name).write_bytes(photo)
        if truth:
            depth = tracer.depth(view.camera)
            np.save(folder / "truth" / f"{Path(view.name).stem}_depth_m.npy", depth)
        print(f"{view.name}  {len(photo) / 1e3:.0f} kB  {perf_counter() - start:.1f} s", flush=True)
    if not only and scale == 1.0:
        (folder / "ground_truth.json").write_text(ground_truth(views), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and render."""
    parser = argparse.ArgumentParser(prog="python -m sample_scenes.render", description=__doc__)
    parser.add_argument("scene", choices=["desk", "facade"])
    parser.add_argument("--out", type=Path, help="folder to write to (default: the scene's own)")
    parser.add_argument("--only", type=int, nargs="+", metavar="N", help="views to draw, from 1")
    parser.add_argument("--scale", type=float, default=1.0, help="picture size, 1 is 960x640")
    parser.add_argument("--truth", action="store_true", help="write depth maps and the mesh, too")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(arguments)
    spec = scene_spec(options.scene)
    folder = options.out or _FOLDER / spec.name
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
