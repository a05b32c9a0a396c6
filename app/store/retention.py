"""Erases what has been in the trash for long enough, while nobody waits for it."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from app.store.errors import StoreError

if TYPE_CHECKING:
    from app.store.store import Store

CHECK_SECONDS = 6 * 3600.0

log = logging.getLogger(__name__)


class Retention(threading.Thread):
    """Purges the trash by the preference `trash_days`, now and every six hours, from its making until `stop`."""

    def __init__(self, store: Store) -> None:
        super().__init__(name="retention", daemon=True)
        self._store = store
        self._stopped = threading.Event()
        self.start()

    def run(self) -> None:
        while not self._stopped.is_set():
            try:
                if count := self._store.trash.purge(int(self._store.preferences.get("trash_days"))):
                    log.info("%d conversations and messages were erased from the trash", count)
            except StoreError as error:
                log.error("the trash is not purged: %s", error)
            self._stopped.wait(CHECK_SECONDS)

    def stop(self) -> None:
        """Purge no more; a purge under way ends first."""
        self._stopped.set()
        self.join()
