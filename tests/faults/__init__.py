"""Promotions while registries, connections and workers fail; real ones, broken by plan."""
