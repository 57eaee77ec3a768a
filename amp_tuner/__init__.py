"""Tunes the op lists of TensorFlow's automatic mixed precision by measurement."""

from __future__ import annotations

__version__ = "0.1.0"

__all__ = ["__version__"]
