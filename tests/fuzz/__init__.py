"""Parsers under mutated input: what they read, what they refuse, and that they do nothing else."""
