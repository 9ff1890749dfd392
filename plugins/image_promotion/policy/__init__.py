"""What a policy is and how it judges an image: pure but for reading one file.

Knows nothing of registries, of the ledger or of Airflow; may import errors alone.
"""
