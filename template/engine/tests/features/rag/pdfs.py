"""PDF files for tests."""

from collections.abc import Mapping, Sequence
from io import BytesIO

from pypdf import PdfWriter
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

FONT = {
    "/Type": NameObject("/Font"),
    "/Subtype": NameObject("/Type1"),
    "/BaseFont": NameObject("/Helvetica"),
}


def make_pdf(
    pages: Sequence[str],
    title: str = "",
    outline: Mapping[str, int] | None = None,
    password: str | None = None,
) -> bytes:
    """Return a file with a line of text on each page; a page without text is empty."""
    writer = PdfWriter()
    for text in pages:
        _add_page(writer, text)
    if title:
        writer.add_metadata({"/Title": title})
    for heading, page in (outline or {}).items():
        writer.add_outline_item(title=heading, page_number=page)
    if password:
        writer.encrypt(password, algorithm="RC4-128")
    file = BytesIO()
    writer.write(file)
    return file.getvalue()


def _add_page(writer: PdfWriter, text: str) -> None:
    page = writer.add_blank_page(300, 300)
    content = DecodedStreamObject()
    content.set_data(f"BT /F1 12 Tf 20 200 Td ({text}) Tj ET".encode() if text else b"")
    font = DictionaryObject({NameObject(name): value for name, value in FONT.items()})
    fonts = DictionaryObject({NameObject("/F1"): font})
    page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
    page[NameObject("/Contents")] = writer._add_object(content)  # pyright: ignore[reportPrivateUsage]
