"""Settings as published models have them, in the older and the newer style of config.json."""

from __future__ import annotations

import math
from typing import Any

import pytest

from engine.config import LayerConfig, ModelConfig
from engine.errors import EngineError, ModelFormatError, UnsupportedModel
from engine.families import FAMILIES, family_of_folder, family_of_gguf
from engine.families.fields import Fields
from engine.rope import LinearScaling, Llama3Scaling, LongRopeScaling, Rope, YarnScaling

LLAMA_3_2_1B: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 64,
    "num_hidden_layers": 16,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "rms_norm_eps": 1e-5,
    "hidden_act": "silu",
    "tie_word_embeddings": True,
    "rope_theta": 500000.0,
    "rope_scaling": {
        "factor": 32.0,
        "high_freq_factor": 4.0,
        "low_freq_factor": 1.0,
        "original_max_position_embeddings": 8192,
        "rope_type": "llama3",
    },
}
GEMMA_3_1B: dict[str, Any] = {
    "model_type": "gemma3_text",
    "hidden_size": 1152,
    "intermediate_size": 6912,
    "num_attention_heads": 4,
    "num_key_value_heads": 1,
    "head_dim": 256,
    "num_hidden_layers": 26,
    "vocab_size": 262144,
    "max_position_embeddings": 32768,
    "rms_norm_eps": 1e-6,
    "hidden_activation": "gelu_pytorch_tanh",
    "query_pre_attn_scalar": 256,
    "rope_theta": 1000000,
    "rope_local_base_freq": 10000,
    "rope_scaling": None,
    "sliding_window": 512,
    "sliding_window_pattern": 6,
    "final_logit_softcapping": None,
    "attn_logit_softcapping": None,
    "auto_map": {"AutoModelForCausalLM": "modeling.Evil"},
}
PHI_4_MINI: dict[str, Any] = {
    "model_type": "phi3",
    "hidden_size": 3072,
    "intermediate_size": 8192,
    "num_attention_heads": 24,
    "num_key_value_heads": 8,
    "num_hidden_layers": 32,
    "vocab_size": 200064,
    "max_position_embeddings": 131072,
    "original_max_position_embeddings": 4096,
    "partial_rotary_factor": 0.75,
    "rms_norm_eps": 1e-5,
    "hidden_act": "silu",
    "tie_word_embeddings": True,
    "rope_theta": 10000.0,
    "rope_scaling": {"type": "longrope", "long_factor": [1.5] * 48, "short_factor": [1] * 48},
    "sliding_window": 262144,
}
QWEN_2_5_05B: dict[str, Any] = {
    "model_type": "qwen2",
    "hidden_size": 896,
    "intermediate_size": 4864,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "num_hidden_layers": 24,
    "vocab_size": 151936,
    "max_position_embeddings": 32768,
    "rms_norm_eps": 1e-6,
    "hidden_act": "silu",
    "tie_word_embeddings": True,
    "rope_theta": 1000000.0,
    "sliding_window": 32768,
    "max_window_layers": 21,
    "use_sliding_window": False,
}
GPT2: dict[str, Any] = {
    "model_type": "gpt2",
    "n_embd": 768,
    "n_head": 12,
    "n_layer": 12,
    "n_positions": 1024,
    "n_ctx": 1024,
    "vocab_size": 50257,
    "layer_norm_epsilon": 1e-5,
    "activation_function": "gelu_new",
}


def configure(settings: dict[str, Any]) -> ModelConfig:
    return family_of_folder(settings["model_type"], "it").configure(Fields(settings, "it/config.json"))


def test_llama_3_2() -> None:
    config = configure(LLAMA_3_2_1B)
    assert config.layers == (LayerConfig(Rope(500_000.0, 64, Llama3Scaling(32.0, 1.0, 4.0, 8192))),) * 16
    assert (config.group, config.attention_scale, config.tied_head) == (4, 0.125, True)
    assert config.kv_numbers_per_token == 2 * 16 * 8 * 64


def test_gemma_3_has_five_local_layers_to_a_global_one() -> None:
    config = configure(GEMMA_3_1B)
    local, whole = LayerConfig(Rope(10_000.0, 256), window=512), LayerConfig(Rope(1_000_000.0, 256))
    assert config.layers == ((local,) * 5 + (whole,)) * 4 + (local,) * 2
    assert config.embedding_scale == pytest.approx(math.sqrt(1152))
    assert (config.attention_scale, config.tied_head, config.activation) == (1 / 16, True, "gelu_tanh")


def test_phi_4_mini_rotates_three_quarters_of_a_head() -> None:
    config = configure(PHI_4_MINI)
    rope = config.layers[0].rope
    assert rope is not None
    assert rope.dim == 96
    factor = math.sqrt(1 + math.log(32) / math.log(4096))
    assert rope.scaling == LongRopeScaling((1.0,) * 48, (1.5,) * 48, 4096, factor)
    assert (config.context_length, config.comfortable_context) == (131072, 4096)


def test_qwen_2_5_has_windows_only_where_asked_for() -> None:
    assert {layer.window for layer in configure(QWEN_2_5_05B).layers} == {None}
    asked = configure(QWEN_2_5_05B | {"use_sliding_window": True})
    assert [layer.window for layer in asked.layers] == [None] * 21 + [32768] * 3


def test_gpt2_has_names_of_its_own() -> None:
    config = configure(GPT2)
    assert (config.hidden_size, config.intermediate_size, config.context_length) == (768, 3072, 1024)
    assert (config.norm, config.learned_positions, config.gated_mlp) == ("layer", True, False)


@pytest.mark.parametrize("settings", [LLAMA_3_2_1B, PHI_4_MINI, QWEN_2_5_05B])
def test_the_newer_style_of_rotation_is_the_same(settings: dict[str, Any]) -> None:
    old = dict(settings)
    rope = {"rope_type": "default", "rope_theta": old.pop("rope_theta"), **(old.pop("rope_scaling", None) or {})}
    if "partial_rotary_factor" in old:
        rope["partial_rotary_factor"] = old.pop("partial_rotary_factor")
    if "type" in rope:
        rope["rope_type"] = rope.pop("type")
    assert configure(old | {"rope_parameters": rope}) == configure(settings)


def test_the_newer_style_gives_each_kind_of_layer_its_rotation() -> None:
    scaled = {"rope_type": "linear", "factor": 8.0, "rope_theta": 1_000_000.0}
    newer = {name: value for name, value in GEMMA_3_1B.items() if not name.startswith("rope_")}
    rope = {"full_attention": scaled, "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0}}
    older = GEMMA_3_1B | {"rope_scaling": {"rope_type": "linear", "factor": 8.0}}
    assert configure(newer | {"rope_parameters": rope}) == configure(older)
    whole = configure(older).layers[5].rope
    assert whole == Rope(1_000_000.0, 256, LinearScaling(8.0))


def test_yarn_takes_its_attention_factor_from_the_settings_or_the_factor() -> None:
    yarn = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}
    given = configure(QWEN_2_5_05B | {"rope_scaling": yarn | {"attention_factor": 1.5}}).layers[0].rope
    derived = configure(QWEN_2_5_05B | {"rope_scaling": yarn}).layers[0].rope
    assert given is not None
    assert derived is not None
    assert given.scaling == YarnScaling(4.0, 32768, 1.5)
    assert derived.scaling == YarnScaling(4.0, 32768, 0.1 * math.log(4.0) + 1.0)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"num_attention_heads": 0}, ModelFormatError, "num_attention_heads is 0"),
        ({"num_key_value_heads": 5}, ModelFormatError, "cannot share 5"),
        ({"hidden_size": 2**40}, ModelFormatError, "hidden_size"),
        ({"num_hidden_layers": 10**9}, ModelFormatError, "1,000,000,000"),
        ({"rms_norm_eps": 0}, ModelFormatError, "norm_eps"),
        ({"rms_norm_eps": True}, ModelFormatError, "must be a number"),
        ({"rope_theta": -1.0}, ModelFormatError, "rope_theta"),
        ({"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}, UnsupportedModel, "'dynamic'"),
        ({"rope_scaling": {"rope_type": "linear", "factor": 0}}, ModelFormatError, "above 0"),
        ({"rope_scaling": [1]}, ModelFormatError, "rope_scaling must be an object"),
        ({"hidden_act": "mish"}, UnsupportedModel, "'mish'"),
        ({"vocab_size": "many"}, ModelFormatError, "must be a whole number, not 'many'"),
        ({"vocab_size": 10**400}, ModelFormatError, "whole number"),
        ({"vocab_size": 10**5000}, ModelFormatError, "too long to write"),
        ({"vocab_size": None}, ModelFormatError, "has no vocab_size"),
        ({"head_dim": 63}, UnsupportedModel, "not 63"),
        ({"head_dim": None, "num_attention_heads": 33}, ModelFormatError, "do not divide"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes: dict[str, Any], error: type[EngineError], words: str) -> None:
    with pytest.raises(error, match=words) as raised:
        configure(LLAMA_3_2_1B | changes)
    assert "\n" not in str(raised.value)


def test_unknown_families_are_refused_by_name() -> None:
    with pytest.raises(UnsupportedModel, match=r"'mamba'.*known are gpt2, llama"):
        family_of_folder("mamba", "it")
    with pytest.raises(UnsupportedModel, match="'rwkv7'"):
        family_of_gguf("rwkv7", "it.gguf", mixture=False)


def test_every_family_is_found_by_its_names() -> None:
    for family in FAMILIES:
        assert all(family_of_folder(name, "it") is family for name in family.model_types)
        assert all(family_of_gguf(name, "it", mixture=family.mixture) is family for name in family.architectures)
