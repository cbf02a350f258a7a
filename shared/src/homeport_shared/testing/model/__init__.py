"""A faithful Ollama and OpenRouter server for tests: scripted answers, real wire formats, every known fault.

>>> async with ModelDouble([on("weather", call("web__search", query="{question}"), "It rains.")]) as double:
...     await answer("What is the weather?", ollama=double.ollama_url)
"""

from homeport_shared.testing.model.double import ModelDouble
from homeport_shared.testing.model.faults import FAULTS
from homeport_shared.testing.model.journal import Recorded
from homeport_shared.testing.model.models import MODELS, Model
from homeport_shared.testing.model.script import Call, Reply, Rule, Script, call, on, read_script

__all__ = [
    "FAULTS",
    "MODELS",
    "Call",
    "Model",
    "ModelDouble",
    "Recorded",
    "Reply",
    "Rule",
    "Script",
    "call",
    "on",
    "read_script",
]
