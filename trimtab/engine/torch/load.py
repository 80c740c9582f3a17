"""Loads a model folder and makes the machine that runs it."""

from __future__ import annotations

from pathlib import Path

import torch

from trimtab.engine.contract import LoadRequest, ModelInfo, Progress
from trimtab.engine.kernel import Kernel
from trimtab.engine.torch.decode import Decoder, Outcome
from trimtab.engine.torch.device import DeviceSteering
from trimtab.engine.torch.families import dissect
from trimtab.engine.torch.folder import check_folder, first_line
from trimtab.engine.torch.graph import Graphs
from trimtab.engine.torch.machine import TorchMachine
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
from trimtab.errors import Cancelled, EngineError, TrimtabError, Unsupported

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
    config = model.config.get_text_config(decoder=True)
    try:
        anatomy = dissect(model)
    except TrimtabError:
        raise
    except Exception as error:
        raise Unsupported(f"The model in {path} does not run: {first_line(error)}") from error
    warnings: list[str] = []
    context, trained = choose_context(request, config, warnings)
    additive = dtype if getattr(model.config, "_attn_implementation", "") == "eager" else None
    check_memory(anatomy, additive, context, device)
    masks = Masks(anatomy.windows, context, device, additive)
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
    tokens = Tokens(path, anatomy.vocabulary, ends_of(model))
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
        device=device_name(device),
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
            f"The model does not fit into memory with a window of {context} tokens: {first_line(error)}",
            "Load it with a smaller context.",
        ) from error
    _tell(progress, 1.0)
    return machine


def _tell(progress: Progress, fraction: float) -> None:
    if not progress(fraction):
        raise Cancelled("Stopped while loading.")
