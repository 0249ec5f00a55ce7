"""Speech that a front end records: what is taken, before the model hears it."""

from chatkit.types import AudioInput

from chatkit_engine.errors import BadRequest, UnsupportedMediaType
from chatkit_engine.i18n import _
from chatkit_engine.models.registry import Transcribe

MEDIA_TYPES = ("audio/webm", "audio/ogg", "audio/mp4", "audio/wav", "audio/mpeg")
NO_SPEECH = _("This assistant does not transcribe speech.")
EMPTY = _("The recording is empty.")
WRONG_TYPE = _("Speech is taken as one of: {types}.", types=", ".join(MEDIA_TYPES))


async def text_of(audio: AudioInput, transcribe: Transcribe | None) -> str:
    """Return what is said in the recording.

    Raises:
        BadRequest, UnsupportedMediaType, ModelBusy, ModelFailed
    """
    media_type = audio.media_type.strip().lower()
    if transcribe is None:
        raise BadRequest(NO_SPEECH)
    if media_type not in MEDIA_TYPES:
        raise UnsupportedMediaType(WRONG_TYPE)
    if not audio.data:
        raise BadRequest(EMPTY)
    return await transcribe(audio.data, media_type)
