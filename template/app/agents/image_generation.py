"""OpenAI's own image generation, where the settings ask for it: it runs at the provider."""

from agents import ImageGenerationTool, Tool
from openai.types.responses.tool_param import ImageGeneration

from app.settings import Settings


def image_tools(settings: Settings) -> list[Tool]:
    """Return the tool, with `IMAGE_PARTIALS` previews of each image; none where it is off."""
    if not settings.image_generation:
        return []
    config = ImageGeneration(type="image_generation", partial_images=settings.image_partials)
    return [ImageGenerationTool(tool_config=config)]
