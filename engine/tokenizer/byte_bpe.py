"""Byte-level BPE: the alphabet its vocabularies are written in, and when ranks alone tell what merges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

Ranks = dict[str, int]
Halves = dict[str, tuple[str, str]]


def alphabet() -> dict[str, int]:
    """The character that stands for each byte in a vocabulary, mapped to that byte.

    GPT-2's table (openai/gpt-2, src/encoder.py, bytes_to_unicode): printable Latin-1 characters stand for
    themselves, the other 68 bytes for U+0100 and on, in order.
    """
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    table = {chr(byte): byte for byte in printable}
    table.update({chr(256 + place): byte for place, byte in enumerate(others)})
    return table


class Inexpressible(Exception):
    """The merges mean something that ranks alone cannot say; the text tells what, with an example."""


def mergeable_ranks(ids: Mapping[str, int], merges: Sequence[tuple[str, str]], *, whole_words: bool) -> dict[str, int]:
    """The tokens that text can become, with ids that serve as ranks: the lowest merges first.

    ids: every ordinary token, written in the byte alphabet. merges: pairs in order of priority; both halves
    and their concatenation must be in `ids`. whole_words: a word that is a token becomes that token, whatever
    the merges say (`ignore_merges` of the `tokenizers` library).

    A BPE joins a *listed pair*, a rank-BPE any two neighbours whose concatenation has a rank. Both do the
    same at every step if, for each token, joining lower ranks only leaves its characters as exactly the two
    halves of one of its listed merges (then no other neighbours can ever make it), or else if all its splits
    are listed.

    Raises Inexpressible where neither holds, where ids do not rise along the merges, or where `whole_words`
    is needed to tell what a token becomes.
    """
    ranks: Ranks = {token: rank for token, rank in ids.items() if len(token) == 1}
    halves: Halves = {}
    listed: dict[str, set[str]] = {}
    last = -1
    for left, right in merges:
        token = left + right
        if ids[token] < last:
            raise Inexpressible(f"its merges are not in the order of their ids (at token {ids[token]})")
        last = ids[token]
        listed.setdefault(token, set()).add(left)
        if token not in halves and _stays_apart(left, right, ranks, halves):
            halves[token] = (left, right)
        # Ranked only once all its merges are read: a token must not be in its own way.
        if token in halves:
            ranks[token] = ids[token]

    unproven = [token for token in ids if len(token) > 1 and token not in halves]
    if not whole_words:
        # Without a merge a token never comes from text, so it needs no rank.
        if broken := next((token for token in unproven if token in listed), None):
            raise Inexpressible(f"its merges do not lead to token {ids[broken]}")
        return ranks
    if unproven:
        _require_every_split(ids, listed)
    return dict(ids)


def _stays_apart(left: str, right: str, ranks: Ranks, halves: Halves) -> bool:
    """Whether no merge of lower rank joins characters on both sides of the seam while the halves are built.

    Undoes the merges on either side of the seam from the latest to the earliest. Each state lasted until the
    merge that was just undone; a crossing merge of lower rank would have come before it. Of equal ranks the
    leftmost comes first.
    """
    if left not in ranks or right not in ranks:
        return False
    while left in halves or right in halves:
        if right in halves and (left not in halves or ranks[right] >= ranks[left]):
            until = ranks[right] + 1
            right = halves[right][0]
        else:
            until = ranks[left]
            left = halves[left][1]
        if ranks.get(left + right, until) < until:
            return False
    return len(left) == len(right) == 1


def _require_every_split(ids: Mapping[str, int], listed: Mapping[str, set[str]]) -> None:
    """Vocabularies made from ranks, as tiktoken's are, list each pair of tokens that make a token."""
    for token, rank in ids.items():
        if set(_splits(token, ids)) != listed.get(token, set()):
            raise Inexpressible(f"its merges do not list every way to make token {rank}")


def _splits(token: str, ids: Mapping[str, int]) -> Iterator[str]:
    return (token[:i] for i in range(1, len(token)) if token[:i] in ids and token[i:] in ids)
