"""Makes a model out of a Hugging Face folder: config.json, safetensors, tokenizer, template."""

from __future__ import annotations

from pathlib import Path

from engine.checkpoint.checkpoint import Checkpoint
from engine.checkpoint.generation import folder_generation
from engine.checkpoint.json_file import read_json
from engine.checkpoint.safetensors_source import SafetensorsSource
from engine.errors import UnsupportedModel
from engine.families import family_of_folder
from engine.families.fields import Fields
from engine.template import ChatTemplate
from engine.tokenizer import tokenizer_from_folder

MAX_CONFIG_BYTES = 2**20
# Whatever changes an answer belongs to the digest.
DESCRIPTIONS = (
    *("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"),
    *("special_tokens_map.json", "added_tokens.json", "chat_template.jinja", "chat_template.json"),
)


def open_folder(folder: Path) -> Checkpoint:
    """Open a folder as transformers saves models. Code it may name (`auto_map`) is never run.

    Raises ModelFormatError if a file is missing, damaged or does not fit the others, UnsupportedModel if the model
    or its tokenizer would not be exact here.
    """
    fields = Fields(read_json(folder / "config.json", MAX_CONFIG_BYTES), f"{folder.name}/config.json")
    family = family_of_folder(fields.text("model_type", "not named"), folder.name)
    if fields.has("quantization_config"):
        raise UnsupportedModel(folder.name, "its weights are quantised in a way only its own library reads")
    config = family.configure(fields)
    source = SafetensorsSource(folder)
    tokenizer = tokenizer_from_folder(folder)
    generation = folder_generation(folder, tokenizer.vocabulary)
    tokenizer = tokenizer.with_eos(generation.eos_ids)
    descriptions = tuple(folder / name for name in DESCRIPTIONS if (folder / name).is_file())
    return Checkpoint(
        name=folder.name,
        path=folder,
        config=config,
        tokenizer=tokenizer,
        template=ChatTemplate.from_folder(folder, tokenizer),
        source=source,
        layout=family.folder,
        recommended=generation.recommended,
        ignored=generation.ignored,
        files=(*source.files, *descriptions),
    )
