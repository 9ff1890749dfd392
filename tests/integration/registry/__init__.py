"""Tests of the client against real registries."""
