"""Loads a GGUF model, having checked all that can be checked before."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

from trimtab.engine.contract import LoadRequest, ModelInfo, Progress
from trimtab.engine.gguf_file import GgufFile, open_gguf
from trimtab.engine.kernel import Kernel
from trimtab.engine.llama import memory
from trimtab.engine.llama.adapters import Adapters
from trimtab.engine.llama.aside import Aside
from trimtab.engine.llama.batch import Batch
from trimtab.engine.llama.check import gpus
from trimtab.engine.llama.control import ControlVector
from trimtab.engine.llama.cores import choose_threads
from trimtab.engine.llama.forward import Forward
from trimtab.engine.llama.head import Head
from trimtab.engine.llama.hook import GGML_FUNCTIONS, Hook
from trimtab.engine.llama.interruption import Interruption
from trimtab.engine.llama.library import Library, open_library
from trimtab.engine.llama.machine import LlamaMachine, Parts
from trimtab.engine.llama.model_file import Dimensions, check_model
from trimtab.engine.llama.native import Native
from trimtab.engine.llama.sites import Sites, look, unembedding
from trimtab.engine.llama.steering import Steering
from trimtab.engine.llama.tuning import StateTuner
from trimtab.engine.llama.words import Words
from trimtab.engine.text import clean
from trimtab.engine.vocabulary import vocabulary_hash
from trimtab.errors import Cancelled, EngineError, ModelError, Unsupported

_F32, _FLASH_OFF, _NO_ROTATION = 0, 0, -1
_ASIDE_ROOM = 768
"""Cells beside the chat's, so that a gate can be read though the window is full."""
_SEQUENCES = 9
"""The chat's, and eight to read short texts side by side: half again as fast as one after the other."""
_LEAST_BATCH = 16
"""A batch smaller than the number of sequences makes llama.cpp give up the process."""


def load(request: LoadRequest, progress: Progress) -> LlamaMachine:
    """The model of `request`, ready to decode."""
    library = open_library()
    file = open_gguf(Path(request.path))
    native = None
    try:
        size = check_model(file)
        if request.batch < 1:
            raise ModelError(f"A batch of {request.batch} tokens cannot be.", "Give at least 1.")
        context, warnings = _room_for(request, library, file, size)
        native = Native(library, _load_model(request, library, file, progress))
        _refuse_other_models(native, file)
        return _make_machine(request, native, file, size, context, warnings)
    except BaseException:
        if native is not None:
            native.close()
        file.close()
        raise


def _room_for(
    request: LoadRequest, library: Library, file: GgufFile, size: Dimensions
) -> tuple[int, list[str]]:
    """The context to make, having seen that it fits."""
    warnings = []
    free = memory.available()
    if free is not None:
        free += sum(device.free for device in gpus(library)) if _offloads(request, library) else 0
        room = free - file.tensor_bytes
        if room < 0:
            warnings.append("The model is larger than the memory that is free: it will be slow.")
            room = free // 4
        free = room
    context = memory.choose_context(
        request.context, size, batch=request.batch, exact=request.exact, room=free
    )
    if context > size.context:
        warnings.append(f"The model was trained for a context of {size.context:,}, not {context:,}.")
    return context, warnings


def _load_model(request: LoadRequest, library: Library, file: GgufFile, progress: Progress) -> int:
    api = library.api
    stopped: list[BaseException] = []

    def tell(fraction: float, _: object) -> bool:
        try:
            if progress(fraction):
                return True
            stopped.append(Cancelled("Loading was stopped."))
        except BaseException as error:  # noqa: BLE001  it cannot pass through llama.cpp: it is raised behind it
            stopped.append(error)
        return False

    settings = api.llama_model_default_params()
    settings.n_gpu_layers = _gpu_layers(request, library)
    settings.progress_callback = api.llama_progress_callback(tell)
    library.listen()
    model: int | None = api.llama_model_load_from_file(str(file.path).encode(), settings)
    if stopped:
        if model:
            api.llama_model_free(model)
        raise stopped[0]
    if not model:
        reason = library.log.reason() or "no reason was given"
        raise ModelError(
            f"{file.path} cannot be loaded: {reason}.",
            "It may be damaged, or of a kind that this llama.cpp does not know: try another file or a newer Trimtab.",
        )
    return model


def _refuse_other_models(native: Native, file: GgufFile) -> None:
    api, name = native.api, file.architecture
    if api.llama_model_has_encoder(native.model) and api.llama_model_has_decoder(native.model):
        raise Unsupported(
            f"{file.path} is an encoder-decoder model ({name}).", "Choose a decoder-only chat model."
        )
    if not api.llama_model_has_decoder(native.model):
        raise Unsupported(
            f"{file.path} is an embedding model ({name}): it writes no text.", "Choose a chat model."
        )
    if api.llama_model_is_diffusion(native.model):
        raise Unsupported(
            f"{file.path} is a diffusion model ({name}): it has no next token.", "Choose a chat model."
        )


def _make_machine(
    request: LoadRequest, native: Native, file: GgufFile, size: Dimensions, context: int, warnings: list[str]
) -> LlamaMachine:
    api, library = native.api, native.library
    layers, width = api.llama_model_n_layer(native.model), api.llama_model_n_embd(native.model)
    words = Words(native)
    parameters = api.llama_model_n_params(native.model)
    threads = choose_threads(request.threads, parameters)
    recurrent = bool(api.llama_model_is_recurrent(native.model) or api.llama_model_is_hybrid(native.model))
    # A recurrent model keeps a whole state for every sequence; elsewhere they cost nothing.
    sequences = 2 if recurrent else _SEQUENCES
    cells = context + _aside_room(context, size)
    capacity = min(max(request.batch, _LEAST_BATCH), cells)
    softcap = float(file.number(f"{size.architecture}.final_logit_softcapping") or 0.0)
    kernel = Kernel(layers, width, native=request.native)
    hook = Hook(kernel, {name: library.address(name) for name in GGML_FUNCTIONS}, capacity)
    _make_context(request, native, hook, cells=cells, batch=capacity, threads=threads, sequences=sequences)
    interruption = Interruption(native)
    batch = Batch(api, capacity)
    forward = Forward(native, batch, interruption, hook, words.size)
    control = ControlVector(native, layers, width)
    sites = look(forward, hook, kernel, control, file, softcap)
    adapters = Adapters(native, size.architecture)
    tuner = StateTuner(hook, sites, lambda tokens: unembedding(file, tokens), softcap, layers, batch.outputs)
    rotates = api.llama_model_rope_type(native.model) != _NO_ROTATION
    info = ModelInfo(
        engine="llama",
        name=clean(file.text("general.name") or "")[:200] or file.path.stem,
        path=request.path,
        architecture=size.architecture,
        layers=layers,
        width=width,
        vocabulary=words.size,
        vocabulary_hash=vocabulary_hash(file.texts("tokenizer.ggml.tokens")),
        context=context,
        trained_context=api.llama_model_n_ctx_train(native.model),
        parameters=parameters,
        quantisation=_quantisation(native),
        device=_device(request, library),
        template=file.text("tokenizer.chat_template"),
        steerable=sites.steerable,
        capabilities=_capabilities(sites),
        can_cut=not recurrent,
        can_shift=bool(api.llama_memory_can_shift(native.memory)) and rotates and not recurrent,
        native=kernel.native,
        threads=threads,
        warnings=tuple(warnings),
    )
    return LlamaMachine(
        info,
        Parts(
            native=native,
            file=file,
            words=words,
            forward=forward,
            interruption=interruption,
            sites=sites,
            adapters=adapters,
            steering=Steering(kernel, hook, control, adapters, tuner, sites),
            head=Head(forward, hook, softcap),
            aside=Aside(
                native,
                forward,
                hook,
                interruption,
                layers=layers,
                width=width,
                cells=cells,
                sequences=sequences,
            ),
            softcap=softcap,
        ),
    )


def _make_context(
    request: LoadRequest, native: Native, hook: Hook, *, cells: int, batch: int, threads: int, sequences: int
) -> None:
    api = native.api
    settings = api.llama_context_default_params()
    settings.n_ctx = cells
    settings.n_batch = settings.n_ubatch = batch
    settings.n_seq_max = sequences
    # In a cache that is not unified every sequence gets a part of the window only.
    settings.kv_unified = True
    settings.swa_full = True
    settings.n_threads = settings.n_threads_batch = threads
    settings.cb_eval = ctypes.cast(hook.callback, api.ggml_backend_sched_eval_callback)
    settings.cb_eval_user_data = hook.user_data
    settings.op_offload = _offloads(request, native.library)
    if request.exact:
        settings.type_k = settings.type_v = _F32
        settings.flash_attn_type = _FLASH_OFF
    native.library.listen()
    context: int | None = api.llama_init_from_model(native.model, settings)
    if not context:
        reason = native.library.log.reason()
        raise EngineError(
            f"llama.cpp could not make a context of {cells:,} tokens{f': {reason}' if reason else ''}.",
            "Ask for a smaller context.",
        )
    native.adopt(context)


def _capabilities(sites: Sites) -> tuple[str, ...]:
    found = ["Shift", "Raise", "Watch", "Gate"] if sites.steerable else []
    if sites.head:
        found += ["Tune", "Tune.logodds"]
        if sites.norm is not None:
            found.append("Tune.prenorm")
    return (*found, "Adapter.gguf", "Preface")


def _aside_room(context: int, size: Dimensions) -> int:
    """Some models turn their positions another way in a cache longer than the original context."""
    original = size.original_context
    return min(_ASIDE_ROOM, original - context) if 0 < context <= original else _ASIDE_ROOM


def _gpu_layers(request: LoadRequest, library: Library) -> int:
    if not library.api.llama_supports_gpu_offload() or request.device == "cpu":
        return 0
    return -1 if request.gpu_layers is None else request.gpu_layers


def _offloads(request: LoadRequest, library: Library) -> bool:
    return _gpu_layers(request, library) != 0


def _device(request: LoadRequest, library: Library) -> str:
    names = [device.description for device in gpus(library)] if _offloads(request, library) else []
    return ", ".join(names) or "CPU"


def _quantisation(native: Native) -> str:
    api: Any = native.api
    name: bytes = api.llama_ftype_name(api.llama_model_ftype(native.model)) or b""
    return (
        name.decode("ascii", errors="replace")
        .removeprefix("(guessed) ")
        .removeprefix("all ")
        .removeprefix("mostly ")
    )
