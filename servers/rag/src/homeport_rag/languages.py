"""A rough look at the language of a text, to warn where an English model is asked about another one."""

from __future__ import annotations

import re
import unicodedata

ENOUGH_WORDS = 8  # fewer say nothing: names, part numbers, a heading
FEW = 0.08  # English prose has a third of such words, other languages with Latin letters next to none
ENGLISH = frozenset(
    "a about after all an and are as at be been but by can do does for from had has have he her his how i if in into is"
    " it its may more no not of on one or our she so than that the their them then there these they this to was we were"
    " what when where which who will with would you your".split()
)
_WORD = re.compile(r"[^\W\d_]+")


def seems_english(text: str) -> bool:
    """Tell whether `text` may be English; True where nothing can be said.

    Text in another script is not. In Latin letters the share of the most frequent English words decides, from
    `ENOUGH_WORDS` words on; lists and code in English may so be taken for another language.
    """
    words = _WORD.findall(text[:20_000])
    letters = "".join(words)
    if letters and sum(unicodedata.name(letter, "").startswith("LATIN") for letter in letters) < len(letters) / 2:
        return False
    return len(words) < ENOUGH_WORDS or sum(word.lower() in ENGLISH for word in words) >= FEW * len(words)
