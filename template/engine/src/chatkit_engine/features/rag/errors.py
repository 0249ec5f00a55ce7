"""The documents' errors.

What goes wrong with a model's embeddings."""

from chatkit_engine.errors import Unavailable
from chatkit_engine.i18n import _


class DocumentsUnavailable(Unavailable):
    """What searches the documents does not answer."""

    code = "documents_unavailable"

    def __init__(self) -> None:
        super().__init__(_("The documents cannot be searched just now. Try again later."))


class EmbeddingsUnavailable(DocumentsUnavailable):
    """The model's API gives no vectors. `advice` is for the operator, not for a client."""

    def __init__(self, advice: str) -> None:
        super().__init__()
        self.advice = advice
