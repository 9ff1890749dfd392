"""What registries offer beyond the distribution protocol, by their own documented interfaces.

``catalogue`` says what a registry of a known type can be asked; ``dtr``, ``docker_hub`` and
``harbor`` ask it. What a product says about digests saves requests and proves nothing: an image is
read by the protocol, and hashed, before anything is done with it.
"""
