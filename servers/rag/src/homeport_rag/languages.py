"""A rough look at the language of a text: for the documents' list, and to warn where an English model is asked."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

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


# The most frequent words of languages with Latin letters that the others do not share.
_FREQUENT = {
    "en": "the and of to is that for with was are this which from have not were",
    "de": "der die und das nicht mit ein eine den dem von zu sich auf wird",
    "fr": "les des est une dans que pour qui sur pas avec sont nous vous cette aux",
    "es": "los las del una por para con que como pero más este está son sus entre",
    "it": "gli della che non per una con sono del nel alla questo anche più come delle",
    "pt": "não uma dos das para com por mais como são foi pelo também seu à",
    "nl": "het een van niet zijn voor met dat deze maar ook naar wordt bij aan",
    "sv": "och att det är för inte med har den av på till ett",
    "pl": "nie się jest że na do jak ale przez oraz który dla są",
}
_MARKS = {word: language for language, words in _FREQUENT.items() for word in words.split()}
_SCRIPTS = (
    ("ja", re.compile("[\u3040-\u30ff]")),
    ("ko", re.compile("[\uac00-\ud7af]")),
    ("zh", re.compile("[\u4e00-\u9fff]")),
    ("ru", re.compile("[\u0400-\u04ff]")),
    ("el", re.compile("[\u0370-\u03ff]")),
    ("ar", re.compile("[\u0600-\u06ff]")),
    ("he", re.compile("[\u0590-\u05ff]")),
    ("hi", re.compile("[\u0900-\u097f]")),
)
ENOUGH_MARKS = 3


def language_of(text: str) -> str:
    """Return the ISO 639-1 code of the language of `text`, by script or frequent words; empty = unknown."""
    text = text[:20_000]
    letters = 0 if text.isascii() else sum(map(str.isalpha, text))
    for language, script in _SCRIPTS:
        if letters and len(script.findall(text)) > letters / 5:
            return language
    votes = Counter(_MARKS[word] for word in _WORD.findall(text.casefold()) if word in _MARKS)
    [(language, count)] = votes.most_common(1) or [("", 0)]
    return language if count >= ENOUGH_MARKS else ""
