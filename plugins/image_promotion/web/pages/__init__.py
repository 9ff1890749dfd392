"""The Promotions page: what it shows, and the routes that show it."""
