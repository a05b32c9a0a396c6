"""Byte-level BPE: the alphabet its vocabularies are written in, and when ranks alone tell what merges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

# Of each token that is known to be made by one merge: its halves and its rank.
Made = dict[str, tuple[str, str, int]]


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
    ranks = {token: rank for token, rank in ids.items() if len(token) == 1}
    made: Made = {}
    last = -1
    for left, right in merges:
        token = left + right
        rank = ids[token]
        if rank < last:
            raise Inexpressible(f"its merges are not in the order of their ids (at token {rank})")
        last = rank
        # Ranked only once it is proven: a token must not be in its own way.
        if token not in made and left in ranks and right in ranks and _stays_apart(left, right, ranks, made):
            made[token] = (left, right, rank)
            ranks[token] = rank

    unproven = [token for token in ids if len(token) > 1 and token not in made]
    if not unproven:
        return ranks
    listed: dict[str, set[str]] = {}
    for left, right in merges:
        listed.setdefault(left + right, set()).add(left)
    if not whole_words:
        # Without a merge a token never comes from text, so it needs no rank.
        if broken := next((token for token in unproven if token in listed), None):
            raise Inexpressible(f"its merges do not lead to token {ids[broken]}")
        return ranks
    _require_every_split(ids, listed)
    return dict(ids)


def _stays_apart(left: str, right: str, ranks: Mapping[str, int], made: Made) -> bool:
    """Whether no merge of lower rank joins characters on both sides of the seam while the halves are built.

    left, right: tokens that have a rank. Undoes the merges on either side of the seam from the latest to the
    earliest. Each state lasted until the merge that was just undone; a crossing merge of lower rank would have come
    before it. Of equal ranks the leftmost comes first.
    """
    before, after = made.get(left), made.get(right)
    while before or after:
        if after and (not before or after[2] >= before[2]):
            until = after[2] + 1
            right = after[0]
            after = made.get(right)
        else:
            assert before
            until = before[2]
            left = before[1]
            before = made.get(left)
        if ranks.get(left + right, until) < until:
            return False
    return True


def _require_every_split(ids: Mapping[str, int], listed: Mapping[str, set[str]]) -> None:
    """Vocabularies made from ranks, as tiktoken's are, list each pair of tokens that make a token."""
    for token, rank in ids.items():
        if set(_splits(token, ids)) != listed.get(token, set()):
            raise Inexpressible(f"its merges do not list every way to make token {rank}")


def _splits(token: str, ids: Mapping[str, int]) -> Iterator[str]:
    return (token[:i] for i in range(1, len(token)) if token[:i] in ids and token[i:] in ids)
