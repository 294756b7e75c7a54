"""Generates small images of every supported kind, and their pixels decoded by Pillow (libjpeg-turbo).

    apt-get install libjpeg-turbo-progs        # cjpeg 2.1.5
    pip install numpy pillow==13.0.0
    python3 images.py

Writes NAME.jpg, .png, .webp, .bmp or .pnm and the pixels as NAME.ppm next to this script. Files that
must be rejected have no NAME.ppm. All images show the same drawing.
"""

import io
import pathlib
import struct
import subprocess
import tempfile
import zlib

import numpy as np
from PIL import Image

HERE = pathlib.Path(__file__).parent
WIDTH, HEIGHT = 35, 21

# Scripts for `cjpeg -scans`.
SCANS = {
    "each": "0;\n1;\n2;\n",
    "luma": "0;\n1 2;\n",
    "pair": "0 1;\n2;\n",
    "backwards": "2;\n1;\n0;\n",
    "slow": "0: 0-0,0,1;\n1: 0-0,0,1;\n2: 0-0,0,1;\n0: 1-5,0,2;\n2: 1-63,0,1;\n1: 1-63,0,1;\n"
    "0: 6-63,0,2;\n0: 1-63,2,1;\n0: 0-0,1,0;\n1: 0-0,1,0;\n2: 0-0,1,0;\n2: 1-63,1,0;\n1: 1-63,1,0;\n"
    "0: 1-63,1,0;\n",
}


def drawing():
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(float)
    planes = [127 + 120 * np.sin(x / 7), 127 + 120 * np.sin(y / 5 + x / 11), 127 + 120 * np.cos((x + y) / 9)]
    image = np.stack(planes, -1)
    image[7:11, 9:20] = [230, 20, 30]
    return image.clip(0, 255).astype(np.uint8)


COLOUR = drawing()
GREY = COLOUR[..., 0]


def keep(name, data, expected=True):
    """Writes a file, and next to it the pixels decoded by Pillow (or the given pixels)."""
    (HERE / name).write_bytes(data)
    if expected is False:
        return
    if expected is True:
        expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    height, width = expected.shape[:2]
    ppm = b"P6 %d %d 255\n" % (width, height) + np.ascontiguousarray(expected, np.uint8).tobytes()
    (HERE / f"{name}.ppm").write_bytes(ppm)


def cjpeg(image, *flags, scans=None):
    kind = b"P5" if image.ndim == 2 else b"P6"
    ppm = kind + b" %d %d 255\n" % image.shape[1::-1] + image.tobytes()
    with tempfile.NamedTemporaryFile("w") as script:
        if scans:
            script.write(SCANS[scans])
            script.flush()
            flags = (*flags, "-scans", script.name)
        return subprocess.run(["cjpeg", "-quality", "90", *flags], input=ppm, capture_output=True, check=True).stdout


def without(data, *markers):
    """A JPEG without the segments of these markers."""
    out, at = data[:2], 2
    while data[at + 1] != 0xDA:
        length = 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]
        if data[at + 1] not in markers:
            out += data[at : at + length]
        at += length
    return out + data[at:]


def jpegs():
    samplings = {
        "1x1": "1x1,1x1,1x1",
        "2x1": "2x1,1x1,1x1",
        "1x2": "1x2,1x1,1x1",
        "2x2": "2x2,1x1,1x1",
        "4x1": "4x1,1x1,1x1",
        "1x4": "1x4,1x1,1x1",
        "4x2": "4x2,1x1,1x1",
        "mixed": "2x2,2x1,1x2",
        "chroma": "1x1,2x2,1x1",
    }
    for name, sampling in samplings.items():
        keep(f"baseline_{name}.jpg", cjpeg(COLOUR, "-sample", sampling))
        keep(f"each_{name}.jpg", cjpeg(COLOUR, "-sample", sampling, scans="each"))
    for name in ("1x1", "2x2", "1x2", "chroma"):
        keep(f"progressive_{name}.jpg", cjpeg(COLOUR, "-progressive", "-sample", samplings[name]))
    for scans in ("luma", "pair", "backwards", "slow"):
        keep(f"{scans}_2x2.jpg", cjpeg(COLOUR, "-sample", "2x2", scans=scans))
    keep("restarts_2x2.jpg", cjpeg(COLOUR, "-sample", "2x2", "-restart", "2B"))
    keep("restarts_each_2x2.jpg", cjpeg(COLOUR, "-sample", "2x2", "-restart", "2B", scans="each"))
    keep("restarts_progressive_2x1.jpg", cjpeg(COLOUR, "-progressive", "-sample", "2x1", "-restart", "1B"))
    keep("grey.jpg", cjpeg(GREY))
    keep("grey_2x2.jpg", cjpeg(GREY, "-sample", "2x2"))
    keep("grey_progressive.jpg", cjpeg(GREY, "-progressive"))
    keep("arithmetic.jpg", cjpeg(COLOUR, "-arithmetic"), expected=False)
    keep("middle_each.jpg", cjpeg(COLOUR, "-sample", "4x2,2x2,2x2", scans="each"), expected=False)
    # Red, green and blue, declared by the component names, by Adobe's segment, or not at all.
    rgb = cjpeg(COLOUR, "-rgb")
    keep("rgb_names.jpg", without(rgb, 0xEE, 0xE0))
    plain = cjpeg(COLOUR, "-sample", "1x1")
    adobe = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00"
    for transform in (0, 1):
        segment = adobe + bytes([transform])
        keep(f"adobe_{transform}.jpg", plain[:2] + segment + without(plain, 0xE0)[2:])
        keep(f"jfif_adobe_{transform}.jpg", plain[:20] + segment + plain[20:])
    keep("no_marker.jpg", without(plain, 0xE0))
    # Four inks, with Adobe's segment for CMYK and for YCCK, and without one.
    inks = np.concatenate([COLOUR, GREY[::-1, :, None] // 2], -1)
    file = io.BytesIO()
    Image.fromarray(inks, "CMYK").save(file, "JPEG", quality=90, subsampling=0)
    data = file.getvalue()
    keep("cmyk.jpg", data)
    keep("cmyk_no_marker.jpg", without(data, 0xEE))
    place = data.index(b"Adobe") + 11
    keep("ycck.jpg", data[:place] + b"\x02" + data[place + 1 :])
    for turn in range(2, 9):
        exif = Image.Exif()
        exif[0x0112] = turn
        file = io.BytesIO()
        Image.fromarray(COLOUR).save(file, "JPEG", quality=90, subsampling=0, exif=exif)
        upright = Image.open(io.BytesIO(file.getvalue()))
        methods = {
            2: Image.Transpose.FLIP_LEFT_RIGHT,
            3: Image.Transpose.ROTATE_180,
            4: Image.Transpose.FLIP_TOP_BOTTOM,
            5: Image.Transpose.TRANSPOSE,
            6: Image.Transpose.ROTATE_270,
            7: Image.Transpose.TRANSVERSE,
            8: Image.Transpose.ROTATE_90,
        }
        keep(f"turned_{turn}.jpg", file.getvalue(), np.asarray(upright.transpose(methods[turn])))


def png(name, depth, kind, rows, chunks=(), expected=True, interlaced=0):
    """A PNG from rows of bytes, without filters."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    data = b"\x89PNG\r\n\x1a\n"
    data += chunk(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, depth, kind, 0, 0, interlaced))
    for extra, content in chunks:
        data += chunk(extra, content)
    data += chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows))) + chunk(b"IEND", b"")
    keep(name, data, expected)


def on_white(colour, alpha):
    alpha = alpha.astype(int)[..., None]
    return (colour.astype(int) * alpha + 255 * (255 - alpha) + 127) // 255


def packed(values, bits):
    """Rows of values of a few bits."""
    rows = []
    for row in values:
        text = "".join(format(int(value), f"0{bits}b") for value in row)
        rows.append(int(text.ljust(-(-len(text) // 8) * 8, "0"), 2).to_bytes(-(-len(text) // 8), "big"))
    return rows


def pngs():
    repeated = np.repeat(GREY[..., None], 3, -1)
    png("grey_16.png", 16, 0, [(row.astype(">u2") * 257).tobytes() for row in GREY], expected=repeated)
    png("colour_16.png", 16, 2, [(row.astype(">u2") * 257).tobytes() for row in COLOUR], expected=COLOUR)
    for bits in (1, 2, 4):
        values = GREY >> (8 - bits)
        shown = np.repeat((values.astype(int) * 255 // (2**bits - 1))[..., None], 3, -1)
        png(f"grey_{bits}.png", bits, 0, packed(values, bits), expected=shown)
    palette = np.array([[i * 16, 255 - i * 9, (i * 37) % 256] for i in range(16)], np.uint8)
    values = GREY >> 4
    png("palette_4.png", 4, 3, packed(values, 4), [(b"PLTE", palette.tobytes())], palette[values])
    opacity = np.array([255 - 17 * i for i in range(16)], np.uint8)
    chunks = [(b"PLTE", palette.tobytes()), (b"tRNS", opacity.tobytes())]
    shown = on_white(palette[values], opacity[values])
    png("palette_transparent.png", 8, 3, [row.tobytes() for row in values], chunks, shown)
    key = COLOUR[0, 0]
    mask = np.where((COLOUR == key).all(-1), 0, 255)
    key = struct.pack(">HHH", *map(int, key))
    png("key.png", 8, 2, [row.tobytes() for row in COLOUR], [(b"tRNS", key)], on_white(COLOUR, mask))
    gamma = [(b"gAMA", struct.pack(">I", 100000))]
    png("gamma.png", 8, 2, [row.tobytes() for row in COLOUR], gamma, COLOUR)
    # Adam7: seven small images.
    rows = []
    for x, y, dx, dy in ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)):
        rows += [row.tobytes() for row in COLOUR[y::dy, x::dx]]
    png("interlaced.png", 8, 2, rows, expected=COLOUR, interlaced=1)


def webps():
    image = Image.fromarray(COLOUR)
    alpha = np.linspace(0, 255, WIDTH * HEIGHT).reshape(HEIGHT, WIDTH).astype(np.uint8)
    clear = Image.fromarray(np.dstack([COLOUR, alpha]))

    def save(image, **options):
        file = io.BytesIO()
        image.save(file, "WEBP", **options)
        return file.getvalue()

    keep("lossless.webp", save(image, lossless=True))
    keep("lossy.webp", save(image, quality=90))
    keep("alpha.webp", save(clear, lossless=True, exact=True), on_white(COLOUR, alpha))
    flipped = Image.fromarray(COLOUR[::-1])
    keep("animated.webp", save(image, lossless=True, save_all=True, append_images=[flipped], duration=100))


def bmp(name, bits, rows, compression=0, palette=b"", masks=b"", top_down=False, header=40, expected=True):
    data = b"".join(rows)
    offset = 14 + header + len(masks) * (header == 40) + len(palette)
    height = -HEIGHT if top_down else HEIGHT
    info = struct.pack("<IiiHHIIiiII", header, WIDTH, height, 1, bits, compression, len(data), 2835, 2835, len(palette) // 4, 0)
    info += masks
    if header > 40:
        info += b"BGRs" + bytes(header - len(info) - 4)
    keep(name, struct.pack("<2sIHHI", b"BM", offset + len(data), 0, 0, offset) + info + palette + data, expected)


def padded(rows):
    return [row + bytes(-len(row) % 4) for row in rows]


def bmps():
    upward, values = COLOUR[::-1], GREY[::-1] >> 4
    bgr = [row[:, ::-1].tobytes() for row in upward]
    palette = b"".join(bytes([i * 16, 255 - i * 9, (i * 37) % 256, 0]) for i in range(16))
    bmp("colour.bmp", 24, padded(bgr))
    bmp("top_down.bmp", 24, padded(bgr[::-1]), top_down=True)
    quads = [np.dstack([row[None, :, ::-1], np.zeros((1, WIDTH), np.uint8)]).tobytes() for row in upward]
    bmp("quads.bmp", 32, quads)
    bmp("palette_8.bmp", 8, padded([row.tobytes() for row in values]), palette=palette)
    bmp("palette_4.bmp", 4, padded(packed(values, 4)), palette=palette)
    bmp("palette_1.bmp", 1, padded(packed(values >> 3, 1)), palette=palette[:8])
    wide = upward.astype("<u2")
    five = (wide[..., 0] >> 3 << 10) | (wide[..., 1] >> 3 << 5) | wide[..., 2] >> 3
    bmp("sixteen.bmp", 16, padded([row.tobytes() for row in five]))
    six = (wide[..., 0] >> 3 << 11) | (wide[..., 1] >> 2 << 5) | wide[..., 2] >> 3
    masks = struct.pack("<III", 0xF800, 0x7E0, 0x1F)
    bmp("sixteen_masks.bmp", 16, padded([row.tobytes() for row in six]), 3, masks=masks)
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0)
    bmp("fifth.bmp", 32, quads, 3, masks=masks, header=124)
    runs = [b"".join(bytes([1, int(value)]) for value in row) + b"\0\0" for row in values]
    # Run-length encoded as far as possible, except for the first line.
    runs[0] = bytes([0, WIDTH]) + values[0].tobytes() + bytes(WIDTH % 2) + b"\0\0"
    bmp("runs.bmp", 8, runs + [b"\0\1"], 1, palette=palette)


def pnms():
    grey, colour = GREY.astype(int), COLOUR.astype(int)

    def text(values):
        return "\n".join(" ".join(map(str, row)) for row in values.reshape(HEIGHT, -1)).encode() + b"\n"

    head = b"# a comment\n%d %d\n" % (WIDTH, HEIGHT)
    repeated = np.repeat(GREY[..., None], 3, -1)
    bits = (GREY > 127).astype(int)
    black = np.repeat(((1 - bits) * 255)[..., None], 3, -1)
    keep("text_1.pnm", b"P1\n" + head + text(bits), black)
    keep("text_2.pnm", b"P2\n" + head + b"255\n" + text(grey), repeated)
    keep("text_3.pnm", b"P3\n" + head + b"255\n" + text(colour), COLOUR)
    keep("bits.pnm", b"P4\n" + head + b"".join(packed(bits, 1)), black)
    keep("grey_16.pnm", b"P5\n" + head + b"65535\n" + (grey * 257).astype(">u2").tobytes(), repeated)
    keep("colour_16.pnm", b"P6\n" + head + b"65535\n" + (colour * 257).astype(">u2").tobytes(), COLOUR)
    keep("few.pnm", b"P5\n" + head + b"15\n" + (GREY >> 4).tobytes(), repeated // 16 * 17)


for old in HERE.iterdir():
    if old.suffix != ".py":
        old.unlink()
jpegs()
pngs()
webps()
bmps()
pnms()
