"""Reads a checked folder into a transformers model, and never runs code from it."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import torch

from trimtab.engine.torch.folder import first_line
from trimtab.errors import EngineError, ModelError, Unsupported


def read_model(
    path: Path, settings: dict[str, Any], device: torch.device, dtype: torch.dtype, *, exact: bool
) -> Any:
    """The model in `path`, whose config.json holds `settings`; `exact` takes plain attention."""
    transformers: Any = importlib.import_module("transformers")
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    kind = settings.get("model_type")
    if not isinstance(kind, str) or kind not in CONFIG_MAPPING:
        own = " and brings its own code, which Trimtab never runs" if settings.get("auto_map") else ""
        raise ModelError(
            f"The model in {path} is of the kind {str(kind)[:60]!r}, which transformers does not know{own}.",
            "Use another model, a GGUF file of it, or a newer transformers.",
        )
    try:
        config = transformers.AutoConfig.from_pretrained(path, local_files_only=True, trust_remote_code=False)
        kind_of_model = transformers.MODEL_FOR_CAUSAL_LM_MAPPING.get(type(config), None)
    except Exception as error:
        raise ModelError(f"{path / 'config.json'} cannot be read: {first_line(error)}", "Get it again.") from error
    if isinstance(kind_of_model, tuple | list):
        kind_of_model = kind_of_model[0]
    if kind_of_model is None or getattr(config, "is_encoder_decoder", False):
        raise Unsupported(f"The model in {path} ({kind}) does not continue texts.", "Use a causal language model.")
    text = config.get_text_config(decoder=True)
    capped = getattr(text, "attn_logit_softcapping", None) is not None
    plain = exact or capped or not getattr(kind_of_model, "_supports_sdpa", False)
    try:
        model, report = kind_of_model.from_pretrained(
            path,
            config=config,
            dtype=dtype,
            attn_implementation="eager" if plain else "sdpa",
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
            **({"device_map": {"": device}} if device.type == "cuda" else {}),
        )
    except torch.cuda.OutOfMemoryError as error:
        raise EngineError("The model does not fit into the card's memory.", "Load it with device cpu.") from error
    except Exception as error:
        raise ModelError(f"The model in {path} cannot be loaded: {first_line(error)}", "Get the folder again.") from error
    for fault in ("missing_keys", "mismatched_keys"):
        names = sorted(map(str, report.get(fault) or ()))
        if names:
            raise ModelError(
                f"The weights in {path} do not fit its config.json: {names[0][:120]} is "
                f"{'missing' if fault == 'missing_keys' else 'of another shape'}.",
                "Get the folder again.",
            )
    return model.eval().requires_grad_(False)


def ends_of(model: Any) -> list[int]:
    """The tokens that the model's own settings call an end."""
    found: list[int] = []
    for settings in (model.config, getattr(model, "generation_config", None)):
        ids = getattr(settings, "eos_token_id", None)
        found += [int(n) for n in (ids if isinstance(ids, list | tuple) else [ids]) if n is not None]
    return found
