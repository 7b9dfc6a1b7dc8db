"""A grid of specs, played and judged, one row each: here, or on a cluster.

* `grid`: a TOML file and the points that it means. `row`: what became of a point.
* `playing`: plays one point. `here`: plays many at once on this machine. `table`: keeps the rows, whatever happens.
"""
