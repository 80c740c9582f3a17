"""What makes the assets that are committed: no part of the package."""
