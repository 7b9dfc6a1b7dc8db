"""A grid of specs, played and judged, one row each: on this machine, or on a cluster.

* `grid`: a TOML file and its points. `row`: the result of one point.
* `player`: plays one point. `local`: plays many at once on this machine.
* `cluster`: plays them on a Dask cluster. `cluster_worker`: plays one point on a worker of that cluster.
* `table`: keeps the rows on disk. `results`: writes the tables and the picture.
"""
