"""Writes tiny random models, for tests in which size does not matter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, quants

CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
EOS = 2
# One merge, because a file without any has no such key; every other character is a token.
MERGE = ("q", "q")


def byte_alphabet() -> list[str]:
    """GPT-2's printable stand-in for each byte, by byte value."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    stand_ins = {byte: chr(byte) for byte in printable}
    others = (byte for byte in range(256) if byte not in stand_ins)
    stand_ins.update({byte: chr(256 + index) for index, byte in enumerate(others)})
    return [stand_ins[byte] for byte in range(256)]


def write_tiny_llama(
    path: Path,
    *,
    seed: int = 0,
    layers: int = 2,
    hidden: int = 64,
    heads: int = 4,
    kv_heads: int = 2,
    inner: int = 96,
    context: int = 256,
    quantization: GGMLQuantizationType = GGMLQuantizationType.F32,
    metadata: Mapping[str, Any] | None = None,
    chat_template: str = CHAT_TEMPLATE,
    controls: Sequence[str] = (),
) -> Path:
    """Write a random Llama with a byte-level vocabulary and a ChatML template; the same seed, the same model.

    metadata: integers that replace what would be written under these keys. controls: further control tokens, with
    the last ids.
    """
    tokens = [*SPECIALS, *byte_alphabet(), "".join(MERGE), *controls]
    writer = GGUFWriter(path, "llama")
    writer.add_name("tiny")
    integers = {
        "llama.block_count": layers,
        "llama.context_length": context,
        "llama.embedding_length": hidden,
        "llama.feed_forward_length": inner,
        "llama.attention.head_count": heads,
        "llama.attention.head_count_kv": kv_heads,
        "llama.rope.dimension_count": hidden // heads,
        "llama.vocab_size": len(tokens),
    }
    for key, value in {**integers, **(metadata or {})}.items():
        writer.add_uint32(key, value)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10_000.0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types(
        [gguf.TokenType.CONTROL if token in (*SPECIALS, *controls) else gguf.TokenType.NORMAL for token in tokens]
    )
    writer.add_token_merges([" ".join(MERGE)])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(EOS)
    writer.add_add_bos_token(False)
    writer.add_chat_template(chat_template)
    for name, shape in _shapes(layers, hidden, heads, kv_heads, inner, len(tokens)).items():
        _add_tensor(writer, np.random.default_rng([seed, hash_name(name)]), name, shape, quantization)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def hash_name(name: str) -> int:
    """A number for a name, the same in every process."""
    return int.from_bytes(name.encode()[:64], "little") % 2**32


def _shapes(
    layers: int, hidden: int, heads: int, kv_heads: int, inner: int, vocabulary: int
) -> dict[str, tuple[int, ...]]:
    kv = hidden // heads * kv_heads
    shapes: dict[str, tuple[int, ...]] = {"token_embd.weight": (vocabulary, hidden), "output_norm.weight": (hidden,)}
    for layer in range(layers):
        block = f"blk.{layer}."
        shapes |= {
            block + "attn_norm.weight": (hidden,),
            block + "attn_q.weight": (hidden, hidden),
            block + "attn_k.weight": (kv, hidden),
            block + "attn_v.weight": (kv, hidden),
            block + "attn_output.weight": (hidden, hidden),
            block + "ffn_norm.weight": (hidden,),
            block + "ffn_gate.weight": (inner, hidden),
            block + "ffn_up.weight": (inner, hidden),
            block + "ffn_down.weight": (hidden, inner),
        }
    return shapes


def _add_tensor(
    writer: GGUFWriter,
    random: np.random.Generator,
    name: str,
    shape: tuple[int, ...],
    quantization: GGMLQuantizationType,
) -> None:
    if len(shape) == 1:
        writer.add_tensor(name, 1.0 + 0.1 * random.standard_normal(shape, np.float32))
        return
    # Wide enough that a random model prefers some tokens clearly, so that greedy answers do not hang on rounding.
    values = random.standard_normal(shape, np.float32) * (0.4 if name == "token_embd.weight" else 0.15)
    if quantization is GGMLQuantizationType.F32:
        writer.add_tensor(name, values)
    else:
        writer.add_tensor(name, quants.quantize(values, quantization), raw_dtype=quantization)
