"""Classifiers of texts for gates: a sequence classifier of transformers, such as a detector of human values."""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from trimtab.engine.text import clean_line
from trimtab.engine.torch.folder import check_folder, first_line
from trimtab.errors import ModelError, Unsupported

_LONGEST = 512
"""Tokens of a message that are read; the last ones, as a gate of the model's own reads them."""


class TextClassifier:
    """A loaded classifier and its labels."""

    def __init__(self, folder: Path, model: Any, tokenizer: Any) -> None:
        config = model.config
        self.labels = [clean_line(str(config.id2label[at])) for at in range(config.num_labels)]
        self._folder = folder
        self._model = model
        self._tokenizer = tokenizer
        self._apart = getattr(config, "problem_type", None) == "multi_label_classification"
        """Each label for itself; else they share one probability."""

    def probability(self, label: str, text: str) -> float:
        """P that the text has the label; of several labels that are meant, the highest or the sum."""
        meant = chosen(self.labels, label)
        if not meant:
            raise Unsupported(
                f"The classifier in {self._folder.name} has no label for {label!r}.",
                f"It has: {', '.join(self.labels[:20])}.",
            )
        found = self._probabilities(text)[meant]
        return float(found.max() if self._apart else found.sum())

    @torch.inference_mode()
    def _probabilities(self, text: str) -> torch.Tensor:
        tokens = self._tokenizer(text, truncation=True, max_length=self._window, return_tensors="pt")
        logits: torch.Tensor = self._model(**tokens).logits[0].double()
        return logits.sigmoid() if self._apart or len(self.labels) == 1 else logits.softmax(-1)

    @property
    def _window(self) -> int:
        learned = getattr(self._model.config, "max_position_embeddings", 0) or _LONGEST
        return min(_LONGEST, int(learned))


def load(folder: Path) -> TextClassifier:
    """The classifier in a folder; nothing in it is run, and it computes on the CPU."""
    transformers: Any = importlib.import_module("transformers")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    check_folder(folder)
    options = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **options)
        tokenizer.truncation_side = "left"
        model, report = transformers.AutoModelForSequenceClassification.from_pretrained(
            folder, use_safetensors=True, dtype=torch.float32, output_loading_info=True, **options
        )
    except Exception as error:
        raise ModelError(
            f"The classifier in {folder} cannot be loaded: {first_line(error)}", "Get the folder again."
        ) from error
    missing = sorted(map(str, (*report.get("missing_keys", ()), *report.get("mismatched_keys", ()))))
    if missing:
        raise ModelError(
            f"{folder} holds no trained classifier: {missing[0][:120]} is missing from its weights.",
            "Choose a model that was trained to classify.",
        )
    return TextClassifier(folder, model.eval().requires_grad_(False), tokenizer)


def chosen(labels: Sequence[str], wanted: str) -> list[int]:
    """The label of this name, or all that begin with it; of a yes-or-no classifier the yes, whatever is wanted."""
    plain, names = _plain(wanted), [_plain(label) for label in labels]
    exact = [at for at, name in enumerate(names) if plain and name == plain]
    begun = [at for at, name in enumerate(names) if plain and name.startswith(f"{plain}-")]
    if exact or begun:
        return exact or begun
    return [len(labels) - 1] if len(labels) <= 2 else []


def _plain(label: str) -> str:
    """`Security: personal` is `security-personal`."""
    return re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")
