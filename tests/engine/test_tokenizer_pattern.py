"""Which patterns of a stranger's tokenizer are let near a regex engine that nothing can interrupt."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, pre_tokenizers

from engine.tokenizer.linear_pattern import MAX_CHARACTERS, is_linear
from tests.tokenizer_families import CL100K, DEEPSEEK, O200K, TEKKEN

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
TIKTOKEN = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
)
BLOOM = r" ?[^(\s|.,!?…。，、।۔،)]+"
KNOWN = [GPT2, TIKTOKEN, BLOOM, CL100K, O200K, TEKKEN, *DEEPSEEK, "[0-9][0-9][0-9]", r"\s?\p{L}+", "[\r\n]", "a{3}b?c*"]


@pytest.mark.parametrize("pattern", KNOWN)
def test_the_families_patterns_are_let_through_and_quick(pattern: str) -> None:
    assert is_linear(pattern)
    splitter = pre_tokenizers.Split(Regex(pattern), "isolated")
    started = time.process_time()
    for run in ["a", "A", " ", "\n", "1", "\u0301", "!", "中", " \n", "aA", "Aa", "'s"]:
        for end in ("", "x", "!", " ", "\n"):
            splitter.pre_tokenize_str(run * 20_000 + end)
    # A quadratic one takes half a second for each.
    assert time.process_time() - started < 15


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "a" * (MAX_CHARACTERS + 1),
        *("(a|aa)+b", "(a+)+", "(a*)*b", "(?:a|b)+", r"(\w)\1", "(?=(a{3})+(?!a))", r"\d{1,3}(?=(?:\d{3})*\b)"),
        *("a+b", "a*a*b", ".*x", r"\s+$", r"^\s+", r"\s*[\r\n]+", r"\s*[\r\n]+|\s|\s+(?!\S)|\s+", r"\s+(?=x)"),
        *("a?" * 10 + "b", "a{1000}", "a{0,99}b", "a{9,1}", "a**", "a{2}+", "a+?b", "(?i:ab|a){2}", "a{2,}{2,}"),
        *("(", "a)", "[", "[a", "\\", "a|(", "[[:alpha:]]+", "[a&&b]", r"\Ga", r"\k<a>", "(?<a>b)", "(?#x)"),
        O200K.split("|[^")[0],
    ],
)
def test_what_may_go_back_is_refused(pattern: str) -> None:
    assert not is_linear(pattern)


@settings(max_examples=300)
@given(st.text(st.sampled_from(r"ab\s[]()^$|?*+{}1,.:=!<"), max_size=24), st.sampled_from(["a", "b", " ", "ab", "s"]))
def test_whatever_is_let_through_ends(pattern: str, run: str) -> None:
    if not is_linear(pattern):
        return
    try:
        splitter = pre_tokenizers.Split(Regex(pattern), "isolated")
    except Exception:
        # Oniguruma does not take it, which is a refusal, too.
        return
    started = time.process_time()
    splitter.pre_tokenize_str(run * 20_000 + "!")
    assert time.process_time() - started < 1
