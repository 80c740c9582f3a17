"""LoRA adapters through peft: loaded once each, switched and scaled for every plan without reloading."""

from __future__ import annotations

import json
import shutil
import tempfile
import warnings
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trimtab.engine.program import Adapter
from trimtab.engine.torch.folder import first_line
from trimtab.errors import ModelError, Unsupported

_CONFIG, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_PREFIX = "base_model.model."
_OTHER = "It may have been made for another model."
_REFUSED = ("modules_to_save", "layer_replication", "trainable_token_indices", "megatron_config")
"""Settings that change more of the model than LoRA's own factors, and so could not be taken back."""


class Adapters:
    """The adapters of one model, by the hash of their content."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._names: dict[str, str] = {}
        self._scales: dict[str, dict[Any, tuple[float, Tensor]]] = {}
        """By adapter and layer: peft's own scale, and the number in its place, changed where it lies so that
        a captured step follows."""
        self._active: tuple[str, ...] = ()
        self._tried = 0

    def install(self, adapters: Sequence[Adapter]) -> None:
        """From now on these, each at its scale, and no others; the same one twice counts twice."""
        scales: dict[str, float] = {}
        for adapter in adapters:
            name = self._names.get(adapter.digest) or self._load(adapter)
            scales[name] = scales.get(name, 0.0) + adapter.scale
        for name, scale in scales.items():
            for own, held in self._scales[name].values():
                held.fill_(own * scale)
        wanted = tuple(sorted(name for name, scale in scales.items() if scale))
        if wanted != self._active:
            self._activate(wanted)

    @contextmanager
    def idle(self) -> Iterator[None]:
        """Within, passes go without any adapter."""
        active = self._active
        if active:
            self._activate(())
        try:
            yield
        finally:
            if active:
                self._activate(active)

    def shape(self) -> Hashable:
        """Equal while a captured step stays right."""
        return self._active

    def _activate(self, names: tuple[str, ...]) -> None:
        for layer in self._layers():
            layer.enable_adapters(bool(names))
            layer.set_adapter(list(names), inference_mode=True)
        self._active = names

    def _layers(self) -> Iterator[Any]:
        from peft.tuners.lora import LoraLayer

        return (module for module in self._model.modules() if isinstance(module, LoraLayer))

    def _load(self, adapter: Adapter) -> str:
        self._tried += 1
        name = f"lora{self._tried}"
        with tempfile.TemporaryDirectory() as folder:
            stage(adapter, Path(folder))
            try:
                self._inject(Path(folder), name)
            except Exception as error:
                self._forget(name)
                raise ModelError(f"{adapter.title} could not be loaded: {first_line(error)}", _OTHER) from error
        self._names[adapter.digest] = name
        self._scales[name] = {}
        for layer in self._layers():
            if name in layer.scaling:
                own = float(layer.scaling[name])
                held = torch.tensor(own, device=layer.get_base_layer().weight.device)
                layer.scaling[name] = held
                self._scales[name][layer] = own, held
        self._activate(self._active)
        return name

    def _forget(self, name: str) -> None:
        """Takes out what a failed load may have put in."""
        for layer in self._layers():
            layer.delete_adapter(name)
        getattr(self._model, "peft_config", {}).pop(name, None)
        self._activate(self._active)

    def _inject(self, folder: Path, name: str) -> None:
        from peft import LoraConfig, inject_adapter_in_model, set_peft_model_state_dict
        from safetensors.torch import load_file

        config = LoraConfig.from_pretrained(str(folder))
        config.inference_mode = True
        config.init_lora_weights = True  # others rewrite the model's own weights
        factors = {key.removeprefix(_PREFIX): value for key, value in load_file(str(folder / _WEIGHTS)).items()}
        with torch.inference_mode(False), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # peft warns of every second adapter
            inject_adapter_in_model(config, self._model, adapter_name=name)
            outcome: Any = set_peft_model_state_dict(self._model, factors, adapter_name=name)
        missing = [key for key in outcome.missing_keys if f".{name}." in key or key.endswith(f".{name}")]
        for key, fault in [(key, "does not know") for key in outcome.unexpected_keys] + [
            (key, "needs and the adapter lacks") for key in missing
        ]:
            raise ValueError(f"it has to do with weights that this model {fault}: {key[:120]}.")
        self._model.eval().requires_grad_(False)


def stage(adapter: Adapter, folder: Path) -> None:
    """Puts the adapter's files into `folder` under their names, checked to be a plain LoRA in safetensors."""
    names = {file.name for file in adapter.files}
    if not {_CONFIG, _WEIGHTS} <= names:
        raise Unsupported(
            f"{adapter.title} is no peft folder with {_CONFIG} and {_WEIGHTS}.",
            "Save it with safetensors: pickled weights are refused.",
        )
    for file in adapter.files:
        if file.name not in (_CONFIG, _WEIGHTS):
            continue
        if not file.path or not Path(file.path).is_file():
            raise ModelError(f"A file of {adapter.title} is missing: {file.name}.", "Load the adapter again.")
        target = folder / file.name
        try:
            target.symlink_to(Path(file.path).resolve())
        except OSError:
            shutil.copyfile(file.path, target)
    try:
        config = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
        kind, bias = config["peft_type"], config.get("bias")
        more = [name for name in _REFUSED if config.get(name)]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"The {_CONFIG} of {adapter.title} cannot be read.", "Save the adapter again.") from error
    if kind != "LORA":
        raise Unsupported(f"{adapter.title} is of the kind {str(kind)[:40]}.", "Only LoRA adapters can be loaded.")
    if bias not in (None, "none"):
        more.append("bias")
    if more:
        raise Unsupported(
            f"{adapter.title} changes more than LoRA's factors: {', '.join(more)}.",
            "Train it again without these settings.",
        )
