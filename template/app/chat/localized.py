"""Our own messages in a stream, in the user's language."""

from chatkit.types import ErrorEvent, NoticeEvent, ThreadStreamEvent

from app.i18n import translate


def localized(event: ThreadStreamEvent, language: str) -> ThreadStreamEvent:
    """Return the event in the language; what no catalogue has stays as it is.

    The protocol's types keep a text alone: one with values in it is translated where it is made.
    """
    match event:
        case ErrorEvent(message=str(message)):
            return event.model_copy(update={"message": translate(message, language)})
        case NoticeEvent():
            title = event.title and translate(event.title, language)
            words = {"message": translate(event.message, language), "title": title}
            return event.model_copy(update=words)
        case _:
            return event
