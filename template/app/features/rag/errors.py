"""The documents' errors."""

from app.errors import Unavailable
from app.i18n import _


class DocumentsUnavailable(Unavailable):
    """What searches the documents does not answer."""

    code = "documents_unavailable"

    def __init__(self) -> None:
        super().__init__(_("The documents cannot be searched just now. Try again later."))
