"""Language models behind one interface: Ollama, OpenRouter and compatible addresses."""
