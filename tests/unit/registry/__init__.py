"""Tests of registry/: values, and the client against a scripted server."""
