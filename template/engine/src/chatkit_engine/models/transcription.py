"""Transcribes speech, if the provider has a model for it."""

import asyncio
from collections.abc import Mapping

import structlog
from openai import APIError, AsyncOpenAI

from chatkit_engine.errors import ModelBusy, ModelFailed
from chatkit_engine.i18n import _
from chatkit_engine.models.answer_limits import AnswerOverLimit
from chatkit_engine.models.chat_model import Transcribe
from chatkit_engine.models.resilience import may_fall_back

log = structlog.stdlib.get_logger(__name__)

# The API derives the audio format from the file's name.
FILE_NAMES: Mapping[str, str] = {
    "audio/webm": "speech.webm",
    "audio/ogg": "speech.ogg",
    "audio/mp4": "speech.mp4",
    "audio/wav": "speech.wav",
    "audio/mpeg": "speech.mp3",
}


def create_transcribe(
    model: str, client: AsyncOpenAI, max_retries: int, answer_seconds: float
) -> Transcribe:
    """Return a function that transcribes with `model`. It raises ModelBusy or ModelFailed.

    `answer_seconds` is how long all attempts together may take.
    """
    transcriptions = client.with_options(max_retries=max_retries).audio.transcriptions

    async def transcribe(audio: bytes, media_type: str) -> str:
        file = (FILE_NAMES.get(media_type, "speech"), audio, media_type)
        try:
            async with asyncio.timeout(answer_seconds):
                return (await transcriptions.create(model=model, file=file)).text
        except (TimeoutError, AnswerOverLimit) as error:
            log.warning("transcription was over the limits", error=type(error).__name__)
            raise ModelBusy from None
        except APIError as error:
            log.exception("transcription failed", error=type(error).__name__)
            if may_fall_back(error):
                raise ModelBusy from None
            raise ModelFailed(_("The speech could not be understood. Record it again.")) from None

    return transcribe
