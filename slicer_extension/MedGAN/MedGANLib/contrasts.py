"""Guessing which contrast a volume is, from its name and the description its series carries."""

from __future__ import annotations

import re

_PATTERNS = (
    ("FLAIR", r"flair|dark.?fluid"),
    (
        "T1post",
        r"t1.*(post|gad|gd|\bce\b|contrast|\bkm\b)|t1w?[_\W]*\+?c(e|\b|_)|(post|gad|\bgd\b|\bce\b).*t1",
    ),
    ("T2", r"(?<![a-z0-9])t2(?!\*|star)|t2w"),
    ("T1", r"(?<![a-z0-9])t1|mp.?rage|spgr|bravo|mp2rage|t1w|mrhead"),
    ("PD", r"(?<![a-z0-9])pd(?![a-z])|proton.?density"),
)
"""Asked in this order: FLAIR and post-contrast names hold a plainer contrast's name too."""

_CT = re.compile(r"(?<![a-z0-9])(cb)?ct(?![a-z])")
_NOT_T2 = re.compile(r"t2.?(star|\*)|swi")


def guess(*texts):
    """The contrast that the first telling text names (FLAIR, T1post, T2, T1, PD, CT), or an empty string."""
    for text in texts:
        lower = (text or "").lower()
        if _NOT_T2.search(lower):
            return ""
        for contrast, pattern in _PATTERNS:
            if re.search(pattern, lower):
                return contrast
        if _CT.search(lower):
            return "CT"
    return ""


def assign(keys, candidates):
    """Which candidate fits which input.

    Args:
        keys: input keys of a card; keys that are no contrast (such as `image`) take any volume.
        candidates: (node, contrast) pairs, the most wanted first.

    Returns:
        Input key to node. No node is used twice; the only input of a model takes the first candidate.
    """
    chosen, used = {}, []
    for key in keys:
        for node, contrast in candidates:
            if contrast == key and node not in used:
                chosen[key] = node
                used.append(node)
                break
    if not chosen and len(keys) == 1 and candidates:
        chosen[keys[0]] = candidates[0][0]
    return chosen
