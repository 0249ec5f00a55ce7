"""Turns marks such as `[1]` in an answer into citations of what the turn's tools gave."""

import re
from collections.abc import Iterator, Sequence

from chatkit.types import (
    Annotation,
    AssistantMessageContentPartAnnotationAdded,
    AssistantMessageItem,
    Source,
    ThreadItemUpdatedEvent,
)

MARK = re.compile(r"\[(\d{1,3})\]")


def cite(item: AssistantMessageItem, sources: Sequence[Source]) -> Iterator[ThreadItemUpdatedEvent]:
    """Annotate the message in place, and yield an event for each annotation."""
    for content_index, part in enumerate(item.content):
        for mark in MARK.finditer(part.text):
            number = int(mark.group(1))
            if not 1 <= number <= len(sources):
                continue
            annotation = Annotation(source=sources[number - 1], index=mark.end())
            part.annotations.append(annotation)
            update = AssistantMessageContentPartAnnotationAdded(
                content_index=content_index,
                annotation_index=len(part.annotations) - 1,
                annotation=annotation,
            )
            yield ThreadItemUpdatedEvent(item_id=item.id, update=update)
