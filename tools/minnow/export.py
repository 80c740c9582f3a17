"""Writes a trained model for users: a folder of f16 safetensors and a Q8_0 GGUF file, the same bytes each time.

    python -m tools.minnow.export CHECKPOINT OUT --name minnow --tokenizer TOKENIZER [--f32]

Writes OUT/NAME/ and OUT/NAME.gguf, with --f32 OUT/NAME.f32.gguf too.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from tools.minnow import checkpoints, model
from tools.minnow.tokenizer import END_ID, STOP_ID
from trimtab.minnow.conversion import write_gguf
from trimtab.minnow.documents import END, STOP

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""For whoever loads the folder; Trimtab itself knows ChatML."""


def export(checkpoint: Path, out: Path, name: str, tokenizer: Path, *, f32: bool = False) -> Path:
    """The folder of the exported model."""
    found = checkpoints.load(checkpoint)
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    state = {key: values.to(torch.float16) for key, values in found.weights().items()}
    save_file(
        dict(sorted(model.to_transformers(state).items())),
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )
    (folder / "tokenizer.json").write_bytes(tokenizer.read_bytes())
    (folder / "chat_template.jinja").write_text(CHATML, "utf-8")
    _write(folder / "config.json", model.config(found.shape, stop=STOP_ID, end=END_ID))
    _write(folder / "tokenizer_config.json", _tokenizer_config(found.shape.context))
    _write(
        folder / "generation_config.json",
        {"bos_token_id": STOP_ID, "eos_token_id": [END_ID, STOP_ID], "pad_token_id": STOP_ID},
    )
    write_gguf(folder, out / f"{name}.gguf", "q8_0", name)
    if f32:
        write_gguf(folder, out / f"{name}.f32.gguf", "f32", name)
    return folder


def _tokenizer_config(context: int) -> dict[str, Any]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": STOP,
        "eos_token": END,
        "pad_token": STOP,
        "clean_up_tokenization_spaces": False,
        "model_max_length": context,
    }


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--name", required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--f32", action="store_true")
    chosen = parser.parse_args()
    folder = export(chosen.checkpoint, chosen.out, chosen.name, chosen.tokenizer, f32=chosen.f32)
    print(f"wrote {folder} and {folder}.gguf")


if __name__ == "__main__":
    main()
