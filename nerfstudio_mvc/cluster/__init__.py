"""Many captures and many archives as tasks of a Dask cluster; the tasks themselves are `pipeline`'s."""
