"""The JSON API: everything that the Promotions page shows."""
