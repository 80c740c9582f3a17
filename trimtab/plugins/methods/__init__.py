"""The built-in methods, each a plugin of its own."""
