"""Handoffs: specialists that the assistant hands the thread to, and that hand it back."""

from app.builder import Builder
from app.features.handoffs import specialists, translator


def install(builder: Builder) -> None:
    for create in specialists.discover():
        builder.add_specialist(create)
    builder.add_tool_creator(translator.create)
