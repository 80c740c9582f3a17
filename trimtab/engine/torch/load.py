"""Loads a model folder and makes the machine that runs it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from trimtab.engine.contract import LoadRequest, ModelInfo, Progress
from trimtab.engine.kernel import Kernel
from trimtab.engine.torch.decode import Decoder, Outcome
from trimtab.engine.torch.device import DeviceSteering
from trimtab.engine.torch.families import Anatomy, dissect
from trimtab.engine.torch.folder import check_folder
from trimtab.engine.torch.graph import Graphs
from trimtab.engine.torch.machine import TorchMachine
from trimtab.engine.torch.masks import Masks
from trimtab.engine.torch.steering import KernelSteering, Steering
from trimtab.engine.torch.store import Store
from trimtab.engine.torch.tokens import Tokens
from trimtab.errors import Cancelled, EngineError, ModelError, TrimtabError, Unsupported

_CONTEXT = 4096
"""The window where none is asked for and the model was trained on more."""
_SMALL = 50_000_000
"""Up to so many parameters one thread is the fastest."""
_CAPABILITIES = (
    "Shift", "Raise", "Tune", "Tune.prenorm", "Tune.logodds", "Adapter.peft", "Preface", "Gate", "Watch",
)  # fmt: skip
_DTYPES = {torch.float32: "f32", torch.bfloat16: "bf16", torch.float16: "f16"}


def load(request: LoadRequest, progress: Progress) -> TorchMachine:
    """The machine for the model folder at `request.path`."""
    path = Path(request.path)
    settings = check_folder(path)
    _tell(progress, 0.05)
    device = _device(request)
    dtype = torch.bfloat16 if device.type == "cuda" and not request.exact else torch.float32
    if request.exact:
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
    model = _read(path, settings, device, dtype, exact=request.exact)
    _tell(progress, 0.7)
    parameters = sum(each.numel() for each in model.parameters())
    threads = request.threads or _threads(parameters)
    torch.set_num_threads(threads)
    config = model.config.get_text_config(decoder=True)
    try:
        anatomy = dissect(model)
    except TrimtabError:
        raise
    except Exception as error:
        raise Unsupported(f"The model in {path} does not run: {_line(error)}") from error
    warnings: list[str] = []
    context, trained = _context(request, config, warnings)
    additive = dtype if getattr(model.config, "_attn_implementation", "") == "eager" else None
    masks = Masks(anatomy.windows, context, device, additive)
    _check_memory(anatomy, masks, context, device)
    kernel = Kernel(len(anatomy.layers), anatomy.width, native=request.native)
    steering: Steering
    store = Store(len(anatomy.layers), context)
    decoder = Decoder(anatomy, store, masks, device)
    graphs = None
    if device.type == "cuda":
        steering = on_device = DeviceSteering(len(anatomy.layers), anatomy.width, device, kernel)
        graphs = Graphs[Outcome](context, device, on_device.notes, on_device.restore)
        decoder.use_graphs(graphs)
    else:
        steering = KernelSteering(kernel, anatomy.width)
    tokens = Tokens(path, anatomy.vocabulary, _ends(model))
    _tell(progress, 0.9)
    info = ModelInfo(
        engine="torch",
        name=path.resolve().name,
        path=str(path),
        architecture=str(config.model_type),
        layers=len(anatomy.layers),
        width=anatomy.width,
        vocabulary=anatomy.vocabulary,
        vocabulary_hash=tokens.hash(),
        context=context,
        trained_context=trained,
        parameters=parameters,
        quantisation=_DTYPES[dtype],
        device=_device_name(device),
        template=tokens.template(),
        steerable=tuple(range(len(anatomy.layers))),
        capabilities=_CAPABILITIES,
        can_cut=True,
        can_shift=False,
        native=kernel.native,
        threads=threads,
        warnings=tuple(warnings),
    )
    machine = TorchMachine(info, anatomy, tokens, steering, decoder, masks, device, request.batch, graphs)
    try:
        machine.warm_up()
    except (RuntimeError, MemoryError) as error:
        raise EngineError(
            f"The model does not fit into memory with a window of {context} tokens: {_line(error)}",
            "Load it with a smaller context.",
        ) from error
    _tell(progress, 1.0)
    return machine


def _device(request: LoadRequest) -> torch.device:
    wanted = request.device or ("cuda" if torch.cuda.is_available() and request.gpu_layers != 0 else "cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise ModelError(f"There is no device named {wanted!r}.", "Use cpu, cuda or cuda:1.") from error
    if device.type not in ("cpu", "cuda"):
        raise Unsupported(f"The PyTorch engine does not run on {wanted}.", "Use cpu or cuda.")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise Unsupported("This PyTorch finds no CUDA card.", "Use cpu, or install PyTorch for CUDA.")
    return torch.device("cuda", device.index or 0) if device.type == "cuda" else device


def _read(path: Path, settings: dict[str, Any], device: torch.device, dtype: torch.dtype, *, exact: bool) -> Any:
    import transformers
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
        kind_of_model = transformers.AutoModelForCausalLM._model_mapping.get(type(config), None)
    except Exception as error:
        raise ModelError(f"{path / 'config.json'} cannot be read: {_line(error)}", "Get it again.") from error
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
        raise ModelError(f"The model in {path} cannot be loaded: {_line(error)}", "Get the folder again.") from error
    for fault in ("missing_keys", "mismatched_keys"):
        names = sorted(map(str, report.get(fault) or ()))
        if names:
            raise ModelError(
                f"The weights in {path} do not fit its config.json: {names[0][:120]} is "
                f"{'missing' if fault == 'missing_keys' else 'of another shape'}.",
                "Get the folder again.",
            )
    return model.eval().requires_grad_(False)


def _context(request: LoadRequest, config: Any, warnings: list[str]) -> tuple[int, int]:
    trained = int(getattr(config, "max_position_embeddings", 0) or _CONTEXT)
    context = request.context or min(trained, _CONTEXT)
    if context > trained:
        if not getattr(config, "rope_parameters", None):
            warnings.append(f"The model knows only {trained} positions; the window is that long.")
            context = trained
        else:
            warnings.append(f"The model was trained on {trained} positions; beyond them it may ramble.")
    return context, trained


def _check_memory(anatomy: Anatomy, masks: Masks, context: int, device: torch.device) -> None:
    """Refuses a window whose cache cannot fit, before the system starts to swap or to kill."""
    trial = Store(len(anatomy.layers), 1)
    Decoder(anatomy, trial, masks, device).run([0], 0, None)
    needed = trial.bytes * context
    if device.type == "cuda":
        held = torch.cuda.mem_get_info(device)[0]
    else:
        try:
            held = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (AttributeError, ValueError, OSError):
            return
        held -= sum(each.nbytes for each in anatomy.model.parameters())
    if needed > held:
        raise EngineError(
            f"A window of {context} tokens needs {needed / 2**30:.1f} GiB of memory and {max(held, 0) / 2**30:.1f} "
            "GiB are there.",
            f"Load the model with a context of at most {max(held, 0) // trial.bytes}.",
        )


def _threads(parameters: int) -> int:
    if parameters <= _SMALL:
        return 1
    try:
        import psutil

        physical = psutil.cpu_count(logical=False)
    except ImportError:
        physical = None
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(physical or allowed, allowed) - 1)


def _ends(model: Any) -> list[int]:
    found: list[int] = []
    for settings in (model.config, getattr(model, "generation_config", None)):
        ids = getattr(settings, "eos_token_id", None)
        found += [int(n) for n in (ids if isinstance(ids, list | tuple) else [ids]) if n is not None]
    return found


def _device_name(device: torch.device) -> str:
    return f"cuda ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else "cpu"


def _tell(progress: Progress, fraction: float) -> None:
    if not progress(fraction):
        raise Cancelled("Stopped while loading.")


def _line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
