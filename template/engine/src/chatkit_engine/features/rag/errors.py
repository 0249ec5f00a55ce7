"""The errors of the document search."""

from chatkit_engine.errors import Unavailable
from chatkit_engine.i18n import _


class DocumentsUnavailable(Unavailable):
    """The vector store or the embedding model does not answer."""

    code = "documents_unavailable"

    def __init__(self) -> None:
        super().__init__(_("The documents cannot be searched at the moment. Try again later."))


class EmbeddingsUnavailable(DocumentsUnavailable):
    """The embedding model's API returns no vectors.

    `advice` is for the operator. A client sees only the general message.
    """

    def __init__(self, advice: str) -> None:
        super().__init__()
        self.advice = advice
