"""A rough look at the language of a text, to warn where an English model is asked about another one."""

from __future__ import annotations

import re
import unicodedata

ENOUGH_WORDS = 8  # fewer say nothing: names, part numbers, a heading
FEW = 0.08  # English prose has a third of such words, other languages with Latin letters next to none
_ENGLISH = re.compile(
    r"\b(?:an|and|are|as|be|by|can|did|do|does|for|from|has|have|how|if|in|is|it|my|not|of|on|or|that|the|they|this|to"
    r"|was|we|were|what|when|where|which|who|will|with|you|your)\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d_]+")


def seems_english(text: str) -> bool:
    """Tell whether `text` may be English; True where nothing can be said.

    Text in another script is not. In Latin letters the share of the most frequent English words decides, from
    `ENOUGH_WORDS` words on; lists and code in English may so be taken for another language.
    """
    text = text[:20_000]
    words = _WORD.findall(text)
    letters = "".join(words)
    if letters and sum(unicodedata.name(letter, "").startswith("LATIN") for letter in letters) < len(letters) / 2:
        return False
    return len(words) < ENOUGH_WORDS or len(_ENGLISH.findall(text)) >= FEW * len(words)
