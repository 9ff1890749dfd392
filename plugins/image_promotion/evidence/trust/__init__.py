"""Trust: which signed documents count, decided offline by keys and trust roots that are given.

Knows signatures and what they are over; knows neither registries nor policies' files.
"""
