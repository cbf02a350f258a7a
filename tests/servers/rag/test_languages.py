"""Warning about languages that an English model does not know."""

from __future__ import annotations

import pytest

from homeport_rag.languages import seems_english


@pytest.mark.parametrize(
    "text",
    [
        "The contract ends on the last day of the month in which you give notice.",
        "How do I reset the pressure valve after a power cut?",
        "RFC 9110",
        "Zürich München",
        "",
        "2024-11-05 14:00 1234",
    ],
)
def test_english_and_what_says_too_little_gives_no_warning(text: str) -> None:
    assert seems_english(text)


@pytest.mark.parametrize(
    "text",
    [
        "Der Vertrag endet mit Ablauf des Monats, für den die Kündigung erklärt wird.",
        "Le contrat prend fin le dernier jour du mois pour lequel le préavis est donné.",
        "El contrato termina el último día del mes para el cual se da el aviso.",
        "Договор заканчивается в последний день месяца.",
        "契約は月末に終了します。",
        "ينتهي العقد",
    ],
)
def test_other_languages_are_noticed(text: str) -> None:
    assert not seems_english(text)
