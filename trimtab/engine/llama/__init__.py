"""The llama.cpp engine's own part."""
