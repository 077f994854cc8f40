"""Lay out the page, in Gradio, and serve it."""

import html
import os
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from harmonizer.demo import callbacks, gate, work
from harmonizer.errors import HarmonizerError, InputError, collected_warnings, import_extra
from harmonizer.zoo.manifest import default_model, list_models

Result = TypeVar("Result")

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_SESSIONS, _WAITING = 8, 32  # whose pictures are kept in memory; what waits for the network
# The button that starts the download is the browser's; the file exists only after the first click.
_CLICK_DOWNLOAD = "() => setTimeout(() => document.querySelector('#download-file').click(), 300)"


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
    with tempfile.TemporaryDirectory(prefix="harmonizer-demo-") as folder:
        # Gradio reads these when it is imported and when a page is built.
        os.environ["GRADIO_TEMP_DIR"] = folder
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        os.environ["GRADIO_RUN_HISTORY"] = "False"
        themes = import_extra("gradio.themes", "demo")
        page = build_page(Path(folder), model, device)
        # System fonts: Gradio's own themes ask a server on the internet for theirs.
        fonts = ("system-ui", "sans-serif")
        theme = themes.Default(font=fonts, font_mono=("ui-monospace", "monospace"))
        names: tuple[str, ...] = ()
        if host in _LOOPBACK:
            names = _LOOPBACK
            # Gradio asks its own page once whether it is there, and would do so by a proxy.
            direct = (os.environ.get("NO_PROXY", ""), *_LOOPBACK)
            os.environ["NO_PROXY"] = os.environ["no_proxy"] = ",".join(filter(None, direct))
        guard = import_extra("starlette.middleware", "demo").Middleware
        try:
            _, address, _ = page.launch(
                app_kwargs={"middleware": [guard(gate.Gate, folder=Path(folder), names=names)]},
                server_name=host,
                server_port=port,
                max_file_size=gate.LARGEST_FILE,
                state_session_capacity=_SESSIONS,
                share=False,
                allowed_paths=[],
                ssr_mode=False,
                mcp_server=False,
                enable_monitoring=False,
                footer_links=[],
                theme=theme,
                css="footer { display: none }",
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


def build_page(folder: Path, model: str | None, device: str) -> Any:  # noqa: ANN401 - Gradio's `Blocks`
    """Lay the page out; files to be downloaded are written to a folder."""
    gr = import_extra("gradio", "demo")

    first = model or default_model()
    names = [first, *(name for name in list_models(with_weights=True) if name != first)]

    def upload(label: str, name: str) -> Any:  # noqa: ANN401
        kinds = list(work.ENDINGS)
        return gr.File(label=label, file_types=kinds, type="filepath", height=140, elem_id=name)

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
                chosen = gr.Dropdown(names, value=first, label="Model", elem_id="model")
                with gr.Tab("Composite and mask"):
                    composite = upload("Composite", "composite")
                    mask = upload("Mask: white is the foreground to change", "mask")
                    go_composite = gr.Button("Harmonize", variant="primary", elem_id="go-composite")
                with gr.Tab("Cut-out over a background"):
                    cutout = upload("Cut-out: a picture with transparency", "cutout")
                    background = upload("Background", "background")
                    size = gr.Slider(5, 200, 60, step=1, label="Size, % of what fits")
                    x = gr.Slider(0, 100, 50, step=1, label="Centre, % from the left")
                    y = gr.Slider(0, 100, 60, step=1, label="Centre, % from the top")
                    placed = gr.Image(
                        label="Pasted", interactive=False, elem_id="placed", buttons=[]
                    )
                    go_cutout = gr.Button("Harmonize", variant="primary", elem_id="go-cutout")
                with gr.Tab("Paint the mask"):
                    painted_file = upload("Composite", "painted-file")
                    editor = gr.ImageEditor(
                        label="Paint over the foreground",
                        elem_id="editor",
                        sources=(),
                        transforms=(),
                        layers=False,
                        brush=gr.Brush(colors=["#ff00ff"], color_mode="fixed", default_size=40),
                    )
                    _take_strokes(editor)
                    go_painted = gr.Button("Harmonize", variant="primary", elem_id="go-painted")
            with gr.Column():
                comparison = gr.ImageSlider(
                    label="Before and after",
                    interactive=False,
                    elem_id="comparison",
                    format="png",
                    buttons=["fullscreen"],  # a download would be of the small copy
                )
                strength = gr.Slider(0, 100, 100, step=1, label="Strength, %", elem_id="strength")
                kind = gr.Dropdown(list(callbacks.FORMATS), value="PNG", label="Format")
                save = gr.Button("Download at full size", elem_id="download")
                file = gr.DownloadButton("file", elem_id="download-file", visible="hidden")

        def bound(function: Callable[..., Any], *first: object) -> Callable[..., Any]:
            return _with_messages(partial(function, *first))

        answer = [outcome, comparison]
        where = [cutout, background, x, y, size]
        go_composite.click(
            bound(callbacks.harmonize_composite, device),
            [composite, mask, chosen, strength],
            answer,
        )
        go_cutout.click(
            bound(callbacks.harmonize_cutout, device), [*where, chosen, strength], answer
        )
        go_painted.click(
            bound(callbacks.harmonize_painted, device),
            [painted_file, editor, chosen, strength],
            answer,
        )
        for one in (cutout, background):
            one.change(bound(callbacks.show_placed), where, placed)
        for one in (x, y, size):
            one.release(bound(callbacks.show_placed), where, placed)
        painted_file.change(bound(callbacks.load_editor), painted_file, editor)
        strength.input(
            bound(callbacks.show_strength),
            [outcome, strength],
            comparison,
            trigger_mode="always_last",
            show_progress="hidden",
        )
        save.click(bound(callbacks.write_file, folder), [outcome, strength, kind], file).success(
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
            if len(kept) > _SESSIONS:
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

    def call(*values: object) -> Result:
        noted: list[str] = []
        with collected_warnings(noted):
            try:
                result = function(*values)
            except (HarmonizerError, OSError) as error:
                raise gr.Error(_shown(str(error), values), print_exception=False) from error
        for text in noted:
            gr.Warning(_shown(text, values))
        return result

    return call


def _shown(text: str, values: Sequence[object]) -> str:
    """Return a message as HTML; uploads are called by their names, not by where they lie here."""
    for value in values:
        if isinstance(value, str) and os.sep in value:
            text = text.replace(value, Path(value).name)
    return html.escape(text)
