"""The pictures of photos in the README and the documentation, and that of ``captum-ssgc demo``.

    pip install scikit-image    # which brings three of the photos; matplotlib brings the fourth
    python tools/photo_pictures.py [--model onnx:FILE --labels coco] [--out docs]

Photos in the public domain only (docs/credits.rst), and pictures of these only: no photo and no
weights are stored. The shipped pictures were made with YOLOX-nano (Apache-2.0), an ONNX file; the
default is torchvision's Faster R-CNN, which is downloaded. The viewer's picture needs playwright,
and is left out without it.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

import captum_ssgc as ssgc
from captum_ssgc.cli import main as run_command
from captum_ssgc.cli.model_choice import DEFAULT_MODEL, ModelChoice
from captum_ssgc.cli.models import load_detector
from captum_ssgc.demo import CLASS_NAMES, detector, scene
from captum_ssgc.visualization import BOX_COLORS, comparison_grid, overlay, plain_style

# File, where it lies on the collage (x, y, width, height), and which part is kept where one has to
# be cut: 0 the top, 1 the bottom.
PHOTOS = {
    "grace_hopper": ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
    "chelsea": ("skimage", "data/chelsea.png"),
    "coffee": ("skimage", "data/coffee.png"),
    "astronaut": ("skimage", "data/astronaut.png"),
}
COLLAGE = {
    "grace_hopper": ((0, 0, 440, 500), 1.0),
    "chelsea": ((440, 0, 660, 500), 0.5),
    "coffee": ((0, 500, 660, 440), 0.3),
    "astronaut": ((660, 500, 440, 440), 0.1),
}
# By eye, x1, y1, x2, y2.
COFFEE = {"cup": (165.0, 17.0, 410.0, 306.0), "spoon": (325.0, 66.0, 425.0, 327.0)}
CROWD = ((6, 8, 13), (18, 29, 34))  # scenes of five objects or more, beside and below one another
METHODS = ("ssgrad-cam++", "ssgrad-cam", "odam", "grad-cam")
QUALITY, WIDTH = 84, 1600


def photo(name: str) -> Image.Image:
    package, path = PHOTOS[name]
    with (files(package) / path).open("rb") as file:
        return Image.open(file).convert("RGB")


def collage() -> Image.Image:
    """Four photos on one canvas: none of them alone has enough objects."""
    size = [max(place[0][at] + place[0][at + 2] for place in COLLAGE.values()) for at in (0, 1)]
    canvas = Image.new("RGB", (size[0], size[1]))
    for name, ((x, y, width, height), kept) in COLLAGE.items():
        whole = photo(name)
        scale = max(width / whole.width, height / whole.height)
        whole = whole.resize((round(whole.width * scale), round(whole.height * scale)))
        left, top = (whole.width - width) // 2, round((whole.height - height) * kept)
        canvas.paste(whole.crop((left, top, left + width, top + height)), (x, y))
    return canvas


def save(figure: Figure, path: Path, quality: int = QUALITY) -> None:
    """A JPEG of ``WIDTH`` pixels."""
    with tempfile.TemporaryDirectory() as folder:
        drawn = Path(folder) / "drawn.png"
        figure.savefig(drawn)
        as_jpeg(drawn, path, quality)


def as_jpeg(picture: Path, path: Path, quality: int = QUALITY) -> None:
    with Image.open(picture) as drawn:
        size = (WIDTH, round(drawn.height * WIDTH / drawn.width))
        small = drawn.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    small.save(path, quality=quality, optimize=True, progressive=True)
    print(f"{path} {path.stat().st_size / 1000:.0f} kB")


def demo(path: Path) -> None:
    """What the command shows."""
    with tempfile.TemporaryDirectory() as folder:
        run_command(["demo", "-o", folder])
        (overview,) = Path(folder).rglob("*_overview.png")
        as_jpeg(overview, path)


def crowd() -> Figure:
    """Many boxes at once: six scenes on one canvas, as no photo of these packages shows a crowd."""
    lines = [torch.cat([scene(seed).image for seed in line], 2) for line in CROWD]
    image = torch.cat(lines, 1)
    model = detector()
    model.transform.min_size, model.transform.max_size = (image.shape[1],), image.shape[2]
    found = ssgc.explain(model, image, score_threshold=0.6, label_names=CLASS_NAMES)
    return found.overview(title=None)


def missed(trained: ssgc.Detector) -> Figure:
    """The spoon that is not detected: its best candidate, and what speaks for and against it."""
    image = ssgc.load_image(photo("coffee"))
    boxes = torch.tensor(list(COFFEE.values()))
    cup, spoon = ssgc.diagnose(trained, image, boxes, list(COFFEE), method="ssgrad-cam++")[:2]
    print(spoon)
    if spoon.candidate is None or spoon.detection is not None:
        raise ValueError("the spoon is to be missed, by a detector that has a candidate for it.")
    candidate = spoon.candidate
    with plain_style():
        figure = Figure(figsize=(16, 4.2), layout="constrained")
        axes = figure.subplots(1, 3)
        axes[0].imshow(image[0].permute(1, 2, 0))
        axes[0].set_axis_off()
        for box, color in zip(boxes.tolist(), BOX_COLORS, strict=False):
            size = (box[2] - box[0], box[3] - box[1])
            axes[0].add_patch(Rectangle(box[:2], *size, fill=False, edgecolor=color, linewidth=2.5))
        for ax, question in zip(axes[1:], ("for", "against"), strict=True):
            heat, box = spoon.maps[question], candidate.boxes[0]
            overlay(image, heat, box, ax=ax, box_color=BOX_COLORS[1])
        titles = (
            f"cup found, {cup.score:.2f}; spoon missed: {spoon.mechanism}",
            f"best candidate, {float(candidate.scores[0]):.3f}: what speaks for a spoon",
            "and what speaks against it",
        )
        for ax, title in zip(axes, titles, strict=True):
            ax.set_title(title, loc="left", fontsize=12, fontweight="bold")
    return figure


def viewer(found: ssgc.Explanations[ssgc.Explanation], path: Path, chromium: str | None) -> None:
    """A picture of the page that ``save_html`` writes."""
    with contextlib.suppress(ImportError):
        from playwright.sync_api import sync_playwright

        with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
            page_file = Path(folder) / "page.html"
            found.save_html(page_file, title="Four photos, six boxes")
            browser = play.chromium.launch(executable_path=chromium)
            page = browser.new_page(viewport={"width": 1366, "height": 860})
            page.goto(page_file.as_uri())
            page.get_by_text("3 cat").click()
            page.wait_for_timeout(1000)
            page.screenshot(path=str(path), type="jpeg", quality=QUALITY)
            browser.close()
            print(f"{path} {path.stat().st_size / 1000:.0f} kB")
        return
    print("no playwright: the viewer has no picture")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=DEFAULT_MODEL, help="as for captum-ssgc explain")
    parser.add_argument("--labels")
    parser.add_argument("--out", type=Path, default=Path("docs"))
    parser.add_argument("--chromium", help="the browser's program, where playwright brings none")
    args = parser.parse_args()
    demo(args.out / "demo.jpg")
    save(crowd(), args.out / "crowd.jpg")
    trained = load_detector(ModelChoice(args.model, labels=args.labels))
    image = np.asarray(collage())
    found = ssgc.explain(trained, image)
    print([(one.label, round(one.score, 2)) for one in found])
    save(found.overview(title=None), args.out / "photos.jpg")
    save(missed(trained), args.out / "missed.jpg")
    viewer(found, args.out / "viewer.jpg", args.chromium)
    by_method = ssgc.explain(trained, image, METHODS, top_k=4)
    rows = [by_method[at : at + len(METHODS)] for at in range(0, len(by_method), len(METHODS))]
    save(comparison_grid(found.image, rows), args.out / "methods.jpg", quality=72)


if __name__ == "__main__":
    main()
