"""What turns texts into vectors."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
"""One row for each text, each of unit length."""


class Embedder(Protocol):
    """Embeds texts.

    `name` says which vectors can be compared: those of one name. `min_similarity` is the cosine
    below which its vectors tell nothing.
    """

    name: str
    dimensions: int
    min_similarity: float

    async def embed(self, texts: Sequence[str]) -> Matrix:
        """Return a vector for each text.

        Raises:
            Unavailable: the model's API does not answer.
        """
        ...

    async def aclose(self) -> None:
        """Close its connections."""
        ...
