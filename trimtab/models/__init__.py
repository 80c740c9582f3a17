"""The models on this machine, whoever brought them, and how to get others."""
