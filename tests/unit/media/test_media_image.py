import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from mmrl.errors import MediaError
from mmrl.media.image import inside, open_image, read_image_header, resize_image, shrunk
from mmrl.types import MediaRef


def encoded(image: Image.Image, form: str, **options) -> MediaRef:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return MediaRef(kind="image", data=buffer.getvalue())


def pixels(ref: MediaRef) -> np.ndarray:
    return np.asarray(open_image(ref))


def two_by_three() -> Image.Image:
    """Width 2, height 3, every pixel another value."""
    return Image.fromarray(np.arange(6, dtype=np.uint8).reshape(3, 2) * 40).convert("RGB")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    ref = encoded(two_by_three(), "PNG", exif=exif)
    stored = np.asarray(two_by_three())
    # EXIF 2.32, table 6: how the stored rows and columns are shown
    shown = {
        1: stored,
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: stored.transpose(1, 0, 2),
        6: np.rot90(stored, -1),
        7: np.rot90(stored, 2).transpose(1, 0, 2),
        8: np.rot90(stored, 1),
    }[orientation]
    assert np.array_equal(pixels(ref), shown)
    assert read_image_header(ref).size == (shown.shape[1], shown.shape[0])


def test_nonsense_in_exif_leaves_the_picture_upright():
    exif = Image.Exif()
    exif[0x0112] = 77
    assert np.array_equal(
        pixels(encoded(two_by_three(), "PNG", exif=exif)), np.asarray(two_by_three())
    )


def test_alpha_lies_on_white():
    image = Image.new("RGBA", (2, 1), (200, 0, 0, 255))
    image.putpixel((1, 0), (200, 0, 0, 0))
    assert pixels(encoded(image, "PNG")).tolist() == [[[200, 0, 0], [255, 255, 255]]]
    grey = Image.new("LA", (1, 1), (0, 51))  # 51 / 255 = a fifth of black on white: 204
    assert pixels(encoded(grey, "PNG")).tolist() == [[[204, 204, 204]]]


def test_palette_with_a_transparent_colour():
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 90, 80, 70])
    image.putdata([0, 1])
    assert pixels(encoded(image, "PNG")).tolist() == [[[10, 20, 30], [90, 80, 70]]]
    assert pixels(encoded(image, "PNG", transparency=0)).tolist() == [
        [[255, 255, 255], [90, 80, 70]]
    ]


def test_16_bits_are_scaled_not_clipped():
    values = np.array([[0, 257, 32896, 65535]], dtype=np.uint16)
    ref = encoded(Image.fromarray(values), "PNG")
    assert pixels(ref)[0, :, 0].tolist() == [0, 1, 128, 255]


def test_float_grey_is_a_share_or_a_level():
    share = Image.fromarray(np.array([[0.0, 0.5, 1.0]], dtype=np.float32))
    assert pixels(encoded(share, "TIFF"))[0, :, 0].tolist() == [0, 128, 255]
    level = Image.fromarray(np.array([[0.0, 100.0, 255.0]], dtype=np.float32))
    assert pixels(encoded(level, "TIFF"))[0, :, 0].tolist() == [0, 100, 255]
    broken = Image.fromarray(np.array([[0.0, np.nan]], dtype=np.float32))
    with pytest.raises(MediaError) as caught:
        open_image(encoded(broken, "TIFF"))
    assert caught.value.reason == "corrupt"


def test_cmyk():
    # no ink is white, full cyan is the absence of red
    image = Image.new("CMYK", (2, 1), (0, 0, 0, 0))
    image.putpixel((1, 0), (255, 0, 0, 0))
    assert pixels(encoded(image, "TIFF")).tolist() == [[[255, 255, 255], [0, 255, 255]]]


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG"])
def test_animation_gives_its_first_frame(form):
    first, second = Image.new("RGB", (8, 8), (255, 0, 0)), Image.new("RGB", (8, 8), (0, 0, 255))
    options = {"lossless": True} if form == "WEBP" else {}
    ref = encoded(first, form, save_all=True, append_images=[second], **options)
    assert np.array_equal(pixels(ref), np.asarray(first))


def test_truncated_file_gives_no_pixels(data):
    whole = (data / "BloodImage_00000.jpg").read_bytes()
    for share in (0.3, 0.7, 0.99):
        ref = MediaRef(kind="image", data=whole[: int(len(whole) * share)])
        assert read_image_header(ref).size == (640, 480)
        with pytest.raises(MediaError) as caught:
            open_image(ref)
        assert caught.value.reason == "truncated"


def test_one_flipped_bit_in_a_png_is_found(data):
    whole = bytearray((data / "10_dot_line.png").read_bytes())
    whole[len(whole) // 2] ^= 1
    with pytest.raises(MediaError) as caught:
        open_image(MediaRef(kind="image", data=bytes(whole)))
    assert caught.value.reason == "corrupt"


def huge_png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("size", [(10_000, 9_000), (30_000, 30_000), (2_000_000_000, 3)])
def test_a_bomb_is_refused_from_its_header(size):
    ref = MediaRef(kind="image", data=huge_png(*size))
    for read in (read_image_header, open_image):
        with pytest.raises(MediaError) as caught:
            read(ref)
        assert caught.value.reason == "too_large"


def test_what_is_no_picture_is_said(tmp_path):
    text = tmp_path / "a.png"
    text.write_text("not a picture at all")
    folder = tmp_path / "folder.png"
    folder.mkdir()
    link = tmp_path / "link.png"
    link.symlink_to(tmp_path / "nowhere.png")
    empty = tmp_path / "empty.png"
    empty.touch()
    for path, reason in (
        (text, "not_an_image"),
        (folder, "not_a_file"),
        (link, "missing"),
        (tmp_path / "none.png", "missing"),
        (empty, "empty"),
    ):
        with pytest.raises(MediaError, match=path.name) as caught:
            open_image(MediaRef(kind="image", path=path))
        assert caught.value.reason == reason


def test_resize_image_is_pillows_bicubic(picture):
    image = open_image(picture("BloodImage_00000.jpg"))
    small = resize_image(image, (84, 56))
    assert small.size == (84, 56)
    assert np.array_equal(np.asarray(small), np.asarray(image.resize((84, 56), Image.BICUBIC)))
    assert resize_image(image, image.size) is image


@pytest.mark.parametrize(
    ("size", "side", "wanted"),
    [((1600, 800), 512, (512, 256)), ((40, 30), 512, (40, 30)), ((9000, 3), 100, (100, 1))],
)
def test_a_picture_is_shrunk_in_its_proportion(
    size: tuple[int, int], side: int, wanted: tuple[int, int]
) -> None:
    image = Image.new("RGB", size)
    assert shrunk(image, side).size == wanted == inside(size, side)
    assert image.size == size
