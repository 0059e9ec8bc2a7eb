"""Values of a `Link`'s `rule`: the constraint that forbade it, or that made it without evidence.

They are written to links.json. This module imports nothing, so readers of that file load nothing.
"""

SAME_TIME = "one camera, same time"
TRAVEL = "travel time"
SPEED = "walking speed"
FLOOR = "floor distance"
CORRECTED = "a human said so"
ONE_TRACK = "one track"
DECIDED = "decided before"
