"""Whole Hugging Face folders, as people have them: template, tokenizer and model together, against transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from engine import Engine, ModelFormatError, Sampling, UnsupportedModel
from tests.parity.tiny_families import make, save
from tests.tokenizer_families import described, write_folder

# A model variant with the tokenizer of a family it is published with.
PAIRS = [
    ("gpt2", "gpt2"),
    ("llama-llama3", "llama3"),
    ("llama", "llama2"),
    ("mistral", "mistral"),
    ("qwen3", "qwen2"),
    ("gemma3", "gemma"),
    ("phi3", "phi3"),
    ("olmo2", "olmo2"),
    ("granite", "granite"),
    ("smollm3", "smollm"),
]
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<{{ message['role'] }}>\n{{ message['content'] | trim }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>\n{% endif %}"
)
MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "  Wie heißt du?\n\n  def f(x):\n    return x  # 12345 🙂 "},
    {"role": "assistant", "content": "Fireside."},
    {"role": "user", "content": "And what's 2+2?"},
]
NEW_TOKENS = 24


def write_model(folder: Path, variant: str, tokenizer: str) -> Path:
    description = described(tokenizer)
    size = 1 + max([*description["model"]["vocab"].values(), *(token["id"] for token in description["added_tokens"])])
    special = next(token["content"] for token in description["added_tokens"] if token["special"])
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": special, "chat_template": TEMPLATE}
    save(make(variant, vocab_size=size), folder)
    return write_folder(folder, description, **config)


@pytest.mark.parametrize(("variant", "tokenizer"), PAIRS)
def test_a_conversation_is_that_of_transformers(tmp_path: Path, variant: str, tokenizer: str) -> None:
    folder = write_model(tmp_path / variant, variant, tokenizer)
    reference: Any = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    prompt = transformers.AutoTokenizer.from_pretrained(folder).apply_chat_template(
        MESSAGES, add_generation_prompt=True, return_dict=False
    )
    tokens = torch.tensor([prompt])
    # Without end tokens, so that both go on to the same length; without a mask, a token 0 would count as padding.
    reference.generation_config.eos_token_id = None
    answer = reference.generate(
        tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=NEW_TOKENS, do_sample=False, pad_token_id=0
    )
    with Engine.load(folder, threads=1) as engine:
        assert engine.chat_tokens(MESSAGES) == prompt
        run = engine.chat(MESSAGES, Sampling(temperature=0, max_tokens=NEW_TOKENS, ignore_eos=True))
        ours = [step.token for step in run]
    assert ours == answer[0, len(prompt) :].tolist()


def test_a_folder_without_weights_or_with_pickled_ones_is_refused(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", "llama", "llama3")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(UnsupportedModel, match="pickle"):
        Engine.load(folder)


def test_code_named_by_a_config_is_never_run(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", "llama", "llama3")
    (folder / "modeling_evil.py").write_text(f"open({str(tmp_path / 'canary')!r}, 'w')\n")
    settings = json.loads((folder / "config.json").read_text())
    settings["auto_map"] = {"AutoModelForCausalLM": "modeling_evil.Evil", "AutoConfig": "modeling_evil.Evil"}
    settings["_attn_implementation"] = "evil/kernel"
    (folder / "config.json").write_text(json.dumps(settings))
    with Engine.load(folder, threads=1) as engine:
        assert engine.info.architecture == "llama"
    assert not (tmp_path / "canary").exists()


def test_a_tokenizer_with_more_tokens_than_the_embedding_is_refused(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", "llama", "llama3")
    save(make("llama", vocab_size=20), folder)
    with pytest.raises(ModelFormatError, match="the embedding only 20"):
        Engine.load(folder)
