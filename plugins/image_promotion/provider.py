"""Airflow connection type of this package."""

def get_provider_info() -> dict[str, object]:
    return {"package-name": "image-promotion", "name": "Image promotion", "description": "x", "versions": ["0.1.0"]}
