"""Tiny random models of many families, the same weights for transformers and for llama.cpp."""

from tests.tiny.families import ARCHITECTURES
from tests.tiny.lora import TinyAdapter, tiny_lora
from tests.tiny.models import TinyModel, make
from tests.tiny.quantised import quantise

__all__ = ["ARCHITECTURES", "TinyAdapter", "TinyModel", "make", "quantise", "tiny_lora"]
