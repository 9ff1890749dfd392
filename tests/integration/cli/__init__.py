"""Tests of the command `promotion` as people and programs run it, on real registries."""
