"""The addresses of what people browse, and of the built client: types, caching, parts, refusals."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from pipeline.formats.bundle import unpack
from pipeline.scene_answer import CloudFormat, CloudView, FieldView, MeshView, SceneAnswer
from pipeline.scene_index import scene_of
from tests.viewer.run_to_browse import (
    PHOTOGRAPHS,
    finish,
    give_depth,
    write_client,
    write_run_to_browse,
)
from tests.viewer.server import Server, running
from viewer.files import ASK_AGAIN, FOR_GOOD, HOW_TO_BUILD, takes_gzip
from viewer.page import opening_cloud

GZIP = {"Accept-Encoding": "gzip, deflate"}


def cloud_of(server: Server) -> str:
    """The address of the run's only cloud."""
    root = server.addresses.socket.parent.parent / "run"
    return f"/clouds/{next((root / 'clouds').iterdir()).name}"


def test_the_page_is_the_client_where_it_is_built(browsed: Server) -> None:
    reply = browsed.send("/")
    assert reply.body == b"<!doctype html><title>client</title>"
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert reply.headers["cache-control"] == ASK_AGAIN
    again = browsed.send("/", {"If-None-Match": reply.headers["etag"]})
    assert (again.status, again.body) == (304, b"")
    plain = browsed.send("/plain").body.decode()
    assert "features" in plain and HOW_TO_BUILD not in plain
    link = browsed.send(f"/?token={browsed.access.view_token}", token=None)
    assert (link.status, link.headers["location"]) == (303, "/")


def test_with_the_page_comes_the_cloud_that_its_scene_asks_for(browsed: Server) -> None:
    def told(*formats: CloudFormat) -> str | None:
        clouds = tuple(_cloud(f"/clouds/{n}/", kind) for n, kind in enumerate(formats))
        browsed.engine.seen = SceneAnswer(clouds=clouds)
        return browsed.send("/").headers.get("link")

    assert told("points", "points", "potree") == (
        "</clouds/1/points.bin?first=131072>; rel=preload; as=fetch; crossorigin"
    )
    assert told("potree", "potree") == (
        "</clouds/1/metadata.json>; rel=preload; as=fetch; crossorigin, "
        "</clouds/1/hierarchy.bin>; rel=preload; as=fetch; crossorigin"
    )
    assert told() is None


@pytest.mark.parametrize(
    ("clouds", "meshes", "first"),
    [
        ({"sparse": "points", "dense": "points"}, ["draft", "mesh"], "sparse"),
        ({"sparse": "potree", "dense": "points"}, ["mesh"], "sparse"),
        ({"sparse": "points", "dense": "potree"}, ["draft"], "dense"),
        ({"dense": "points"}, ["mesh"], "dense"),
    ],
)
def test_the_dense_cloud_is_loaded_first_only_where_there_is_nothing_better(
    clouds: dict[str, CloudFormat], meshes: list[str], first: str
) -> None:
    scene = SceneAnswer(
        clouds=tuple(_cloud(f"/{name}/", kind, name) for name, kind in clouds.items()),
        meshes=tuple(
            MeshView(id=name, name=name, stage=name, url="/", vertices=3, faces=1)
            for name in meshes
        ),
    )
    found = opening_cloud(scene)
    assert found is not None and found.name == first


def _cloud(url: str, kind: CloudFormat, name: str = "sparse") -> CloudView:
    corner = (0.0, 0.0, 0.0)
    return CloudView(
        id=f"{name}-0", name=name, stage="mapping", format=kind, url=url, count=1, before=1,
        strays=0, bounds=(corner, corner), center=corner, radius=1.0,
    )  # fmt: skip


def test_without_a_client_the_page_says_how_to_build_it(server: Server) -> None:
    for target in ("/", "/plain"):
        assert HOW_TO_BUILD in server.send(target).body.decode()
    assert server.send("/assets/main-ABC123.js").status == 404


def test_assets_never_change_and_come_compressed(browsed: Server) -> None:
    plain = browsed.send("/assets/main-ABC123.js")
    packed = browsed.send("/assets/main-ABC123.js", GZIP)
    for reply in (plain, packed):
        assert reply.headers["content-type"] == "text/javascript; charset=utf-8"
        assert reply.headers["cache-control"] == FOR_GOOD
        assert "accept-encoding" in reply.headers["vary"].lower()
    assert packed.headers["content-encoding"] == "gzip" and "content-encoding" not in plain.headers
    assert gzip.decompress(packed.body) == plain.body
    assert browsed.send("/assets/style-DEF456.css").headers["content-type"].startswith("text/css")
    for refusal in ("gzip;q=0", "br, gzip; q=0.0", "*;q=0"):
        reply = browsed.send("/assets/main-ABC123.js", {"Accept-Encoding": refusal})
        assert "content-encoding" not in reply.headers and reply.body == plain.body
        assert reply.headers["cache-control"] == FOR_GOOD
    assert takes_gzip("GZIP;q=0.5") and takes_gzip("*") and not takes_gzip("")


@pytest.mark.parametrize(
    "name",
    ["missing.js", "main-ABC123.js.gz", "stranger.exe", "link-1.js", "index.html", "sizes.json"],
)
def test_only_what_the_build_has_made_is_an_asset(browsed: Server, name: str) -> None:
    reply = browsed.send(f"/assets/{name}")
    assert reply.status == 404 and reply.error["title"] == "Nothing here"


def test_a_client_that_is_built_after_the_start_is_not_half_served(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        write_client(tmp_path / "client")
        assert HOW_TO_BUILD in server.send("/").body.decode()


def test_a_client_that_is_built_anew_is_found(tmp_path: Path) -> None:
    write_client(tmp_path / "client")
    with running(tmp_path) as server:
        assets = tmp_path / "client" / "assets"
        (assets / "main-ABC123.js").rename(assets / "main-NEW789.js")
        assert server.send("/assets/main-NEW789.js").status == 200
        assert server.send("/assets/main-ABC123.js").status == 404


def test_clouds_are_sent_in_parts_and_kept_for_good(browsed: Server) -> None:
    target = f"{cloud_of(browsed)}/points.bin"
    whole = browsed.send(target)
    assert (whole.status, len(whole.body)) == (200, 10240)
    assert whole.headers["cache-control"] == FOR_GOOD
    assert whole.headers["content-type"] == "application/octet-stream"
    assert whole.headers["accept-ranges"] == "bytes"
    part = browsed.send(target, {"Range": "bytes=256-260"})
    assert (part.status, part.body) == (206, b"\x00\x01\x02\x03\x04")
    assert part.headers["content-range"] == "bytes 256-260/10240"
    beyond = browsed.send(target, {"Range": "bytes=99999-"})
    assert (beyond.status, beyond.headers["cache-control"]) == (416, "no-store")
    assert browsed.send(target, {"Range": "bytes=-0"}).status == 416
    assert browsed.send(target, {"Range": "bytes=-2"}).body == b"\xfe\xff"
    assert browsed.send(target, {"If-None-Match": whole.headers["etag"]}).status == 304
    first = browsed.send(f"{target}?first=300")
    assert (first.status, first.body) == (200, whole.body[:300])
    assert first.headers["x-whole-length"] == "10240"
    assert first.headers["cache-control"] == FOR_GOOD
    assert first.headers["content-type"] == "application/octet-stream"
    assert browsed.send(f"{target}?first=999999").body == whole.body
    for wrong in ("0", "-1", "x", "1048577", "1e3"):
        assert browsed.send(f"{target}?first={wrong}").status == 400
    assert browsed.send(f"{cloud_of(browsed)}/octree.bin?first=300").status == 404
    cameras = browsed.send(f"{cloud_of(browsed)}/cameras.json")
    assert cameras.headers["content-type"] == "application/json"
    assert cameras.json == {"cameras": [], "images": []}


@pytest.mark.parametrize(
    "target",
    [
        "{cloud}/cloud.json",
        "{cloud}/secret.txt",
        "{cloud}/octree.bin",
        "{cloud}/",
        "{cloud}",
        "/clouds/sparse-000000000000/points.bin",
        "/clouds/manifest.json",
        "/clouds/x/manifest.json",
        "/api/previews/mapping/00000013.scene",
        "/api/previews/mapping/run.toml",
        "/api/previews/photos/index.json",
        "/api/previews/stages/report.json",
        "/photographs/6/thumbnail",
        "/photographs/999999999/picture",
        "/photographs/9999999999/picture",
        "/photographs/x/picture",
        "/photographs/-1/picture",
        "/photographs/1_0/picture",
        "/photographs/0/original",
        "/pairs/0/3/matches",
        "/pairs/1/0/matches",
        "/pairs/0/0/matches",
        "/renders/notes.txt",
        "/renders/flight",
        "/renders/missing.mp4",
        "/api/planar",
        "/planar/animation.gif",
        "/run.toml",
        "/manifest.json",
        "/photos/index.json",
    ],
)
def test_what_the_run_does_not_have(browsed: Server, target: str) -> None:
    reply = browsed.send(target.format(cloud=cloud_of(browsed)))
    assert reply.status == 404 and reply.error
    assert b"secret" not in reply.body


def test_meshes_are_kept_for_good_under_what_they_were_made_from(tmp_path: Path) -> None:
    root = tmp_path / "run"
    write_run_to_browse(root)
    for stage in ("draft", "mesh"):
        (root / stage).mkdir()
        (root / stage / "mesh.glb").write_bytes(b"glTF of " + stage.encode())
    finish(root, "draft", "mesh")
    with running(tmp_path, root=root) as server:
        draft, mesh = scene_of(root).meshes
        reply = server.send(mesh.url)
        assert (reply.body, reply.headers["cache-control"]) == (b"glTF of mesh", FOR_GOOD)
        assert reply.headers["content-type"] == "model/gltf-binary"
        assert server.send(draft.url).body == b"glTF of draft"
        assert server.send(mesh.url.replace(mesh.id, "mesh-0123456789ab")).status == 404
        (root / "draft" / "mesh.glb").unlink()
        assert server.send(draft.url).status == 404


def test_the_scene_is_the_engines_answer(browsed: Server) -> None:
    browsed.engine.seen = SceneAnswer(version="7", field=FieldView(step=3, state="training"))
    assert browsed.send("/api/scene").json == browsed.engine.seen.model_dump(mode="json")
    schema = browsed.send("/api/schema").json
    assert {"SceneAnswer", "FrameAsk", "FrameHeader"} <= set(schema)


def test_previews(browsed: Server) -> None:
    scene = browsed.send("/api/previews/mapping/00000012.scene")
    assert scene.body == b"preview of mapping"
    assert scene.headers["content-type"] == "application/octet-stream"
    assert scene.headers["cache-control"] == ASK_AGAIN
    picture = browsed.send("/api/previews/radiance/00000100-00003.jpg")
    assert picture.headers["content-type"] == "image/jpeg"


def test_facts_are_asked_for_again_and_sent_once(browsed: Server) -> None:
    for target, key, count in (("/api/photographs", "photographs", 7), ("/api/pairs", "pairs", 3)):
        plain, packed = browsed.send(target), browsed.send(target, GZIP)
        assert len(plain.json[key]) == count == len(json.loads(gzip.decompress(packed.body))[key])
        assert packed.headers["content-encoding"] == "gzip"
        assert plain.headers["cache-control"] == ASK_AGAIN
        assert plain.headers["content-type"].startswith("application/json")
        etag = plain.headers["etag"]
        known = browsed.send(target, {"If-None-Match": etag, **GZIP})
        assert (known.status, known.body) == (304, b"")
        assert known.headers["etag"] == etag
        assert browsed.send(target, {"If-None-Match": '"other"'}).status == 200


def test_pictures_of_photographs(browsed: Server) -> None:
    thumbnail, picture = (
        browsed.send(f"/photographs/0/{what}") for what in ("thumbnail", "picture")
    )
    assert thumbnail.body[:2] == picture.body[:2] == b"\xff\xd8"
    assert thumbnail.body != picture.body
    assert browsed.send("/photographs/2/picture").body == thumbnail.body  # no picture of its own
    for number in range(PHOTOGRAPHS):
        reply = browsed.send(f"/photographs/{number}/picture")
        assert reply.headers["content-type"] == "image/jpeg"
        assert reply.headers["cache-control"] == ASK_AGAIN
    kept = browsed.send("/photographs/0/picture?v=abc-1")
    assert kept.headers["cache-control"] == FOR_GOOD
    assert browsed.send("/photographs/0/picture?v=../x").status == 400
    assert browsed.send("/photographs/0/thumbnail?path=/etc/passwd").status == 400


def test_depth_maps_are_containers_that_are_kept_for_good(tmp_path: Path) -> None:
    root = tmp_path / "run"
    write_run_to_browse(root)
    with running(tmp_path, root=root) as server:
        assert server.send("/photographs/0/depth").error["title"] == "Not yet"
        depth = give_depth(root)
        version = server.send("/api/photographs").json["photographs"][0]["depth"]
        kept = server.send(f"/photographs/0/depth?v={version}")
        header, parts = unpack(kept.body)
        assert (header["kind"], bytes(parts["depth"])) == ("depth", depth.tobytes())
        assert kept.headers["content-type"] == "application/octet-stream"
        assert kept.headers["cache-control"] == FOR_GOOD
        again = server.send("/photographs/0/depth")
        assert (again.body, again.headers["cache-control"]) == (kept.body, "no-store")
        for target in ("1/depth", "6/depth", "x/depth", "00000.jpg/depth", "0/depth/normals"):
            assert server.send(f"/photographs/{target}").status == 404
        assert (
            server.send(f"/photographs/1/depth?v={version}").headers["cache-control"] == "no-store"
        )
        assert server.send("/photographs/0/depth?v=../x").status == 400
        assert server.send("/photographs/0/depth?path=/etc/passwd").status == 400
        assert server.send("/photographs/0/depth", token=None).status == 401


def test_keypoints_and_matches_are_containers(browsed: Server) -> None:
    reply = browsed.send("/photographs/0/keypoints")
    header, parts = unpack(reply.body)
    assert (header["kind"], list(parts)) == ("keypoints", ["keypoints", "sees_point"])
    header, parts = unpack(browsed.send("/pairs/0/1/matches").body)
    assert (header["kind"], header["two_view"]) == ("matches", "planar")
    assert {name: len(part) for name, part in parts.items()} == {"matches": 32, "inliers": 16}


def test_films(browsed: Server) -> None:
    films = browsed.send("/api/renders").json["films"]
    assert {film["name"] for film in films} == {"flight.mp4", "orbit.mp4"}
    for film in films:
        reply = browsed.send(film["url"], {"Range": "bytes=0-2"})
        assert (reply.status, reply.body) == (206, b"mp4")
        assert reply.headers["content-type"] == "video/mp4"
        assert len(browsed.send(film["url"]).body) == film["bytes"]


def test_a_planar_run_has_curves_and_a_film(tmp_path: Path) -> None:
    root = tmp_path / "run"
    write_run_to_browse(root)
    (root / "curves.json").write_text('{"barf": [1.5, 2.5]}')
    (root / "animation.gif").write_bytes(b"GIF89a")
    with running(tmp_path, root=root) as server:
        assert server.send("/api/planar").json["curves"] == {"barf": [1.5, 2.5]}
        film = server.send("/planar/animation.gif")
        assert (film.body, film.headers["content-type"]) == (b"GIF89a", "image/gif")


def test_what_is_not_made_yet_and_what_is_damaged(tmp_path: Path) -> None:
    from pipeline.run_directory import RunDirectory

    root = tmp_path / "run"
    with RunDirectory(root, "0.1.0"), running(tmp_path, root=root) as server:
        for target in (
            "/photographs/0/thumbnail",
            "/photographs/0/keypoints",
            "/pairs/0/1/matches",
        ):
            reply = server.send(target)
            assert (reply.status, reply.error["title"]) == (409, "Not yet")
        (root / "manifest.json").write_text("{")
        for target in ("/photographs/0/thumbnail", "/api/photographs"):
            assert server.send(target).status == 500


def test_an_engine_without_a_run_directory_has_nothing_to_browse(server: Server) -> None:
    for target in ("/api/photographs", "/photographs/0/picture", "/api/renders"):
        assert server.send(target).error["title"] == "No run directory"
