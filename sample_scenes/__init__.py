"""Scenes the project renders itself, with ground truth: `desk` and `facade`.

`python -m sample_scenes.render desk` draws the photographs again; README.md says how and in which
conventions the truth is written.
"""
