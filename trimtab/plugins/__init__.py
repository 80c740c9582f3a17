"""What can be added to Trimtab from outside, and the built-in methods, which come through the same door."""
