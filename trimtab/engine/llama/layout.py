"""What must be true of llama.cpp's binding and library before anything of them is called."""

from __future__ import annotations

import ctypes
from typing import Any

PINNED = "0.3.36"

_OFFSETS: dict[str, tuple[int, dict[str, int]]] = {
    "llama_model_params": (
        80,
        {"n_gpu_layers": 16, "progress_callback": 48, "kv_overrides": 64, "vocab_only": 72, "use_extra_bufts": 74},
    ),
    "llama_context_params": (
        160,
        {
            "n_ctx": 0, "n_batch": 4, "n_ubatch": 8, "n_seq_max": 12, "n_outputs_max": 20, "n_threads": 28,
            "n_threads_batch": 32, "flash_attn_type": 52, "cb_eval": 88, "cb_eval_user_data": 96, "type_k": 104,
            "type_v": 108, "abort_callback": 112, "no_perf": 130, "op_offload": 131, "swa_full": 132, "kv_unified": 133,
        },
    ),
    "llama_batch": (
        56, {"n_tokens": 0, "token": 8, "embd": 16, "pos": 24, "n_seq_id": 32, "seq_id": 40, "logits": 48}
    ),
}  # fmt: skip
"""Size and field offsets, in bytes, of each struct that is filled in here."""

_DEFAULTS: dict[str, dict[str, float]] = {
    "llama_model_default_params": {"split_mode": 1, "load_mode": -1, "use_extra_bufts": True, "vocab_only": False},
    "llama_context_default_params": {
        "n_ctx": 512, "n_batch": 2048, "n_ubatch": 512, "n_seq_max": 1, "rope_scaling_type": -1,
        "flash_attn_type": -1, "yarn_ext_factor": -1.0, "defrag_thold": -1.0, "type_k": 1, "type_v": 1,
        "embeddings": False, "offload_kqv": True, "no_perf": True, "op_offload": True, "swa_full": True,
        "kv_unified": False, "n_samplers": 0,
    },
}  # fmt: skip
"""What the library itself puts into these structs: read through a wrong layout they would be other values."""

FUNCTIONS = (
    "llama_adapter_lora_free", "llama_adapter_lora_init", "llama_backend_init", "llama_decode", "llama_free",
    "llama_ftype_name", "llama_get_logits_ith", "llama_get_memory", "llama_init_from_model", "llama_log_set",
    "llama_memory_can_shift", "llama_memory_seq_add", "llama_memory_seq_pos_max", "llama_memory_seq_rm",
    "llama_model_desc", "llama_model_free", "llama_model_ftype", "llama_model_get_vocab",
    "llama_model_has_decoder", "llama_model_has_encoder", "llama_model_is_diffusion", "llama_model_is_hybrid",
    "llama_model_is_recurrent", "llama_model_load_from_file", "llama_model_n_ctx_train", "llama_model_n_embd",
    "llama_model_n_layer", "llama_model_n_params", "llama_n_ctx", "llama_set_abort_callback",
    "llama_set_adapter_cvec", "llama_set_adapters_lora", "llama_supports_gpu_offload", "llama_token_to_piece",
    "llama_tokenize", "llama_vocab_bos", "llama_vocab_eos", "llama_vocab_get_add_bos", "llama_vocab_get_attr",
    "llama_vocab_is_eog", "llama_vocab_n_tokens", "llama_vocab_pad",
    "ggml_backend_dev_count", "ggml_backend_dev_description", "ggml_backend_dev_get", "ggml_backend_dev_memory",
    "ggml_backend_dev_name", "ggml_backend_dev_type", "ggml_backend_reg_count", "ggml_backend_reg_get",
    "ggml_backend_reg_name",
)  # fmt: skip


def differences(binding: Any, lookup: Any) -> list[str]:
    """How the binding and the library (`lookup` finds its functions) differ from what is relied on."""
    missing = [name for name in FUNCTIONS if lookup(name) is None]
    if missing:
        return [f"there is no {name}" for name in missing]
    found = []
    for struct, (size, offsets) in _OFFSETS.items():
        kind = getattr(binding, struct, None)
        if kind is None:
            found.append(f"there is no {struct}")
        elif ctypes.sizeof(kind) != size:
            found.append(f"{struct} has {ctypes.sizeof(kind)} bytes instead of {size}")
        else:
            found += [
                f"{struct}.{field} is not at byte {offset}"
                for field, offset in offsets.items()
                if getattr(getattr(kind, field, None), "offset", None) != offset
            ]
    if found:
        return found
    for function, expected in _DEFAULTS.items():
        values = getattr(binding, function)()
        found += [
            f"{function} gives {field} = {getattr(values, field)} instead of {value:g}"
            for field, value in expected.items()
            if getattr(values, field) != value
        ]
    return found
