from __future__ import annotations

import hashlib
import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageOps

from steelquant.errors import FileError
from steelquant.micrograph.exclusion import Exclusion
from steelquant.micrograph.reading import page_count, read_micrograph

Array = NDArray[Any]


def as_rgb(grey: Array) -> Array:
    return np.repeat(grey[..., None], 3, axis=2)


def tiff(path: Path, samples: Array, **options: Any) -> Path:
    options.setdefault(
        "photometric", "rgb" if samples.ndim == 3 and samples.shape[-1] in (3, 4) else "minisblack"
    )
    tifffile.imwrite(path, samples, **options)
    return path


LOSSLESS = {
    "plain": {},
    "strips": {"rowsperstrip": 7},
    "big": {"bigtiff": True},
    "big endian": {"byteorder": ">"},
    "tiles": {"tile": (32, 48)},
    "lzw": {"compression": "lzw"},
    "lzw with predictor": {"compression": "lzw", "predictor": True},
    "deflate": {"compression": "zlib", "rowsperstrip": 9},
    "packbits": {"compression": "packbits"},
    "zstd": {"compression": "zstd"},
    "lzma": {"compression": "lzma"},
    "deflate tiles": {"compression": "zlib", "tile": (16, 16), "predictor": True},
    "ome": {"ome": True},
}


@pytest.mark.parametrize("options", LOSSLESS.values(), ids=LOSSLESS.keys())
def test_lossless_tiffs_give_the_pixels_that_went_in(
    tmp_path: Path, rgb: Array, grey: Array, options: dict[str, Any]
) -> None:
    field = read_micrograph(tiff(tmp_path / "colour.tif", rgb, **options))
    np.testing.assert_array_equal(field.pixels, rgb)
    assert field.pixels.dtype == np.uint8
    assert field.warnings == ()
    assert field.excluded is None
    field = read_micrograph(tiff(tmp_path / "grey.tif", grey, **options))
    np.testing.assert_array_equal(field.pixels, as_rgb(grey))


@pytest.mark.parametrize("options", [{}, {"tile": (32, 32)}, {"photometric": "ycbcr", "subsampling": (2, 2)}])
def test_jpeg_in_tiff_as_libtiff_reads_it(tmp_path: Path, rgb: Array, options: dict[str, Any]) -> None:
    path = tiff(tmp_path / "a.tif", rgb, compression="jpeg", compressionargs={"level": 95}, **options)
    with Image.open(path) as image:
        expected = np.asarray(image.convert("RGB")).astype(int)
    assert np.abs(read_micrograph(path).pixels - expected).max() <= 3


def test_the_hash_is_that_of_the_file(tmp_path: Path, rgb: Array) -> None:
    path = tiff(tmp_path / "a.tif", rgb)
    assert read_micrograph(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_planar_samples(tmp_path: Path, rgb: Array) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, np.moveaxis(rgb, -1, 0), photometric="rgb", planarconfig="separate", rowsperstrip=5
    )
    np.testing.assert_array_equal(read_micrograph(path).pixels, rgb)


def test_white_is_zero(tmp_path: Path, grey: Array) -> None:
    path = tiff(tmp_path / "a.tif", grey, photometric="miniswhite")
    np.testing.assert_array_equal(read_micrograph(path).pixels, as_rgb(255 - grey))


def test_palette_tiff(tmp_path: Path, grey: Array) -> None:
    colormap = np.random.default_rng(2).integers(0, 256, (3, 256)).astype(np.uint16) * 257
    path = tiff(tmp_path / "a.tif", grey, photometric="palette", colormap=colormap)
    np.testing.assert_array_equal(read_micrograph(path).pixels, (colormap // 257).T[grey])


def test_cmyk_tiff_as_pillow_converts_it(tmp_path: Path, rgb: Array) -> None:
    cmyk = Image.fromarray(rgb).convert("CMYK")
    cmyk.save(tmp_path / "a.tif")
    field = read_micrograph(tmp_path / "a.tif")
    assert np.abs(field.pixels.astype(int) - np.asarray(cmyk.convert("RGB"))).max() <= 1
    assert any("CMYK" in warning for warning in field.warnings)


def test_ycbcr_without_subsampling_as_pillow_converts_it(tmp_path: Path, rgb: Array) -> None:
    ycbcr = Image.fromarray(rgb).convert("YCbCr")
    path = tiff(
        tmp_path / "a.tif", np.asarray(ycbcr), photometric="ycbcr", subsampling=(1, 1), compression="lzw"
    )
    field = read_micrograph(path)
    assert np.abs(field.pixels.astype(int) - np.asarray(ycbcr.convert("RGB"))).max() <= 2


@pytest.mark.parametrize("photometric", ["cielab", "linear_raw"])
def test_colour_spaces_that_are_not_read_are_named(tmp_path: Path, rgb: Array, photometric: str) -> None:
    with pytest.raises(FileError, match=f"(?i){photometric}.*save it as RGB"):
        read_micrograph(tiff(tmp_path / "a.tif", rgb, photometric=photometric))


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_cameras_of_all_depths_are_scaled_linearly_over_their_own_range(tmp_path: Path, bits: int) -> None:
    top = 2**bits - 1
    ramp = np.linspace(0, top, 60 * 80).astype(np.uint16).reshape(60, 80)
    field = read_micrograph(tiff(tmp_path / "a.tif", ramp))
    np.testing.assert_array_equal(field.pixels[..., 0], np.rint(ramp * (255 / top)).astype(np.uint8))
    assert any(f"as {bits}-bit data" in warning and f"of {top}" in warning for warning in field.warnings)


def test_contrast_is_not_stretched(tmp_path: Path) -> None:
    samples = np.full((20, 30), 30000, np.uint16)
    samples[:10] = 33000
    levels = np.unique(read_micrograph(tiff(tmp_path / "a.tif", samples)).pixels)
    np.testing.assert_array_equal(levels, np.rint(np.array([30000, 33000]) / 257))


def test_packed_12_bit_keeps_its_declared_range(tmp_path: Path) -> None:
    samples = np.linspace(0, 900, 64 * 64).astype(np.uint16).reshape(64, 64)
    path = tmp_path / "a.tif"
    path.write_bytes(packed_12_bit_tiff(samples))
    field = read_micrograph(path)
    np.testing.assert_array_equal(field.pixels[..., 0], np.rint(samples * (255 / 4095)).astype(np.uint8))


def packed_12_bit_tiff(samples: Array) -> bytes:
    """Write the tags by hand: two pixels in three bytes, most significant bits first."""
    pairs = samples.reshape(-1, 2).astype(np.uint32)
    joined = (pairs[:, 0] << 12) | pairs[:, 1]
    data = np.stack([joined >> 16, joined >> 8 & 255, joined & 255], axis=1).astype(np.uint8).tobytes()
    height, width = samples.shape
    entries = [(256, 3, width), (257, 3, height), (258, 3, 12), (259, 3, 1), (262, 3, 1), (273, 4, 200)]
    entries += [(277, 3, 1), (278, 3, height), (279, 4, len(data))]
    header = struct.pack("<2sHIH", b"II", 42, 8, len(entries))
    for code, kind, value in entries:
        header += struct.pack("<HHII", code, kind, 1, value)
    return (header + bytes(4)).ljust(200, b"\0") + data


def test_a_picture_that_will_look_black_is_remarked(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).integers(100, 900, (100, 100)).astype(np.uint16)
    samples[:3, :3] = 65535  # a burnt-in scale bar
    field = read_micrograph(tiff(tmp_path / "a.tif", samples))
    assert any("darkest sixteenth" in warning for warning in field.warnings)


@pytest.mark.parametrize(
    ("top", "dtype"), [(1.0, "f4"), (255.0, "f4"), (4095.0, "f8"), (65535.0, "f4"), (1.0, "f2")]
)
def test_floating_point_ranges(tmp_path: Path, top: float, dtype: str) -> None:
    samples = (np.linspace(0, 1, 40 * 50) * top).astype(dtype).reshape(40, 50)
    field = read_micrograph(tiff(tmp_path / "a.tif", samples))
    expected = samples.astype(float) * 255 / top
    assert np.abs(field.pixels[..., 0] - expected).max() <= 0.51
    assert any("floating point" in warning for warning in field.warnings)


@pytest.mark.parametrize(
    ("value", "dtype", "words"),
    [
        (np.nan, "f4", "not a number"),
        (np.inf, "f4", "not a number or infinite"),
        (-0.5, "f4", "negative"),
        (-3, "i2", "negative"),
        (-3, "i1", "negative"),
        (1e9, "f4", "more than 16 bits"),
        (70000, "u4", "more than 16 bits"),
    ],
)
def test_samples_that_are_no_intensities_are_refused(
    tmp_path: Path, value: float, dtype: str, words: str
) -> None:
    samples = np.ones((20, 30), dtype)
    samples[3, 4] = value
    with pytest.raises(FileError, match=words):
        read_micrograph(tiff(tmp_path / "a.tif", samples))


@pytest.mark.parametrize("dtype", ["i2", "u4", "i4", "u8"])
def test_wider_integers_with_small_values_are_read(tmp_path: Path, grey: Array, dtype: str) -> None:
    field = read_micrograph(tiff(tmp_path / "a.tif", grey.astype(dtype)))
    np.testing.assert_array_equal(field.pixels, as_rgb(grey))


def test_two_levels_are_spread_and_remarked(tmp_path: Path, grey: Array) -> None:
    field = read_micrograph(tiff(tmp_path / "a.tif", grey > 120))
    np.testing.assert_array_equal(field.pixels[..., 0], np.where(grey > 120, 255, 0))
    assert any("two grey levels" in warning for warning in field.warnings)


def test_transparent_pixels_are_excluded_and_opaque_alpha_means_nothing(tmp_path: Path, rgb: Array) -> None:
    alpha = np.full((*rgb.shape[:2], 1), 255, np.uint8)
    path = tiff(tmp_path / "a.tif", np.concatenate([rgb, alpha], 2), extrasamples=["unassalpha"])
    field = read_micrograph(path)
    np.testing.assert_array_equal(field.pixels, rgb)
    assert field.excluded is None
    alpha[:, :20] = 0
    for ending in ("tif", "png"):
        path = tmp_path / f"b.{ending}"
        Image.fromarray(np.concatenate([rgb, alpha], 2)).save(path)
        field = read_micrograph(path, exclusion=Exclusion(crop_bottom_px=5))
        assert field.excluded is not None
        expected = np.zeros(rgb.shape[:2], bool)
        expected[:, :20] = True
        expected[-5:] = True
        np.testing.assert_array_equal(field.excluded, expected)
        assert any("transparent" in warning for warning in field.warnings)


def test_a_wholly_transparent_alpha_is_a_writers_mistake(tmp_path: Path, rgb: Array) -> None:
    Image.fromarray(np.concatenate([rgb, np.zeros_like(rgb[..., :1])], 2)).save(tmp_path / "a.png")
    field = read_micrograph(tmp_path / "a.png")
    assert field.excluded is None
    assert any("alpha channel is ignored" in warning for warning in field.warnings)


def test_every_full_size_page_is_a_field(tmp_path: Path, grey: Array) -> None:
    stack = np.stack([grey, grey[::-1], grey[:, ::-1]])
    path = tiff(tmp_path / "a.tif", stack)
    assert page_count(path) == 3
    for page in range(3):
        field = read_micrograph(path, page=page)
        np.testing.assert_array_equal(field.pixels[..., 0], stack[page])
        assert field.page == page
    for page in (3, -1):
        with pytest.raises(FileError, match="has no page"):
            read_micrograph(path, page=page)


def test_thumbnails_and_pyramid_levels_are_no_fields(tmp_path: Path, rgb: Array) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(rgb[:15, :20], photometric="rgb", subfiletype=1)
        writer.write(rgb, photometric="rgb", subifds=1)
        writer.write(rgb[::2, ::2], photometric="rgb", subfiletype=1)
        writer.write(rgb[::2, ::2], photometric="rgb")  # not flagged, as by many slide scanners
        writer.write(rgb[::4, ::4], photometric="rgb")
        writer.write(rgb[::-1], photometric="rgb")
    assert page_count(path) == 2
    np.testing.assert_array_equal(read_micrograph(path, page=0).pixels, rgb)
    np.testing.assert_array_equal(read_micrograph(path, page=1).pixels, rgb[::-1])


def test_channels_in_pages_are_one_field(tmp_path: Path, rgb: Array) -> None:
    planes = np.moveaxis(rgb, -1, 0)
    tifffile.imwrite(tmp_path / "ij.tif", planes, imagej=True, metadata={"axes": "CYX", "mode": "composite"})
    tifffile.imwrite(
        tmp_path / "ome.tif", planes, ome=True, photometric="minisblack", metadata={"axes": "CYX"}
    )
    tifffile.imwrite(tmp_path / "two.tif", planes[:2], imagej=True, metadata={"axes": "CYX"})
    for name in ("ij.tif", "ome.tif"):
        assert page_count(tmp_path / name) == 1
        field = read_micrograph(tmp_path / name)
        np.testing.assert_array_equal(field.pixels, rgb)
        assert any("red, green and blue" in warning for warning in field.warnings)
    with pytest.raises(FileError, match="2 channels"):
        read_micrograph(tmp_path / "two.tif")


def test_imagej_stacks_of_fields(tmp_path: Path, grey: Array) -> None:
    stack = np.stack([grey, grey[::-1]])
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=True, metadata={"axes": "ZYX"})
    assert page_count(tmp_path / "a.tif") == 2
    np.testing.assert_array_equal(read_micrograph(tmp_path / "a.tif", page=1).pixels[..., 0], grey[::-1])


def test_a_stack_behind_one_page_is_not_read_as_one_field(tmp_path: Path, grey: Array) -> None:
    description = "ImageJ=1.54f\nimages=50\nslices=50\n"
    with pytest.raises(FileError, match="ImageJ stack of 50"):
        page_count(tiff(tmp_path / "a.tif", grey, description=description, metadata=None))


@pytest.mark.parametrize("ending", ["png", "bmp", "jpg"])
def test_the_content_counts_and_not_the_ending(tmp_path: Path, rgb: Array, ending: str) -> None:
    Image.fromarray(rgb).save(tmp_path / f"a.{ending}", quality=95)
    path = (tmp_path / f"a.{ending}").rename(tmp_path / "a.tif")
    with Image.open(path) as image:
        expected = np.asarray(image)
    np.testing.assert_array_equal(read_micrograph(path).pixels, expected)
    assert page_count(path) == 1
    with pytest.raises(FileError, match="no page 2"):
        read_micrograph(path, page=1)


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "1", "LA", "RGBA", "I;16"])
def test_png_of_every_mode_as_pillow_reads_it(tmp_path: Path, rgb: Array, mode: str) -> None:
    if mode == "I;16":
        Image.fromarray(rgb[..., 0].astype(np.uint16) * 257).save(tmp_path / "a.png")
        expected = as_rgb(rgb[..., 0])
    else:
        Image.fromarray(rgb).convert(mode).save(tmp_path / "a.png")
        with Image.open(tmp_path / "a.png") as image:
            expected = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(read_micrograph(tmp_path / "a.png").pixels, expected)


def png_bytes(bits: int, colour_type: int, rows: Array, extra: bytes = b"") -> bytes:
    """Write a PNG by hand: rows are (height, bytes per row)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour_type]
    width = rows.shape[1] * 8 // (bits * samples)
    header = struct.pack(">IIBBBBB", width, rows.shape[0], bits, colour_type, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows.astype(np.uint8)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def test_png_colour_of_16_bits_keeps_its_12_bit_range(tmp_path: Path, rgb: Array) -> None:
    samples = rgb.astype(np.uint16) * 16
    samples[0, 0] = 4095
    rows = samples.astype(">u2").view(np.uint8).reshape(samples.shape[0], -1)
    (tmp_path / "a.png").write_bytes(png_bytes(16, 2, rows))
    field = read_micrograph(tmp_path / "a.png")
    np.testing.assert_array_equal(field.pixels, np.rint(samples * (255 / 4095)).astype(np.uint8))
    assert any("as 12-bit data" in warning for warning in field.warnings)


@pytest.mark.parametrize("bits", [2, 4])
def test_png_greys_of_few_bits_are_spread(tmp_path: Path, bits: int) -> None:
    rows = np.random.default_rng(0).integers(0, 256, (9, 6))
    (tmp_path / "a.png").write_bytes(png_bytes(bits, 0, rows))
    with Image.open(tmp_path / "a.png") as image:
        expected = np.asarray(image.convert("L"))
    np.testing.assert_array_equal(read_micrograph(tmp_path / "a.png").pixels[..., 0], expected)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientations_are_applied_as_pillow_does(tmp_path: Path, rgb: Array, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    for ending in ("jpg", "png"):
        Image.fromarray(rgb).save(tmp_path / f"a.{ending}", exif=exif)
        with Image.open(tmp_path / f"a.{ending}") as image:
            expected = np.asarray(ImageOps.exif_transpose(image))
        field = read_micrograph(tmp_path / f"a.{ending}")
        np.testing.assert_array_equal(field.pixels, expected)
        assert bool(field.warnings) == (orientation != 1)
    path = tiff(tmp_path / "a.tif", rgb, extratags=[(274, "H", 1, orientation, True)])
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(read_micrograph(path).pixels, expected)


def test_jpeg_in_cmyk_as_pillow_converts_it(tmp_path: Path, rgb: Array) -> None:
    Image.fromarray(rgb).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    with Image.open(tmp_path / "a.jpg") as image:
        expected = np.asarray(image.convert("RGB"))
    field = read_micrograph(tmp_path / "a.jpg")
    assert np.abs(field.pixels.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_bmp_of_every_mode_as_pillow_reads_it(tmp_path: Path, rgb: Array, mode: str) -> None:
    Image.fromarray(rgb).convert(mode).save(tmp_path / "a.bmp")
    with Image.open(tmp_path / "a.bmp") as image:
        expected = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(read_micrograph(tmp_path / "a.bmp").pixels, expected)


@pytest.mark.parametrize("shape", [(1, 1), (1, 100_000), (100_000, 1)])
def test_extreme_shapes(tmp_path: Path, shape: tuple[int, int]) -> None:
    samples = np.full(shape, 7, np.uint8)
    tiff(tmp_path / "a.tif", samples)
    Image.fromarray(samples).save(tmp_path / "a.png")
    for name in ("a.tif", "a.png"):
        assert read_micrograph(tmp_path / name).pixels.shape == (*shape, 3)


def encodings(rgb: Array) -> dict[str, bytes]:
    files = {}
    for name, options in {
        **LOSSLESS,
        "jpeg": {"compression": "jpeg"},
        "j2k": {"compression": "jpeg2000"},
    }.items():
        stream = io.BytesIO()
        tifffile.imwrite(stream, rgb, photometric="rgb", **options)
        files[name] = stream.getvalue()
    for kind in ("PNG", "JPEG", "BMP"):
        stream = io.BytesIO()
        Image.fromarray(rgb).save(stream, kind)
        files[kind] = stream.getvalue()
    return files


def test_a_cut_off_file_is_an_error_and_not_a_half_picture(tmp_path: Path, rgb: Array) -> None:
    path = tmp_path / "a"
    for name, content in encodings(rgb).items():
        path.write_bytes(content)
        whole = read_micrograph(path).pixels
        for share in np.linspace(0.01, 0.995, 25):
            path.write_bytes(content[: int(len(content) * share)])
            try:
                got = read_micrograph(path).pixels
            except FileError:
                continue
            np.testing.assert_array_equal(got, whole, err_msg=f"{name} cut at {share:.0%}")


def test_a_compressed_copy_that_ends_in_zeros_is_an_error(tmp_path: Path, rgb: Array) -> None:
    path = tmp_path / "a"
    for name, content in encodings(rgb).items():
        if name in ("plain", "strips", "big", "big endian", "tiles", "ome", "zstd", "BMP"):
            continue  # no checksum and no end mark tells zeros from black there; see the next test
        for share in np.linspace(0.3, 0.98, 12):
            cut = int(len(content) * share)
            path.write_bytes(content[:cut] + bytes(len(content) - cut))
            with pytest.raises(FileError):  # noqa: PT012 - tells which one
                read_micrograph(path)
                pytest.fail(f"{name} zeroed from {share:.0%} was read")


def test_an_uncompressed_copy_that_ends_in_zeros_is_remarked(tmp_path: Path, rgb: Array) -> None:
    path = tiff(tmp_path / "a.tif", rgb)
    content = path.read_bytes()
    path.write_bytes(content[:-5000] + bytes(5000))
    (warning,) = read_micrograph(path).warnings
    assert "20 lowest rows are one colour" in warning


def test_a_jpeg_that_was_closed_in_the_middle_is_remarked(tmp_path: Path, rgb: Array) -> None:
    stream = io.BytesIO()
    Image.fromarray(np.tile(rgb, (4, 4, 1))).save(stream, "JPEG")
    content = stream.getvalue()
    (tmp_path / "a.jpg").write_bytes(content)
    assert read_micrograph(tmp_path / "a.jpg").warnings == ()
    (tmp_path / "a.jpg").write_bytes(content[: len(content) // 2] + b"\xff\xd9")
    (warning,) = read_micrograph(tmp_path / "a.jpg").warnings
    assert "lowest rows are one colour" in warning


def test_a_picture_of_one_colour_is_remarked(tmp_path: Path) -> None:
    field = read_micrograph(tiff(tmp_path / "a.tif", np.full((30, 40), 128, np.uint8)))
    assert field.warnings == ("is one colour everywhere",)


def test_a_broken_exif_block_does_not_matter(tmp_path: Path, rgb: Array) -> None:
    for ending in ("jpg", "png"):
        path = tmp_path / f"a.{ending}"
        Image.fromarray(rgb).save(path, exif=b"Exif\0\0no TIFF header at all")
        with Image.open(path) as image:
            expected = np.asarray(image.convert("RGB"))
        np.testing.assert_array_equal(read_micrograph(path).pixels, expected)


def test_a_png_with_a_wrong_checksum_is_damaged(tmp_path: Path, grey: Array) -> None:
    Image.fromarray(grey).save(tmp_path / "a.png")
    content = bytearray((tmp_path / "a.png").read_bytes())
    content[content.index(b"IDAT") + 200] ^= 1
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(FileError, match="checksum"):
        read_micrograph(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"hello", "no TIFF, PNG, JPEG or BMP"),
        (b"PK\x03\x04" + bytes(50), "ZIP or Office"),
        (b"ZISRAWFILE" + bytes(50), "CZI.*export it as TIFF"),
        (b"<html>", "text"),
        (b"II*\0", "damaged"),
        (b"\x89PNG\r\n\x1a\n", "cut off"),
        (b"\xff\xd8\xff", "damaged"),
        (b"BM", "damaged"),
    ],
)
def test_what_is_no_picture_is_told_in_one_line(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(FileError, match=words) as caught:
        read_micrograph(tmp_path / "a.tif")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "a.tif"))


def bomb_tiff(width: int, height: int, compression: int) -> bytes:
    entries = [
        (256, 4, width),
        (257, 4, height),
        (258, 3, 8),
        (259, 3, compression),
        (262, 3, 1),
        (273, 4, 200),
    ]
    entries += [(277, 3, 1), (278, 4, height), (279, 4, 1000)]
    header = struct.pack("<2sHIH", b"II", 42, 8, len(entries))
    for code, kind, value in entries:
        header += struct.pack("<HHII", code, kind, 1, value)
    return (header + bytes(4)).ljust(200, b"\0") + zlib.compress(bytes(100_000)).ljust(1000, b"\0")


@pytest.mark.parametrize(
    "content",
    [
        bomb_tiff(100_000, 100_000, 8),
        bomb_tiff(30_000, 30_000, 8),
        bomb_tiff(30_000, 30_000, 1),
        png_bytes(8, 0, np.zeros((1, 1))).replace(
            struct.pack(">II", 1, 1), struct.pack(">II", 60_000, 60_000)
        ),
    ],
    ids=["2 gigapixels", "expansion", "uncompressed", "png"],
)
def test_bombs_are_refused_by_their_declared_size(tmp_path: Path, content: bytes) -> None:
    at = content.find(b"IHDR")
    if at > 0:  # the checksum of the changed header
        body = content[at : at + 17]
        content = content[: at + 17] + struct.pack(">I", zlib.crc32(body)) + content[at + 21 :]
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(FileError, match=r"declares \d+x\d+ px|cut off"):
        read_micrograph(tmp_path / "a")


def test_a_jpeg_stream_larger_than_its_tile_is_refused(tmp_path: Path, rgb: Array) -> None:
    path = tiff(tmp_path / "a.tif", rgb, compression="jpeg")
    content = bytearray(path.read_bytes())
    at = content.index(b"\xff\xc0")
    content[at + 5 : at + 9] = struct.pack(">HH", 60_000, 60_000)
    path.write_bytes(content)
    with pytest.raises(FileError, match="60000x60000"):
        read_micrograph(path)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no such file"):
        read_micrograph(tmp_path / "a.tif")
    with pytest.raises(FileError, match="folder"):
        page_count(tmp_path)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions do not bind here")
def test_no_permission(tmp_path: Path, grey: Array) -> None:
    path = tiff(tmp_path / "a.tif", grey)
    path.chmod(0)
    with pytest.raises(FileError, match="no permission"):
        read_micrograph(path)


def test_an_exclusion_that_does_not_fit_this_field_names_it(tmp_path: Path, grey: Array) -> None:
    path = tiff(tmp_path / "a.tif", grey)
    with pytest.raises(FileError, match=r"a\.tif: .*leaves nothing"):
        read_micrograph(path, exclusion=Exclusion(crop_bottom_px=61))


DATA = Path(__file__).resolve().parents[3] / "shared/data"


@pytest.mark.skipif(not DATA.exists(), reason="the real micrographs are not here")
def test_real_micrographs_as_pillow_reads_them() -> None:
    paths = [*DATA.glob("lom_ferrite_pearlite/images/*"), *DATA.glob("sae_1020_1045/*.png")]
    paths += [*DATA.glob("line_pipe_hard/*.jpg"), *DATA.glob("grains_astm/*.tif")]
    assert paths
    for path in paths:
        field = read_micrograph(path)
        with Image.open(path) as image:
            expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
        np.testing.assert_array_equal(field.pixels, expected)
        assert field.calibration.pixel_size_um is None
