"""What the engine keeps of conversations on disk, and that nothing of erased ones stays there."""

from __future__ import annotations

from pathlib import Path

from app.store import Store, StoreError
from engine import EngineError, KVFiles
from engine.kv_files import remove

FOLDER = "kv"


def kv_folder(home: Path) -> Path:
    """Where a data folder has its keys and values."""
    return home / FOLDER


def open_kv(store: Store, limit: int) -> KVFiles | None:
    """Files for at most `limit` bytes of keys and values in the store's data folder; with 0 none, and none stay.

    All are deleted when anything is erased from the trash: a file is shared by the conversations that begin alike, so
    it is not known whose it is. Where they cannot be had the store's notices say why, and the result is None.
    """
    folder = kv_folder(store.home)
    try:
        if not limit:
            remove(folder)
            return None
        files = KVFiles(folder, limit)
    except EngineError as error:
        store.notices.append(str(error))
        return None

    def erase() -> None:
        try:
            files.clear()
        except EngineError as error:
            raise StoreError(str(error)) from error

    store.trash.erase_too = erase
    return files
