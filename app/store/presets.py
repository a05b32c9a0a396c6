"""Presets: named sampling settings, three of them built in."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from app.store.errors import NotFound, StoreError
from app.store.ids import IdSource, decode
from app.store.ownership import IS_OWNED
from app.store.records import Preset
from app.store.text import now, storable, to_json
from engine.sampling import Sampling

if TYPE_CHECKING:
    from app.store.database import Database

DEFAULT_ID = "balanced"
MAX_NAME = 80

BALANCED = Sampling(temperature=0.7, top_k=40, top_p=0.95, min_p=0.05, repetition_penalty=1.1, max_tokens=512)
CREATIVE = Sampling(
    temperature=1.0,
    top_k=100,
    top_p=1.0,
    min_p=0.08,
    repetition_penalty=1.1,
    presence_penalty=0.3,
    max_tokens=512,
)
PRECISE = Sampling(temperature=0.2, top_k=20, top_p=0.9, min_p=0.05, repetition_penalty=1.05, max_tokens=512)

BUILTIN: Mapping[str, tuple[str, Sampling]] = MappingProxyType(
    {DEFAULT_ID: ("Balanced", BALANCED), "creative": ("Creative", CREATIVE), "precise": ("Precise", PRECISE)}
)


def plain_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The same settings in plain checked form; names that were not given stay out, and so does `logprobs`.

    Raises InvalidSampling.
    """
    checked = Sampling.from_dict(settings).to_dict()
    return {name: checked[name] for name in settings if name != "logprobs"}


class Presets:
    """The presets of one database.

    The built-in numbers suit small models, whose distribution has a long tail of nonsense. All cut that tail
    relative to the likeliest token with min_p (arXiv:2407.01082 recommends 0.05 to 0.1), Creative more
    sharply, because it samples at temperature 1.0 and relies on min_p alone, hence top_p 1. Precise takes
    temperature 0.2 and top_p 0.9 from the model card of SmolLM2-Instruct. Small models fall into loops, so
    all have a repetition penalty, weaker than the 1.2 of CTRL (arXiv:1909.05858) so that an answer may use
    the words of the question, weakest in Precise. 512 tokens end a loop that gets away all the same.

    owner: see `Store.of`; the built-in ones are everyone's.
    """

    def __init__(self, database: Database, ids: IdSource, owner: str | None = None) -> None:
        self._database = database
        self._ids = ids
        self._owner = owner

    def of(self, owner: str | None) -> Presets:
        """Those of one person, and the built-in ones; None: all."""
        return Presets(self._database, self._ids, owner)

    def list(self) -> builtins.list[Preset]:
        """The built-in ones first, then by name."""
        with self._database.read() as db:
            rows = db.query(
                "SELECT * FROM presets WHERE builtin OR ?1 IS NULL OR owner = ?1 ORDER BY builtin DESC, name",
                [self._owner],
            )
            return [Preset.from_row(row) for row in rows]

    def get(self, id: str) -> Preset:
        """Raises NotFound."""
        with self._database.read() as db:
            rows = list(
                db.query(
                    f"SELECT * FROM presets WHERE id = ?1 AND (builtin OR {IS_OWNED})", [storable(id), self._owner]
                )
            )
        if not rows:
            raise NotFound("preset", id)
        return Preset.from_row(rows[0])

    def save(self, name: str, settings: Mapping[str, Any]) -> Preset:
        """Save under a name, over the preset that has it already (in any case of letters).

        Settings that are not given are left to the model's recommendation. Raises InvalidSampling; StoreError for the
        name of a built-in one, an empty or an overlong name.
        """
        name = _name(name)
        checked = to_json(plain_settings(settings))
        with self._database.write() as db:
            holder = self._named(db, name)
            if holder and holder.builtin:
                raise StoreError(f"the preset {holder.name} is built in: save yours under another name")
            id, time = holder.id if holder else self._ids.new(), now()
            db.execute(
                """INSERT INTO presets (id, name, settings, created_at, updated_at, owner) VALUES (?, ?, ?, ?, ?, ?)
                   ON CONFLICT (id) DO UPDATE
                   SET name = excluded.name, settings = excluded.settings, updated_at = excluded.updated_at""",
                (id, name, checked, time, time, self._owner),
            )
            return self.get(id)

    def add(self, name: str, settings: Mapping[str, Any]) -> Preset:
        """Save under a name of its own: one that is taken gets a number, as in "Wild 2". Raises as `save` does."""
        name = _name(name)
        with self._database.write() as db:
            free, number = name, 1
            while self._named(db, free):
                number += 1
                free = f"{name[: MAX_NAME - len(str(number)) - 1]} {number}"
            return self.save(free, settings)

    def restore(self, preset: Preset) -> str:
        """Bring a preset from another data folder, with its id if that is free; the id it has here.

        One that is here already stays as it is, and one with the same name and settings stands for it. Raises as `add`.
        """
        name, settings = _name(preset.name), plain_settings(preset.settings)
        with self._database.write() as db:
            if any(each.id == preset.id for each in self.list()):
                return preset.id
            holder = self._named(db, name)
            if holder and holder.settings == settings:
                return holder.id
            taken = bool(list(db.query("SELECT 1 FROM presets WHERE id = ?", [preset.id])))
            if holder or taken or decode(preset.id) is None:
                return self.add(name, settings).id
            times = (storable(preset.created_at), storable(preset.updated_at))
            db.execute(
                "INSERT INTO presets (id, name, settings, created_at, updated_at, owner) VALUES (?, ?, ?, ?, ?, ?)",
                (preset.id, name, to_json(settings), *times, self._owner),
            )
            return preset.id

    def duplicate(self, id: str) -> Preset:
        """A copy to change, also of a built-in one. Raises NotFound."""
        preset = self.get(id)
        return self.add(preset.name, preset.settings)

    def rename(self, id: str, name: str) -> Preset:
        """Raises NotFound; StoreError for a built-in one, and for a name that is empty, overlong or taken."""
        name = _name(name)
        with self._database.write() as db:
            if (preset := self.get(id)).builtin:
                raise StoreError(f"the preset {preset.name} is built in: duplicate it, and name the copy")
            if (holder := self._named(db, name)) and holder.id != id:
                raise StoreError(f"there is a preset {holder.name} already: choose another name")
            db.execute("UPDATE presets SET name = ?, updated_at = ? WHERE id = ?", [name, now(), id])
            return self.get(id)

    def delete(self, id: str) -> None:
        """Raises NotFound; StoreError for a built-in one. Conversations that used it go back to the
        default."""
        with self._database.write() as db:
            if (preset := self.get(id)).builtin:
                raise StoreError(f"the preset {preset.name} is built in and stays")
            db.execute("DELETE FROM presets WHERE id = ?", [id])

    def _named(self, db: Any, name: str) -> Preset | None:
        # Without an owner a name is taken by those without one.
        rows = db.query(
            "SELECT * FROM presets WHERE name = ? AND (builtin OR owner IS ?) ORDER BY builtin DESC",
            [name, self._owner],
        )
        return next((Preset.from_row(row) for row in rows), None)


def _name(name: str) -> str:
    name = " ".join(storable(name).split())
    if not name or len(name) > MAX_NAME:
        raise StoreError(f"a preset's name must have 1 to {MAX_NAME} characters, not {len(name):,}")
    return name
