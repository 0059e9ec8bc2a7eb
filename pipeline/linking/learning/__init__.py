"""What a site teaches: learned from the run itself.

- `similarity`: the curve from cosine similarity to log odds
- `correspondences`: pairs of tracklets that are likely one person, from which the rest is learned
- `clocks`: offsets between the clocks of cameras
- `homographies`: how overlapping views lie over each other, with `feet` (where people stand in two
  pictures at once) and `ransac` (the robust fit)
- `travel_times`: how long people take from camera to camera
- `lessons`: what a live run keeps of all this
"""
