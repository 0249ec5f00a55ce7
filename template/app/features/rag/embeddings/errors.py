"""What goes wrong with a model's embeddings."""

from app.errors import Unavailable
from app.i18n import _


class EmbeddingsUnavailable(Unavailable):
    """The model's API gives no vectors. `advice` is for the operator, not for a client."""

    def __init__(self, advice: str) -> None:
        super().__init__(_("The documents cannot be searched just now. Try again in a moment."))
        self.advice = advice
