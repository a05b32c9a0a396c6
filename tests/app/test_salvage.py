"""Damaged databases: opened all the same, never with less in them without a word, and kept as they were."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.store import Store
from app.store.opening import SET_ASIDE

DATABASE, LOG = "fireside.db", "fireside.db-wal"
PAGE = 4096
WORDS = ["oak", "beech", "larch", "elm", "橡树", "hazel", "maple", "birch", "willow", "cedar", "été", "spruce"]


@dataclass(frozen=True)
class Originals:
    """Data folders to damage, and all the texts of each by message.

    clean: after a clean end. killed: after a kill, the newest third only in the log. young: after a kill, all of it
    only in the log. earlier: `clean` as it was while it was being written. other: another's, after a kill.
    """

    folder: Path
    texts: dict[str, dict[str, str]]


Damage = Callable[[Path, Originals, random.Random], None]


def texts_of(store: Store) -> dict[str, str]:
    with store._database.read() as db:
        return {row["id"]: row["content"] for row in db.query("SELECT id, content FROM messages")}


def talk(store: Store, conversations: int, chance: random.Random) -> None:
    for number in range(conversations):
        conversation = store.conversations.create(title=f"Chat {number}")
        leaf = None
        for turn in range(8):
            # Every fourth is longer than a page.
            text = " ".join(chance.choices(WORDS, k=1_500 if turn % 4 == 3 else 40))
            leaf = store.messages.add(
                conversation.id, parent_id=leaf, role="assistant" if turn % 2 else "user", content=text
            ).id


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Originals:
    folder, chance, texts = tmp_path_factory.mktemp("originals"), random.Random(1), {}

    def keep(name: str, store: Store) -> None:
        texts[name] = texts_of(store)
        # What a kill leaves: nothing is being written at this moment.
        shutil.copytree(store.home, folder / name)

    with Store.open(folder / "home") as store:
        talk(store, 4, chance)
        keep("young", store)
        store.backups.make()
        talk(store, 6, chance)
        keep("earlier", store)
    with Store.open(folder / "home") as store:
        talk(store, 5, chance)
        keep("killed", store)
        texts["clean"] = texts_of(store)
    shutil.copytree(folder / "home", folder / "clean")
    with Store.open(folder / "stranger") as store:
        talk(store, 12, chance)
        keep("other", store)
    return Originals(folder, texts)


def overwrite_pages(home: Path, originals: Originals, chance: random.Random) -> None:
    with (home / DATABASE).open("r+b") as file:
        pages = file.seek(0, 2) // PAGE
        for _ in range(chance.choice((1, 1, 3, 10))):
            file.seek(chance.randrange(pages) * PAGE)
            file.write(chance.randbytes(PAGE))


def zero_pages(home: Path, originals: Originals, chance: random.Random) -> None:
    with (home / DATABASE).open("r+b") as file:
        pages = file.seek(0, 2) // PAGE
        file.seek(chance.randrange(pages) * PAGE)
        file.write(bytes(PAGE * chance.randint(1, 8)))


def flip_bits(home: Path, originals: Originals, chance: random.Random) -> None:
    data = bytearray((home / DATABASE).read_bytes())
    for _ in range(chance.choice((1, 10, 100))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    (home / DATABASE).write_bytes(data)


def flip_bits_in_front(home: Path, originals: Originals, chance: random.Random) -> None:
    """Where the schema and the list of migrations are."""
    data = bytearray((home / DATABASE).read_bytes())
    for _ in range(chance.choice((1, 3, 20))):
        data[chance.randrange(4 * PAGE)] ^= 1 << chance.randrange(8)
    (home / DATABASE).write_bytes(data)


def spoil_header(home: Path, originals: Originals, chance: random.Random) -> None:
    with (home / DATABASE).open("r+b") as file:
        file.seek(chance.randrange(100))
        file.write(bytes([chance.choice((0, 3, 255))]))


def truncate(home: Path, originals: Originals, chance: random.Random) -> None:
    data = (home / DATABASE).read_bytes()
    (home / DATABASE).write_bytes(data[: chance.randrange(1, len(data))])


def empty(home: Path, originals: Originals, chance: random.Random) -> None:
    (home / DATABASE).write_bytes(b"")


def become_text(home: Path, originals: Originals, chance: random.Random) -> None:
    (home / DATABASE).write_text(" ".join(chance.choices(WORDS, k=chance.randint(1, 5_000))), encoding="utf-8")


def become_noise(home: Path, originals: Originals, chance: random.Random) -> None:
    (home / DATABASE).write_bytes(chance.randbytes(chance.randint(1, 100_000)))


def become_a_strangers(home: Path, originals: Originals, chance: random.Random) -> None:
    (home / DATABASE).unlink()
    with closing(sqlite3.connect(home / DATABASE)) as stranger:
        stranger.execute("CREATE TABLE messages (words TEXT)")
        stranger.execute("INSERT INTO messages VALUES ('not Fireside''s')")
        stranger.commit()


def zero_header(home: Path, originals: Originals, chance: random.Random) -> None:
    with (home / DATABASE).open("r+b") as file:
        file.write(bytes(chance.choice((16, 100, PAGE))))


def spoil_schema(home: Path, originals: Originals, chance: random.Random) -> None:
    data = bytearray((home / DATABASE).read_bytes())
    at = data.index(b"CREATE TABLE messages")
    data[at : at + 12] = chance.choice((b"DELETE TABLE", b"create  ZZZZ", b"create  \xc3ZZZ", bytes(12)))
    (home / DATABASE).write_bytes(data)


def spoil_log(home: Path, originals: Originals, chance: random.Random) -> None:
    with (home / LOG).open("r+b") as file:
        size = file.seek(0, 2)
        # Not in the last frames: spoiling those leaves what a kill in mid-write does.
        file.seek(chance.choice((0, chance.randrange(size // 2))))
        file.write(chance.randbytes(PAGE))


def cut_log(home: Path, originals: Originals, chance: random.Random) -> None:
    data = (home / LOG).read_bytes()
    (home / LOG).write_bytes(data[: chance.choice((0, chance.randrange(len(data))))])


def lose_log(home: Path, originals: Originals, chance: random.Random) -> None:
    (home / LOG).unlink()


def lose_log_and_index(home: Path, originals: Originals, chance: random.Random) -> None:
    (home / LOG).unlink()
    (home / f"{DATABASE}-shm").unlink()


def lose_database(home: Path, originals: Originals, chance: random.Random) -> None:
    (home / DATABASE).unlink()


def stale_log(home: Path, originals: Originals, chance: random.Random) -> None:
    shutil.copy2(originals.folder / "earlier" / LOG, home / LOG)


def foreign_log(home: Path, originals: Originals, chance: random.Random) -> None:
    shutil.copy2(originals.folder / "other" / LOG, home / LOG)


# What is damaged, and in which of the data folders.
DAMAGES: list[tuple[Damage, str]] = [
    (overwrite_pages, "clean"),
    (overwrite_pages, "killed"),
    (zero_pages, "clean"),
    (flip_bits, "clean"),
    (flip_bits_in_front, "clean"),
    (flip_bits_in_front, "killed"),
    (spoil_header, "clean"),
    (truncate, "clean"),
    (truncate, "killed"),
    (empty, "clean"),
    (empty, "killed"),
    (become_text, "clean"),
    (become_noise, "killed"),
    (become_a_strangers, "clean"),
    (zero_header, "clean"),
    (zero_header, "killed"),
    (spoil_schema, "clean"),
    (spoil_log, "killed"),
    (spoil_log, "young"),
    (cut_log, "killed"),
    (cut_log, "young"),
    (lose_log, "killed"),
    (lose_log_and_index, "young"),
    (lose_database, "killed"),
    (stale_log, "clean"),
    (foreign_log, "clean"),
    (foreign_log, "killed"),
]


def files_of(folder: Path) -> dict[str, bytes]:
    """The database and its log."""
    return {name: (folder / name).read_bytes() for name in (DATABASE, LOG) if (folder / name).exists()}


def kept_in(home: Path) -> list[dict[str, bytes]]:
    return [files_of(folder) for folder in sorted((home / SET_ASIDE).glob("*"))]


def open_damaged(home: Path, originals: Originals, damage: Damage, base: str, chance: random.Random) -> str:
    """Damage a copy of a data folder and open it, twice; what came of it."""
    shutil.copytree(originals.folder / base, home)
    if chance.random() < 0.5:
        shutil.rmtree(home / "backups", ignore_errors=True)
    damage(home, originals, chance)
    before, expected = files_of(home), originals.texts[base]
    with Store.open(home) as store:
        notices, texts = list(store.notices), texts_of(store)
        # It can be used.
        added = store.messages.add(store.conversations.create().id, parent_id=None, role="user", content="sequoia")
        assert [hit.message_id for hit in store.messages.search("sequoia")] == [added.id]
    for notice in notices:
        assert "\n" not in notice
    lost = set() if len(texts) == len(expected) and not notices else expected.keys() - texts.keys()
    assert not lost or notices, f"{len(lost)} messages are lost without a word"
    kept = kept_in(home)
    if lost:
        assert {DATABASE: b""} | before in kept
    with closing(sqlite3.connect(home / DATABASE)) as stranger:
        sound = stranger.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert not notices or (sound and stranger.execute("PRAGMA foreign_key_check").fetchall() == [])
    with Store.open(home) as store:
        assert texts_of(store) == texts | {added.id: "sequoia"}
        assert set(store.notices) >= {notice for notice in notices if SET_ASIDE in notice}
        assert kept_in(home) == kept
    if not lost:
        # SQLite has no checksums: it does not see what changes within a value.
        changed = not sound or texts != expected
        return "all there, " + ("told" if notices else "values changed unseen" if changed else "nothing to tell")
    return "some lost, told" if lost < expected.keys() else "all lost, told"


def open_all(tmp_path: Path, originals: Originals, times: int, seed: int) -> Counter[tuple[str, str, str]]:
    chance, outcomes = random.Random(seed), Counter()
    for number in range(times):
        damage, base = DAMAGES[number % len(DAMAGES)]
        home = tmp_path / f"{number}-{damage.__name__}-{base}"
        outcomes[damage.__name__, base, open_damaged(home, originals, damage, base, chance)] += 1
        shutil.rmtree(home)
    return outcomes


def test_a_damaged_database_is_opened_and_told(tmp_path: Path, originals: Originals) -> None:
    open_all(tmp_path, originals, len(DAMAGES), seed=1)


def messages_lost_with(page: int, home: Path, originals: Originals) -> int:
    """How many messages are lost with one page of a database without backups; all others are as they were."""
    home.mkdir()
    data = bytearray((originals.folder / "clean" / DATABASE).read_bytes())
    data[page * PAGE : (page + 1) * PAGE] = random.Random(page).randbytes(PAGE)
    (home / DATABASE).write_bytes(data)
    with Store.open(home) as store:
        texts = texts_of(store)
        assert len(store.notices) == 1
    expected = originals.texts["clean"]
    assert texts.items() <= expected.items()
    return len(expected) - len(texts)


def test_a_lost_page_costs_only_the_messages_on_it(tmp_path: Path, originals: Originals) -> None:
    # A record is longer than its text.
    most = PAGE // min(len(text.encode()) for text in originals.texts["clean"].values())
    pages = (originals.folder / "clean" / DATABASE).stat().st_size // PAGE
    for page in [0, *random.Random(4).sample(range(1, pages), 5)]:
        assert messages_lost_with(page, tmp_path / str(page), originals) <= most


def test_a_log_without_its_header_is_read_all_the_same(tmp_path: Path, originals: Originals) -> None:
    home = tmp_path / "home"
    shutil.copytree(originals.folder / "young", home)
    with (home / LOG).open("r+b") as file:
        file.write(bytes(32))
    before = files_of(home)
    with Store.open(home) as store:
        assert texts_of(store) == originals.texts["young"]
        [notice] = store.notices
        assert "32 messages could be saved" in notice
    assert kept_in(home) == [before]


@pytest.mark.slow
def test_300_damaged_databases_are_opened_and_told(tmp_path: Path, originals: Originals) -> None:
    outcomes = open_all(tmp_path, originals, 300, seed=2)
    for (damage, base, outcome), count in sorted(outcomes.items()):
        print(f"{count:4} {damage} ({base}): {outcome}")
