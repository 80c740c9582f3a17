"""Loads a model folder and makes the machine that runs it."""

from __future__ import annotations

from pathlib import Path

import torch

from trimtab.engine.contract import LoadRequest, ModelInfo, Progress
from trimtab.engine.kernel import Kernel
from trimtab.engine.torch.decode import Decoder, Outcome
from trimtab.engine.torch.device import DeviceSteering
from trimtab.engine.torch.families import Anatomy, dissect
from trimtab.engine.torch.folder import check_folder, first_line
from trimtab.engine.torch.graph import Graphs
from trimtab.engine.torch.machine import Parts, TorchMachine
from trimtab.engine.torch.masks import Masks
from trimtab.engine.torch.pretrained import ends_of, read_model
from trimtab.engine.torch.resources import (
    check_memory,
    choose_context,
    choose_device,
    choose_threads,
    device_name,
)
from trimtab.engine.torch.steering import KernelSteering, Steering
from trimtab.engine.torch.store import Store
from trimtab.engine.torch.tokens import Tokens
from trimtab.errors import Cancelled, EngineError, Unsupported

_CAPABILITIES = (
    "Shift", "Raise", "Tune", "Tune.prenorm", "Tune.logodds", "Adapter.peft", "Preface", "Gate", "Watch",
)  # fmt: skip
_DTYPES = {torch.float32: "f32", torch.bfloat16: "bf16", torch.float16: "f16"}


def load(request: LoadRequest, progress: Progress) -> TorchMachine:
    """The machine for the model folder at `request.path`."""
    path = Path(request.path)
    settings = check_folder(path)
    _tell(progress, 0.05)
    device = choose_device(request)
    dtype = torch.bfloat16 if device.type == "cuda" and not request.exact else torch.float32
    if request.exact:
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
    model = read_model(path, settings, device, dtype, exact=request.exact)
    _tell(progress, 0.7)
    parameters = sum(each.numel() for each in model.parameters())
    threads = request.threads or choose_threads(parameters)
    torch.set_num_threads(threads)
    try:
        anatomy = dissect(model)
    except (RuntimeError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise Unsupported(
            f"The model in {path} does not run: {first_line(error)}", "Use a GGUF file of it."
        ) from error
    config = model.config.get_text_config(decoder=True)
    context, trained, warnings = choose_context(request, config)
    kernel = Kernel(len(anatomy.layers), anatomy.width, native=request.native)
    parts = _assemble(path, anatomy, kernel, context, device)
    _tell(progress, 0.9)
    info = ModelInfo(
        engine="torch",
        name=path.resolve().name,
        path=str(path),
        architecture=str(config.model_type),
        layers=len(anatomy.layers),
        width=anatomy.width,
        vocabulary=anatomy.vocabulary,
        vocabulary_hash=parts.tokens.hash(),
        context=context,
        trained_context=trained,
        parameters=parameters,
        quantisation=_DTYPES[dtype],
        device=device_name(device),
        template=parts.tokens.template(),
        steerable=tuple(range(len(anatomy.layers))),
        capabilities=_CAPABILITIES,
        can_cut=True,
        can_shift=False,
        native=kernel.native,
        threads=threads,
        warnings=warnings,
    )
    machine = TorchMachine(info, parts, request.batch)
    try:
        machine.warm_up()
    except (RuntimeError, MemoryError) as error:
        raise EngineError(
            f"The model does not fit into memory with a window of {context} tokens: {first_line(error)}",
            "Load it with a smaller context.",
        ) from error
    _tell(progress, 1.0)
    return machine


def _assemble(path: Path, anatomy: Anatomy, kernel: Kernel, context: int, device: torch.device) -> Parts:
    plain = getattr(anatomy.model.config, "_attn_implementation", "") == "eager"
    additive = anatomy.weight.dtype if plain else None
    check_memory(anatomy, additive, context, device)
    masks = Masks(anatomy.windows, context, device, additive)
    decoder = Decoder(anatomy, Store(len(anatomy.layers), context), masks, device)
    graphs = None
    steering: Steering = KernelSteering(kernel, anatomy.width)
    if device.type == "cuda":
        steering = on_device = DeviceSteering(len(anatomy.layers), anatomy.width, device, kernel)
        graphs = Graphs[Outcome](context, device, on_device.notes, on_device.restore)
        decoder.use_graphs(graphs)
        decoder.finish = on_device.finish
    tokens = Tokens(path, anatomy.vocabulary, ends_of(anatomy.model))
    return Parts(anatomy, tokens, steering, decoder, masks, device, graphs)


def _tell(progress: Progress, fraction: float) -> None:
    if not progress(fraction):
        raise Cancelled("Stopped while loading.")
