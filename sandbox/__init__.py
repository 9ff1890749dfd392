"""Real parts on loopback for the demo, the tests and the benchmarks: registries, images, faults.

It knows the distribution and image specifications well enough to fill a registry without the
product's own client, so that a test never checks our client against itself. It imports nothing of
`image_promotion` and is not installed with it. Only the modules of certificates and tokens, which
only tests use, need more than the product itself has installed.
"""
