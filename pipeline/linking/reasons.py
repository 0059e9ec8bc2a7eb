"""Words that a `Link` gives as its `rule`: what forbade it, or what made it without evidence.

They stand in links.json. This module imports nothing, so that readers of that file load nothing.
"""

SAME_TIME = "one camera, same time"
TRAVEL = "travel time"
SPEED = "walking speed"
FLOOR = "floor distance"
CORRECTED = "a human said so"
ONE_TRACK = "one track"
DECIDED = "decided before"
