"""Counting people at places of the site: who enters and leaves an area, and who crosses a line.

A zone is all shapes of one name in `zones:` of the settings: polygons (an area) or lines, in
pictures of cameras or on the floor. `geometry` knows points, areas and lines; `sightings` what one
camera says of one person; `counting` makes events of all of them; `table` writes and sums them up.
Counts are of people, not of boxes: linking has said who is who before.
"""
