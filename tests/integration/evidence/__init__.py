"""Evidence, fetched from real registries."""
