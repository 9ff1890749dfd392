"""The only module of ours that Airflow's plugin loader imports: it makes the product known.

Every task process loads it too, so it imports nothing heavy.
"""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin


class ImagePromotionPlugin(AirflowPlugin):
    """Shows under Admin, Plugins that image promotion is installed."""

    name = "image_promotion"
