"""The target `vertex`: Google's Vertex AI, with what its parts need around them in one project."""

from mlinfra_providers.vertex.adapter import Vertex

__all__ = ["Vertex"]
