"""A grid of specs, played and judged, one row each: here, or on a cluster.

* `grid`: a TOML file and the points that it means. `row`: what became of a point.
* `player`: plays one point. `local`: plays many at once on this machine.
* `cluster`: plays them on a Dask cluster. `cluster_worker`: what a worker of it does with a point.
* `table`: keeps the rows, whatever happens. `results`: writes the tables and the picture.
"""
