"""The floors of the benchmark by name; their maps are in :mod:`captum_ssgc.benchmark.floors`."""

FLOORS = {"noise": "Noise", "box": "The box itself", "centre": "Centre prior"}
