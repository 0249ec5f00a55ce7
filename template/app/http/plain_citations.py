"""Citations as plain clients read them."""

from collections.abc import Iterator
from typing import Literal

from chatkit.types import Annotation, AssistantMessageItem, EntitySource, FileSource, URLSource
from pydantic import BaseModel


class CitationBase(BaseModel):
    """What a place in a text is based on. `index` counts the text's characters up to there."""

    title: str
    index: int | None


class UrlCitation(CitationBase):
    type: Literal["url"] = "url"
    url: str


class FileCitation(CitationBase):
    type: Literal["file"] = "file"
    filename: str


class EntityCitation(CitationBase):
    type: Literal["entity"] = "entity"
    id: str


Citation = UrlCitation | FileCitation | EntityCitation


def citations_of(item: AssistantMessageItem, offset: int = 0) -> Iterator[Citation]:
    """Yield a message's citations; `offset` is where its text begins in a longer one."""
    for part in item.content:
        for annotation in part.annotations:
            yield _citation(annotation, offset)
        offset += len(part.text)


def _citation(annotation: Annotation, offset: int) -> Citation:
    source = annotation.source
    index = None if annotation.index is None else annotation.index + offset
    match source:
        case URLSource():
            return UrlCitation(title=source.title, index=index, url=source.url)
        case FileSource():
            return FileCitation(title=source.title, index=index, filename=source.filename)
        case EntitySource():
            return EntityCitation(title=source.title, index=index, id=source.id)
