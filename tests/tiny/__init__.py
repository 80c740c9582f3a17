"""Tiny random models of many families, the same weights for transformers and for llama.cpp."""

from tests.tiny.families import ARCHITECTURES
from tests.tiny.models import TinyModel, make

__all__ = ["ARCHITECTURES", "TinyModel", "make"]
