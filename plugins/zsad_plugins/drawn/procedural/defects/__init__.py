"""Defects: functions that change a scene and say where.

Each takes (generator, scene, strength 0..1), changes the scene's colours, relief and gloss in place, and
returns how much of each pixel may have changed, [S, S]. What is visible of it is decided later, from the
photographs with and without the defect.
"""
