"""The eval callback inside a real llama.cpp context: compiled, in Python, and against llama.cpp's own means."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.tiny import TinyModel
from trimtab.engine.kernel import Kernel
from trimtab.engine.llama.hook import GGML_FUNCTIONS, Hook, Mode
from trimtab.engine.llama.library import open_library
from trimtab.engine.plan import JointRaise, Plan

FloatArray = npt.NDArray[np.float32]

TOKENS = [3, 14, 15, 9, 26, 5, 35, 8, 9, 7, 9, 3]
MICRO_BATCH = 8


class Context:
    """A bare llama.cpp context with a hook in it."""

    def __init__(
        self, model: TinyModel, *, native: bool = True, callback: Any = None, max_rows: int = MICRO_BATCH
    ) -> None:
        library = open_library()
        self.api: Any = library.api
        self._model = self.api.llama_model_load_from_file(
            str(model.gguf).encode(), self.api.llama_model_default_params()
        )
        self.layers: int = self.api.llama_model_n_layer(self._model)
        self.width: int = self.api.llama_model_n_embd(self._model)
        self.kernel = Kernel(self.layers, self.width, native=native)
        self.hook = Hook(self.kernel, {name: library.address(name) for name in GGML_FUNCTIONS}, max_rows)
        parameters = self.api.llama_context_default_params()
        parameters.n_ctx, parameters.n_batch, parameters.n_ubatch = 64, 64, MICRO_BATCH
        parameters.n_threads = parameters.n_threads_batch = 1
        binding_type = self.api.ggml_backend_sched_eval_callback
        self._callback = ctypes.cast(callback or self.hook.callback, binding_type)
        parameters.cb_eval = self._callback
        parameters.cb_eval_user_data = self.hook.user_data
        self._context = self.api.llama_init_from_model(self._model, parameters)
        assert self._context

    def decode(self, tokens: list[int] = TOKENS) -> FloatArray:
        """Logits after the tokens, read into an empty cache."""
        self.api.llama_memory_clear(self.api.llama_get_memory(self._context), True)
        array = (ctypes.c_int32 * len(tokens))(*tokens)
        assert self.api.llama_decode(self._context, self.api.llama_batch_get_one(array, len(tokens))) == 0
        vocabulary = self.api.llama_vocab_n_tokens(self.api.llama_model_get_vocab(self._model))
        logits = self.api.llama_get_logits_ith(self._context, -1)
        return np.ctypeslib.as_array(logits, (vocabulary,)).copy()

    def set_control_vector(self, shifts: dict[int, FloatArray]) -> None:
        data = np.zeros((self.layers - 1, self.width), dtype=np.float32)
        for layer, vector in shifts.items():
            data[layer - 1] = vector
        pointer = data.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        assert (
            self.api.llama_set_adapter_cvec(self._context, pointer, data.size, self.width, 1, self.layers)
            == 0
        )

    def close(self) -> None:
        self.api.llama_free(self._context)
        self.api.llama_model_free(self._model)


@pytest.fixture
def contexts(tiny_llama: TinyModel) -> Iterator[Callable[..., Context]]:
    opened: list[Context] = []

    def opener(model: TinyModel = tiny_llama, **options: Any) -> Context:
        opened.append(Context(model, **options))
        return opened[-1]

    yield opener
    for context in opened:
        context.close()


Contexts = Callable[..., Context]
either = pytest.mark.parametrize("native", [True, False])


def random_plan(layers: int, width: int, *, cap: float | None = None) -> Plan:
    random = np.random.default_rng(0)
    k = 3
    raises = {
        layer: JointRaise(
            weights=random.standard_normal((k, width)).astype(np.float32),
            biases=random.standard_normal(k),
            targets=random.uniform(0, 4, k),
            strengths=np.ones(k),
            labels=("a", "b", "c"),
            cap=cap,
        )
        for layer in range(layers)
    }
    shifts = {0: random.standard_normal(width).astype(np.float32)}
    return Plan(fingerprint="", raises=raises, shifts=shifts)


def close(left: FloatArray, right: FloatArray) -> bool:
    return bool(np.abs(left - right).max() <= 1e-4 * np.abs(right).max())


@either
def test_an_idle_hook_changes_nothing(contexts: Contexts, native: bool) -> None:
    context = contexts(native=native)
    idle = context.decode()
    context.hook.mode = Mode.STEER | Mode.CAPTURE | Mode.EDIT
    assert (context.decode() == idle).all()


@either
def test_a_shift_through_the_hook_is_the_control_vector(contexts: Contexts, native: bool) -> None:
    context = contexts(native=native)
    plain = context.decode()
    shifts = {
        layer: np.random.default_rng(layer).standard_normal(context.width).astype(np.float32)
        for layer in range(1, context.layers)
    }
    context.kernel.install(Plan(fingerprint="", shifts=shifts))
    context.hook.mode = Mode.STEER
    hooked = context.decode()
    assert context.hook.error() is None
    context.hook.mode = Mode.IDLE
    context.set_control_vector(shifts)
    assert not close(plain, hooked)
    assert close(hooked, context.decode())


@pytest.mark.parametrize("cap", [None, 0.5])
def test_compiled_and_python_hooks_steer_alike(contexts: Contexts, cap: float | None) -> None:
    found = []
    for native in (True, False):
        context = contexts(native=native)
        context.kernel.install(random_plan(context.layers, context.width, cap=cap))
        context.hook.mode = Mode.STEER
        found.append((context.decode(), context.kernel.readings(), context.hook.error()))
    (left, noted, error), (right, noted_too, error_too) = found
    assert (error, error_too) == (None, None)
    assert close(left, right)
    assert (noted.positions == noted_too.positions).all()
    assert np.allclose(noted.norm_sum, noted_too.norm_sum, rtol=1e-4)


@either
def test_every_position_passes_every_layer_but_the_last(contexts: Contexts, native: bool) -> None:
    context = contexts(native=native)
    context.kernel.install(random_plan(context.layers, context.width))
    context.hook.mode = Mode.STEER
    context.decode()
    positions = context.kernel.readings().positions
    assert (positions[:-1] == len(TOKENS)).all()
    assert positions[-1] in (1, len(TOKENS))


@either
def test_looking_finds_every_layer_and_the_final_norm(contexts: Contexts, native: bool) -> None:
    context = contexts(native=native)
    context.hook.mode = Mode.LOOK
    context.decode()
    seen = context.hook.look()
    assert seen.layers == tuple(range(context.layers))
    assert seen.nodes == ("result_norm",)
    assert not seen.problems


@either
def test_captured_rows_are_those_that_another_callback_reads(
    contexts: Contexts, tiny_llama: TinyModel, native: bool
) -> None:
    read: dict[str, list[FloatArray]] = {}
    library = open_library()
    name_of = library.function("ggml_get_name", ctypes.c_char_p, ctypes.c_void_p)
    count_of = library.function("ggml_nrows", ctypes.c_int64, ctypes.c_void_p)
    get = library.function(
        "ggml_backend_tensor_get", None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t
    )

    def independent(tensor: int, ask: bool, _: int) -> bool:
        name = name_of(tensor).decode()
        if ask:
            return bool(name.startswith("l_out-"))
        rows = np.zeros((count_of(tensor), tiny_llama.shape.width), dtype=np.float32)
        get(tensor, rows.ctypes.data, 0, rows.nbytes)
        read.setdefault(name, []).append(rows)
        return True

    kind = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p, ctypes.c_bool, ctypes.c_void_p)
    contexts(callback=kind(independent)).decode()
    context = contexts(native=native)
    context.hook.capture(range(context.layers), len(TOKENS))
    context.hook.mode = Mode.CAPTURE
    context.decode()
    assert context.hook.error() is None
    captured = context.hook.captured()
    assert captured.keys() == set(range(context.layers))
    for layer, rows in captured.items():
        assert (rows == np.vstack(read[f"l_out-{layer}"])).all()


@either
def test_capture_sees_the_state_after_steering(contexts: Contexts, native: bool) -> None:
    context = contexts(native=native)
    context.hook.capture([1], len(TOKENS))
    context.hook.mode = Mode.CAPTURE
    context.decode()
    before = context.hook.captured()[1].copy()
    context.hook.rewind()
    context.kernel.install(Plan(fingerprint="", shifts={1: np.ones(context.width, dtype=np.float32)}))
    context.hook.mode = Mode.CAPTURE | Mode.STEER
    context.decode()
    assert np.allclose(context.hook.captured()[1], before + 1, atol=1e-6)


@either
def test_capturing_more_than_there_is_room_for_is_an_error(contexts: Contexts, native: bool) -> None:
    context = contexts(native=native)
    context.hook.capture([0], len(TOKENS) - 1)
    context.hook.mode = Mode.CAPTURE
    context.decode()
    error = context.hook.error()
    assert error is not None
    assert "l_out-0" in error.what
    assert context.hook.error() is None


@either
def test_an_edit_writes_the_final_state(contexts: Contexts, native: bool) -> None:
    context = contexts(native=native)
    context.hook.mode = Mode.EDIT

    def wipe(rows: FloatArray) -> None:
        rows[:] = 0

    context.hook.edit("result_norm", wipe)
    assert not context.decode().any()
    context.hook.edit("result_norm", None)
    assert context.decode().any()


@either
def test_an_edit_of_a_layer_is_a_shift_there(contexts: Contexts, native: bool) -> None:
    context = contexts(native=native)
    vector = np.random.default_rng(1).standard_normal(context.width).astype(np.float32)

    def shift(rows: FloatArray) -> None:
        rows += vector

    context.hook.edit("l_out-0", shift)
    context.hook.mode = Mode.EDIT
    edited = context.decode()
    context.kernel.install(Plan(fingerprint="", shifts={0: vector}))
    context.hook.mode = Mode.STEER
    assert (context.decode() == edited).all()


@either
def test_an_edit_that_raises_is_told_after_the_decode(contexts: Contexts, native: bool) -> None:
    context = contexts(native=native)

    def fail(rows: FloatArray) -> None:
        raise ZeroDivisionError(f"{len(rows)} rows")

    context.hook.edit("result_norm", fail)
    context.hook.mode = Mode.EDIT
    context.decode()
    error = context.hook.error()
    assert error is not None
    assert isinstance(error.__cause__, ZeroDivisionError)


@either
def test_more_rows_than_the_hook_has_room_for_are_an_error(contexts: Contexts, native: bool) -> None:
    context = contexts(native=native, max_rows=MICRO_BATCH - 1)
    context.kernel.install(Plan(fingerprint="", shifts={0: np.ones(context.width, dtype=np.float32)}))
    context.hook.mode = Mode.STEER
    context.decode()
    error = context.hook.error()
    assert error is not None
    assert "more rows" in error.what
