"""A template that would never end, and a model with a template that it was not made with."""

from __future__ import annotations

from pathlib import Path

import gguf

COMPARISON = (
    "{% set ns = namespace(a=[], b=[]) %}{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] %}"
    "{% set ns.b = [ns.b, ns.b] %}{% endfor %}{{ ns.a == ns.b }}"
)
"""Takes for ever and lets no other Python run meanwhile."""
_KEY = "tokenizer.chat_template"


def with_template(model: Path, target: Path, template: str) -> Path:
    """Writes the model at `model` to `target`, with this template."""
    reader = gguf.GGUFReader(model)
    fields = {key: field for key, field in reader.fields.items() if not key.startswith("GGUF.")}
    writer = gguf.GGUFWriter(target, fields.pop("general.architecture").contents())
    fields.pop(_KEY, None)
    for key, field in fields.items():
        kind, inner = field.types[0], field.types[-1]
        sub = inner if kind is gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(key, field.contents(), kind, sub_type=sub)
    writer.add_chat_template(template)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target
