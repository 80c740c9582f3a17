"""Other programs for steering, run in environments of their own, to compare with."""
