"""What every Homeport server stands on. Knows no capability and imports no server."""

__version__ = "0.1.0"
