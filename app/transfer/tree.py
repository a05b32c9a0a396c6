"""The order of messages that name their parents, however broken what they say is."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Mapping


def arranged(parents: Mapping[str, str | None], times: Mapping[str, float | None]) -> list[tuple[str, str | None]]:
    """Every message once with its parent, parents first and otherwise by time, then id.

    A parent that is not there makes a root; a circle is cut at its earliest message. Without a time, that of the parent
    counts.
    """
    children: dict[str, list[str]] = defaultdict(list)
    roots = []
    for id, parent in parents.items():
        if parent is None or parent not in parents or parent == id:
            roots.append(id)
        else:
            children[parent].append(id)
    order: list[tuple[str, str | None]] = []
    seen: set[str] = set()
    # Those that no root leads to hang in circles; they come last, the earliest of each first.
    starts = [roots, sorted(parents, key=lambda id: (times.get(id) or 0.0, id))]
    for start in starts:
        for group in [start] if start is roots else ([id] for id in start):
            heap = [(times.get(id) or 0.0, id, None) for id in group if id not in seen]
            heapq.heapify(heap)
            while heap:
                time, id, parent = heapq.heappop(heap)
                if id in seen:
                    continue
                seen.add(id)
                order.append((id, parent))
                for child in children[id]:
                    moment = times.get(child)
                    heapq.heappush(heap, (time if moment is None else max(time, moment), child, id))
    return order


def newest_leaf(order: list[tuple[str, str | None]]) -> str | None:
    """The last message that nothing follows."""
    above = {parent for _, parent in order}
    return next((id for id, _ in reversed(order) if id not in above), None)
