"""How many tokens the embedding model makes of a text, without making them anew for each word."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from homeport_rag.chunking import CHARACTERS_PER_TOKEN

LONGEST_COUNTED = 1_000_000  # characters; more than any model reads at once
KEPT = 4_000_000  # characters of words, a hundred bytes for each word beside them
COUNTED_TOGETHER = 1000  # words; one of a thousand characters takes about 1.5 KB while it is counted
_WORD = re.compile(r"[^ \n]+")


class TokenCounter:
    """Counts tokens by a dictionary of words, in a fifth of the tokenizer's time.

    The tokenizer of BERT parts a text at its spaces before everything else, so the tokens of a text are those of its
    words. What other characters mean, such as a tab or an accent, is left to the tokenizer.

    Args:
        file: The `tokenizer.json` of a model of BERT's family.
    """

    def __init__(self, file: str) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(file)
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._sizes: dict[str, int] = {}
        self._kept = 0

    def __call__(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text, estimated for one that is longer than any that is embedded."""
        return [self._size(text) for text in texts]

    def _size(self, text: str) -> int:
        if len(text) > LONGEST_COUNTED:
            return len(text) // CHARACTERS_PER_TOKEN
        if self._kept > KEPT:
            self._sizes.clear()
            self._kept = 0
        words = _WORD.findall(text)
        unknown = [word for word in dict.fromkeys(words) if word not in self._sizes]
        for start in range(0, len(unknown), COUNTED_TOGETHER):
            together = unknown[start : start + COUNTED_TOGETHER]
            encoded = self._tokenizer.encode_batch_fast(together, add_special_tokens=False)
            self._sizes.update(zip(together, (len(each.ids) for each in encoded), strict=True))
            self._kept += sum(map(len, together))
        return sum(map(self._sizes.__getitem__, words))


@cache
def counter(file: str) -> TokenCounter:
    """Return the counter of a tokenizer, loaded once in this process."""
    return TokenCounter(file)
