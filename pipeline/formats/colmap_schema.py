"""The tables of COLMAP 4.2's database, and its numbers for pairs and descriptor types."""

from __future__ import annotations

# COLMAP writes its version here and migrates databases of older ones.
USER_VERSION = 4020100
DESCRIPTOR_SIFT = 0
MAX_IMAGES = 2147483647

_ID = "INTEGER PRIMARY KEY NOT NULL"
_AUTO_ID = "INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL"
_MATRIX = "rows INTEGER NOT NULL, cols INTEGER NOT NULL, data BLOB"
_OF_RIG = "FOREIGN KEY(rig_id) REFERENCES rigs(rig_id) ON DELETE CASCADE"
_OF_IMAGE = "FOREIGN KEY(image_id) REFERENCES images(image_id) ON DELETE CASCADE"

CREATE = f"""
CREATE TABLE rigs (rig_id {_AUTO_ID}, ref_sensor_id INTEGER NOT NULL,
    ref_sensor_type INTEGER NOT NULL);
CREATE UNIQUE INDEX rig_ref_sensor_assignment ON rigs(ref_sensor_id, ref_sensor_type);
CREATE TABLE rig_sensors (rig_id INTEGER NOT NULL, sensor_id INTEGER NOT NULL,
    sensor_type INTEGER NOT NULL, sensor_from_rig BLOB, {_OF_RIG});
CREATE UNIQUE INDEX rig_sensor_assignment ON rig_sensors(sensor_id, sensor_type);
CREATE TABLE cameras (camera_id {_AUTO_ID}, model INTEGER NOT NULL, width INTEGER NOT NULL,
    height INTEGER NOT NULL, params BLOB, prior_focal_length INTEGER NOT NULL);
CREATE TABLE frames (frame_id {_AUTO_ID}, rig_id INTEGER NOT NULL, {_OF_RIG});
CREATE TABLE frame_data (frame_id INTEGER NOT NULL, data_id INTEGER NOT NULL,
    sensor_id INTEGER NOT NULL, sensor_type INTEGER NOT NULL,
    FOREIGN KEY(frame_id) REFERENCES frames(frame_id) ON DELETE CASCADE);
CREATE UNIQUE INDEX frame_sensor_assignment ON frame_data(data_id, sensor_type);
CREATE TABLE images (image_id {_AUTO_ID}, name TEXT NOT NULL UNIQUE, camera_id INTEGER NOT NULL,
    CONSTRAINT image_id_check CHECK(image_id >= 0 and image_id < {MAX_IMAGES}),
    FOREIGN KEY(camera_id) REFERENCES cameras(camera_id));
CREATE UNIQUE INDEX index_name ON images(name);
CREATE TABLE pose_priors (pose_prior_id {_ID}, corr_data_id INTEGER NOT NULL,
    corr_sensor_id INTEGER NOT NULL, corr_sensor_type INTEGER NOT NULL, position BLOB,
    position_covariance BLOB, gravity BLOB, coordinate_system INTEGER NOT NULL);
CREATE UNIQUE INDEX pose_prior_data_assignment
    ON pose_priors(corr_data_id, corr_sensor_id, corr_sensor_type);
CREATE TABLE keypoints (image_id {_ID}, {_MATRIX}, {_OF_IMAGE});
CREATE TABLE descriptors (image_id {_ID}, type INTEGER NOT NULL, {_MATRIX}, {_OF_IMAGE});
CREATE TABLE matches (pair_id {_ID}, {_MATRIX});
CREATE TABLE two_view_geometries (pair_id {_ID}, {_MATRIX}, config INTEGER NOT NULL,
    F BLOB, E BLOB, H BLOB, qvec BLOB, tvec BLOB, camera1 BLOB, camera2 BLOB);
PRAGMA user_version = {USER_VERSION};
"""


def pair_id(image_id1: int, image_id2: int) -> int:
    """COLMAP's number of a pair of image ids, smaller id first."""
    return MAX_IMAGES * image_id1 + image_id2


def image_ids(pair: int) -> tuple[int, int]:
    """The image ids of a pair number, smaller id first."""
    return divmod(pair, MAX_IMAGES)
