"""What the headers of encoded images say: size, orientation and format, read for a whole batch without decoding any.

Cameras store photographs as the sensor lies and note in EXIF data how they are to be turned (CIPA DC-008, tag 0x0112).
Sizes here are those of the image as it is shown, turned, unless asked for as it is stored.
"""

import functools
import io
import struct

import numpy as np
import tensorflow as tf

# How an image is decoded: by TensorFlow, or by Pillow, which takes the first frame of what moves.
JPEG, PNG, WEBP, BY_PILLOW = range(4)
# The formats besides JPEG and PNG, as Pillow calls them.
OTHER_FORMATS = ("BMP", "GIF", "WEBP")

# How every PNG begins.
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# The markers of a JPEG that its size follows: all "start of frame", between which three others lie.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# The marker of the JPEG segment that may hold EXIF data, and how those begin.
_APP1, _EXIF = 0xE1, b"Exif\0\0"
_ORIENTATION = 0x0112
# By the first bytes of EXIF data, the order of bytes in its numbers.
_BYTE_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
# Types of a value in EXIF data, and how they are unpacked; whatever else it claims to be is read as a short.
_VALUES = {1: "B", 4: "I"}
# Sides above this are those of a damaged header, and no int32.
_LONGEST = 2**31 - 1


def read_headers(images: tf.Tensor, turn: bool = True) -> tf.Tensor:
    """What the headers of encoded images say.

    Args:
        images: content of files, string (n,).
        turn: sizes are those of the images as they are shown; otherwise as they are stored, all of orientation 1.

    Returns:
        int32 (n, 4): height and width, orientation from 1 (as stored) to 8, and one of the formats above. Of
        what has no header, 0, 0, 1 and JPEG, so that the decoder tells what is wrong.
    """
    headers = tf.numpy_function(functools.partial(_read_headers, turn=turn), [images], tf.int32, stateful=False)
    return tf.ensure_shape(headers, (images.shape[0], 4))


@tf.autograph.experimental.do_not_convert
def _read_headers(contents: np.ndarray, turn: bool) -> np.ndarray:
    return np.array([header_of(content, turn) for content in contents], np.int32).reshape(-1, 4)


def header_of(content: bytes, turn: bool = True) -> tuple[int, int, int, int]:
    """See `read_headers`, of one image.

    Of a JPEG it takes 3 us, TensorFlow's own `extract_jpeg_shape` some 20; to hand a file of 60 kB to Python takes
    about 30.
    """
    if content.startswith(b"\xff\xd8\xff"):
        kind, (height, width, orientation) = JPEG, _jpeg_header(content)
    elif content.startswith(_PNG_SIGNATURE):
        kind, (height, width, orientation) = PNG, _png_header(content)
    else:
        kind, height, width, orientation = _other_header(content)
    if max(height, width) > _LONGEST:
        height = width = 0
    if not turn:
        orientation = 1
    return (width, height, orientation, kind) if orientation > 4 else (height, width, orientation, kind)


def _jpeg_header(content: bytes) -> tuple[int, int, int]:
    """Height and width as stored, and the orientation."""
    orientation = None
    # Segments: 255, a marker, and the length of what follows, its own two bytes included.
    position = 2
    while 0 <= position <= len(content) - 9:
        marker = content[position + 1]
        if marker in _FRAMES:
            return *struct.unpack_from(">HH", content, position + 5), orientation or 1
        # 255 may be repeated before a marker.
        length = 1 if marker == 255 else 2 + int.from_bytes(content[position + 2 : position + 4], "big")
        # Of several the first counts, as it does for Pillow.
        if orientation is None and marker == _APP1 and content.startswith(_EXIF, position + 4):
            orientation = exif_orientation(content[position + 4 : position + length])
        position = content.find(255, position + length)
    return 0, 0, 1


def _png_header(content: bytes) -> tuple[int, int, int]:
    if len(content) < 24:
        return 0, 0, 1
    width, height = struct.unpack_from(">II", content, 16)
    # Chunks: a length, a name of four bytes, the content and a checksum.
    position = len(_PNG_SIGNATURE)
    while position <= len(content) - 12:
        length = int.from_bytes(content[position : position + 4], "big")
        if content.startswith(b"eXIf", position + 4):
            return height, width, exif_orientation(content[position + 8 : position + 8 + length])
        position += 12 + length
    return height, width, 1


def _other_header(content: bytes) -> tuple[int, int, int, int]:
    """Format, height and width as stored, and the orientation."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=OTHER_FORMATS) as image:
            moves = image.format != "WEBP" or image.is_animated
            orientation = exif_orientation(image.info.get("exif", b""))
            return BY_PILLOW if moves else WEBP, image.height, image.width, orientation
    except Exception:  # A damaged file may raise anything.
        return JPEG, 0, 0, 1


def exif_orientation(exif: bytes) -> int:
    """The orientation that EXIF data note, 1 to 8; 1 where they note none or are damaged.

    Args:
        exif: the data, with or without `Exif` before them.
    """
    start = len(_EXIF) if exif.startswith(_EXIF) else 0
    order = _BYTE_ORDERS.get(exif[start : start + 4])
    if order is None:
        return 1
    try:
        directory = start + struct.unpack_from(f"{order}I", exif, start + 4)[0]
        (count,) = struct.unpack_from(f"{order}H", exif, directory)
        # Entries of twelve bytes: what it is, the type of the value, how many, and the value at the left end of four.
        for entry in range(directory + 2, directory + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(f"{order}HH", exif, entry)
            if tag == _ORIENTATION:
                (value,) = struct.unpack_from(order + _VALUES.get(kind, "H"), exif, entry + 8)
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1
