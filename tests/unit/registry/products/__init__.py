"""Products of registries, against doubles built from their documented answers."""
