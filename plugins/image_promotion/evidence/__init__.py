"""Evidence: what reports, attestations and signatures say about an image, and who says so.

``formats`` turn bytes into reports, ``sources`` fetch the bytes, ``trust`` decides which count.
"""
