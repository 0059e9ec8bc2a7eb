"""Size of a person crop in pixels, in a module of its own: the size alone needs no torch."""

HEIGHT_PX = 256
WIDTH_PX = 128
