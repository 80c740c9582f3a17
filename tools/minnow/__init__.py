"""What makes the built-in model."""
