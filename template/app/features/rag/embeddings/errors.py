"""What goes wrong with a model's embeddings."""

from app.features.rag.errors import DocumentsUnavailable


class EmbeddingsUnavailable(DocumentsUnavailable):
    """The model's API gives no vectors. `advice` is for the operator, not for a client."""

    def __init__(self, advice: str) -> None:
        super().__init__()
        self.advice = advice
