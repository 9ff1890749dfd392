"""What registries say when something was pushed or scanned: one module for each product."""
