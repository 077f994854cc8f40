"""Lay out the page, in Gradio, and serve it."""

import html
import ipaddress
import json
import os
import socket
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from harmonizer.demo import callbacks, gate, work
from harmonizer.demo.shelf import Kept, Shelf
from harmonizer.demo.shown import keep_shown
from harmonizer.demo.turns import Turns
from harmonizer.errors import (
    LACK_OF_MEMORY,
    HarmonizerError,
    InputError,
    collected_warnings,
    import_extra,
    is_lack_of_memory,
)
from harmonizer.zoo.manifest import default_model, list_models

Result = TypeVar("Result")

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_WAITING = 32  # what waits for its turn
_VISITORS = 8  # who are known at a time
_KEPT = 2_000_000_000  # bytes, for the pictures of all of them
# The button that starts the download is the browser's; the file exists only after the first click.
_CLICK_DOWNLOAD = "() => setTimeout(() => document.querySelector('#download-file').click(), 300)"
_FOLLOW = """(x, y, size) => Object.entries({x, y, size}).forEach(([what, value]) =>
  document.querySelector(".stage")?.style.setProperty(`--${what}`, value))"""
# What Gradio leaves without a name of its own, for those who do not see the page.
_UPLOAD, _REMOVE = "button[aria-label^='Click to upload']", "button[aria-label='Clear']"
_FILES = {"composite": "composite", "mask": "mask", "cutout": "cut-out", "background": "background",
          "painted-file": "composite to paint on"}  # fmt: skip
_NAMES = {
    **{f"#{one} {_UPLOAD}": f"Upload the {name}" for one, name in _FILES.items()},
    **{f"#{one} {_REMOVE}": f"Remove the {name}" for one, name in _FILES.items()},
    "#shell textarea": "The same by command",
    "#shell button": "Copy the command",
    "#python textarea": "The same in Python",
    "#python button": "Copy the Python lines",
    "#comparison img": "Before and after",
}


@contextmanager
def serve(
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    model: str | None = None,
    device: str = "auto",
) -> Generator[str, None, None]:
    """Serve the page while the context lasts, and yield its address.

    Uploads and results lie in a temporary folder that nothing else uses, and that is removed at the
    end. No other file can be read through the page, and nothing is sent anywhere.

    Args:
        host: The address to listen on; 127.0.0.1 is reached from this machine alone.
        port: None is the first free one from 7860.
        model: What is chosen at first; None is the bundled default.
        device: Where networks run.
    """
    is_own = _listens_to_itself(host)
    names: tuple[str, ...] = (*_LOOPBACK, host) if is_own else ()
    import_extra("gradio.routes", "demo")  # where files lie otherwise, it asks when it is imported
    with _own_folder() as folder, _settings(folder, names), Turns(_WAITING) as turns:
        themes = import_extra("gradio.themes", "demo")
        page = build_page(Path(folder), model, device, turns)
        # System fonts: Gradio's own themes ask a server on the internet for theirs.
        fonts = ("system-ui", "sans-serif")
        theme = themes.Default(font=fonts, font_mono=("ui-monospace", "monospace"))
        guard = import_extra("starlette.middleware", "demo").Middleware
        parts = resources.files("harmonizer.demo")
        on_load = (parts / "page.js").read_text("utf-8").replace("NAMES", json.dumps(_NAMES))
        try:
            _, address, _ = page.launch(
                app_kwargs={"middleware": [guard(gate.Gate, folder=Path(folder), names=names)]},
                server_name=host,
                server_port=port,
                max_file_size=gate.LARGEST_FILE,
                state_session_capacity=_VISITORS,
                share=False,
                allowed_paths=[],
                ssr_mode=False,
                mcp_server=False,
                enable_monitoring=False,
                footer_links=[],
                theme=theme,
                css=(parts / "page.css").read_text("utf-8"),
                js=on_load,
                quiet=True,
                inbrowser=False,
                prevent_thread_lock=True,
            )
        except OSError as error:  # Gradio's speaks of settings that this page does not have
            where = f"port {port} of {host}" if port else f"{host} from port 7860 on"
            raise InputError(
                f"the page cannot be served at {where}: is the port taken? Give another one"
            ) from error
        try:
            yield address
        finally:
            page.close(verbose=False)


def _listens_to_itself(host: str) -> bool:
    """Return whether an address is of this machine's own, which no other reaches.

    Raises:
        InputError: It cannot be listened on, which Gradio tries at a hundred ports.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.bind(address)
    except (OSError, UnicodeError) as error:
        raise InputError(
            f"the page cannot be served at {host}, which is no address of this machine: {error}"
        ) from error
    return ipaddress.ip_address(address[0]).is_loopback


@contextmanager
def _own_folder() -> Generator[str, None, None]:
    """Have temporary files lie in a folder that is removed at the end.

    Gradio leaves some where `tempfile` puts them, if whoever sends one breaks off.
    """
    with tempfile.TemporaryDirectory(prefix="harmonizer-demo-") as folder:
        others, tempfile.tempdir = tempfile.tempdir, folder
        try:
            yield folder
        finally:
            tempfile.tempdir = others


@contextmanager
def _settings(folder: str, names: Sequence[str]) -> Generator[None]:
    """Have Gradio's files lie in a folder, and it ask nobody else; afterwards all is as before.

    Args:
        folder: Where what is uploaded and shown lies.
        names: What the page is called on this machine. Gradio asks it once whether it is there, and
            would do so by a proxy.
    """
    direct = ",".join(filter(None, (os.environ.get("NO_PROXY", ""), *names)))
    # Gradio reads these when a page is built, and when files come.
    ours = {
        "GRADIO_TEMP_DIR": folder,
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_RUN_HISTORY": "False",
        **({"NO_PROXY": direct, "no_proxy": direct} if names else {}),
    }
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    routes = import_extra("gradio.routes", "demo")
    kept = getattr(routes, "DEFAULT_TEMP_DIR", None)  # where it makes a folder for each page
    routes.DEFAULT_TEMP_DIR = folder
    try:
        yield
    finally:
        routes.DEFAULT_TEMP_DIR = kept
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def build_page(folder: Path, model: str | None, device: str, turns: Turns) -> Any:  # noqa: ANN401 - Gradio's `Blocks`
    """Lay the page out; pictures and files to be downloaded are written to a folder."""
    gr = import_extra("gradio", "demo")

    first = model or default_model()
    names = [first, *(name for name in list_models(with_weights=True) if name != first)]

    thumbnails: list[tuple[Any, Any, bool | None]] = []

    def upload(label: str, name: str, *, shown: bool = True, opaque: bool | None = None) -> Any:  # noqa: ANN401
        kinds = list(work.ENDINGS)
        file = gr.File(label=label, file_types=kinds, type="filepath", height=140, elem_id=name)
        if shown:
            small = gr.HTML(elem_classes="thumbnail", padding=False)
            thumbnails.append((file, small, opaque))
        return file

    def button(name: str) -> tuple[Any, Any]:
        with gr.Row():
            example = gr.Button("Try an example", elem_id=f"example-{name}")
            return example, gr.Button("Harmonize", variant="primary", elem_id=f"go-{name}")

    def quick(function: Callable[..., Any], *first: object) -> Callable[..., Any]:
        """Bind what opens no files and needs no network: it does not wait for others."""

        def call(*values: object) -> object:
            return keep_shown(function(*first, *values), folder)

        return _with_messages(call)

    def bound(function: Callable[..., Any], *first: object) -> Callable[..., Any]:
        # Pictures of all visitors at once would be too many for the memory.
        return quick(turns.take, function, *first)

    def kept(
        function: Callable[..., tuple[work.Harmonized, callbacks.Pair]],
    ) -> Callable[..., tuple[Kept, callbacks.Pair]]:
        def call(*values: object) -> tuple[Kept, callbacks.Pair]:
            picture, shown = function(*values)
            return shelf.keep(picture), shown

        return call

    shelf = Shelf(_KEPT)

    with gr.Blocks(
        title="Image harmonization",
        analytics_enabled=False,
        delete_cache=(gate.LASTING, gate.LASTING),
    ) as page:
        outcome = gr.State(time_to_live=gate.LASTING)
        gr.Markdown(
            "# Image harmonization\n"
            "Changes the colours of a pasted foreground until it belongs to its background. "
            "Pictures stay on the machine that serves this page."
        )
        with gr.Row():
            with gr.Column():
                with gr.Tab("Mask"):
                    composite = upload("Composite", "composite")
                    mask = upload("Mask: white is the foreground to change", "mask")
                    with gr.Accordion("More options", open=False, elem_id="more"):
                        invert = gr.Checkbox(
                            label="Invert the mask: black is the foreground", elem_id="invert"
                        )
                        stretch = gr.Checkbox(
                            label="Stretch a mask of another shape (resize_mask)", elem_id="stretch"
                        )
                        number = gr.Number(
                            label="Page: which picture of a file that holds several",
                            value=None,
                            precision=0,
                            minimum=1,
                            elem_id="number",
                        )
                    try_composite, go_composite = button("composite")
                with gr.Tab("Cut-out"):
                    cutout = upload("Cut-out: a picture with transparency", "cutout", opaque=False)
                    background = upload("Background", "background", opaque=True)
                    placed = gr.HTML(elem_id="placed", padding=False)
                    size = gr.Slider(
                        5, 200, 60, step=1, label="Size, % of what fits", elem_id="size"
                    )
                    x = gr.Slider(
                        0, 100, 50, step=0.1, label="Centre, % from the left", elem_id="x"
                    )
                    y = gr.Slider(0, 100, 60, step=0.1, label="Centre, % from the top", elem_id="y")
                    try_cutout, go_cutout = button("cutout")
                with gr.Tab("Paint"):
                    painted_file = upload("Composite", "painted-file", shown=False)
                    editor = gr.ImageEditor(
                        label="Paint here",
                        elem_id="editor",
                        sources=(),
                        transforms=(),
                        layers=False,
                        brush=gr.Brush(colors=["#ff00ff"], color_mode="fixed", default_size=40),
                    )
                    _take_strokes(editor)
                    try_painted, go_painted = button("painted")
                chosen = gr.Dropdown(names, value=first, label="Model", elem_id="model")
            with gr.Column():
                comparison = gr.ImageSlider(
                    label="Before and after",
                    interactive=False,
                    elem_id="comparison",
                    buttons=["fullscreen"],  # a download would be of the small copy
                )
                said = gr.HTML(elem_id="said", padding=False)
                with gr.Row():
                    light = gr.Slider(0, 100, 100, step=1, label="Light, %", elem_id="light")
                    color = gr.Slider(0, 100, 100, step=1, label="Colour, %", elem_id="color")
                with gr.Row():
                    kind = gr.Dropdown(
                        list(callbacks.FORMATS), value="PNG", label="Format", elem_id="format"
                    )
                    eight = gr.Checkbox(label="8 bits a channel (depth)", elem_id="eight")
                save = gr.Button("Download at full size", elem_id="download")
                file = gr.DownloadButton("file", elem_id="download-file", visible="hidden")
                shell = gr.Textbox(
                    label="The same by command", elem_id="shell", buttons=["copy"], lines=1
                )
                python = gr.Textbox(
                    label="The same in Python", elem_id="python", buttons=["copy"], lines=3
                )

        answer, how = [outcome, comparison], [outcome, light, color, kind, eight]
        where = [cutout, background, x, y, size]
        harmonized = [
            (go_composite, kept(callbacks.harmonize_composite),
             [composite, mask, invert, stretch, number, chosen, light, color]),
            (go_cutout, kept(callbacks.harmonize_cutout), [*where, chosen, light, color]),
            (go_painted, kept(callbacks.harmonize_painted),
             [painted_file, editor, chosen, light, color]),
        ]  # fmt: skip
        for go, function, inputs in harmonized:
            go.click(bound(function, device), inputs, answer)
        for example, function, files, (_, then, inputs) in (
            (try_composite, callbacks.example_composite, [composite, mask], harmonized[0]),
            (try_cutout, callbacks.example_cutout, where, harmonized[1]),
        ):
            example.click(bound(function, folder), None, files).success(
                bound(then, device), inputs, answer
            )
        try_painted.click(bound(callbacks.example_painted, folder), None, painted_file)
        gr.on(
            [outcome.change, light.release, color.release, kind.change, eight.change],
            quick(callbacks.describe),
            how,
            [said, shell, python],
            show_progress="hidden",
        )
        live: dict[str, str] = {"trigger_mode": "always_last", "show_progress": "hidden"}
        for one in (cutout.change, background.change):
            one(bound(callbacks.show_placed), where, placed, **live)
        gr.on([x.change, y.change, size.change], None, [x, y, size], None, js=_FOLLOW)
        for upload_of, small, opaque in thumbnails:
            upload_of.change(bound(callbacks.show_thumbnail, opaque), upload_of, small, **live)
        painted_file.change(bound(callbacks.load_editor), painted_file, editor)
        for one in (light.input, color.input):
            one(quick(callbacks.show_strength), [outcome, light, color], comparison, **live)
        save.click(bound(callbacks.write_file, folder), how, file).success(
            None, None, None, js=_CLICK_DOWNLOAD
        )
    page.queue(max_size=_WAITING)
    return page


def _take_strokes(editor: Any) -> None:  # noqa: ANN401
    """Have an editor hand over its strokes' file, or its path.

    Gradio itself would decode files of any kind and size here, PostScript included, and keep any
    number of them.
    """
    kept: dict[str, bytes] = {}

    def accept_blobs(data: Any) -> None:  # noqa: ANN401
        if data.data["type"] == "layer":
            kept[data.data["id"]] = data.files[0][1]
            if len(kept) > _VISITORS:
                del kept[next(iter(kept))]

    def preprocess(payload: Any) -> bytes | str | None:  # noqa: ANN401
        if payload is None or payload.id is not None:
            return payload and kept.pop(payload.id, None)
        return payload.layers[0].path if payload.layers else None

    accept_blobs._is_server_fn = True  # pyright: ignore[reportFunctionMemberAccess] - Gradio's mark
    editor.accept_blobs, editor.preprocess = accept_blobs, preprocess


def _with_messages(function: Callable[..., Result]) -> Callable[..., Result]:
    """Show this library's errors and warnings on the page."""
    gr = import_extra("gradio", "demo")

    def refusal(text: str, values: Sequence[object]) -> Exception:
        return gr.Error(_shown(text, values), duration=None, print_exception=False)

    def call(*values: object) -> Result:
        noted: list[str] = []
        with collected_warnings(noted):
            try:
                result = function(*values)
            except (HarmonizerError, OSError) as error:
                raise refusal(str(error), values) from error
            except Exception as error:
                if not is_lack_of_memory(error):
                    raise
                raise refusal(LACK_OF_MEMORY, values) from error
        for text in noted:
            gr.Warning(_shown(text, values), duration=None)
        return result

    return call


def _shown(text: str, values: Sequence[object]) -> str:
    """Return a message as HTML; uploads are called by their names, not by where they lie here."""
    for value in values:
        if isinstance(value, str) and os.sep in value:
            text = text.replace(value, Path(value).name)
    return html.escape(text)
