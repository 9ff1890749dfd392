"""Tests of whole policies between real registries and folders of layouts."""
