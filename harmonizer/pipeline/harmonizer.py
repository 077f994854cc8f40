"""Harmonize pictures with a network and its weights."""

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, cast, overload

import numpy as np
from numpy.typing import NDArray

from harmonizer.files import as_path
from harmonizer.imaging.arrays import is_tensor
from harmonizer.imaging.batch import split_masks
from harmonizer.imaging.files import FileLike
from harmonizer.imaging.image import ImageLike, Kind
from harmonizer.imaging.mask import MaskLike, ResizeMask, warn_if_nothing_to_do
from harmonizer.imaging.picture import Picture
from harmonizer.inference.backends import Backend, check_backend
from harmonizer.lifting import (
    ColorTransform,
    Strength,
    apply_strength,
    as_strength,
    fit_color_transform,
    lift,
)
from harmonizer.pipeline.batches import harmonize_many
from harmonizer.pipeline.prepared import Composite, check_finite, is_map, open_composite
from harmonizer.pipeline.running import Source, read, start
from harmonizer.zoo.find import StoredModel, find_model
from harmonizer.zoo.manifest import ModelInfo
from harmonizer.zoo.options import FetchOptions

if TYPE_CHECKING:
    import torch
    from torch import nn


class Harmonizer:
    """A network with its weights, ready to harmonize pictures.

    A harmonizer keeps nothing between calls: any number of threads may use one.

    Attributes:
        info: What is known of the model.
    """

    info: ModelInfo

    def __init__(
        self,
        network: "nn.Module | StoredModel",
        info: ModelInfo,
        *,
        device: "str | torch.device" = "auto",
        dtype: "str | torch.dtype" = "auto",
        backend: Backend = "auto",
    ) -> None:
        """Wrap a network. `from_pretrained` is the usual way to one.

        Args:
            network: What `harmonizer.networks.build_network` gives, or a module with its `forward`.
                It is taken over: moved to the CPU, set to evaluation, and trained no more. Or what
                `harmonizer.zoo.find.find_model` gives, which is read when something needs it.
            info: What is known of it; its preprocessing is applied to every picture.
            device: Where it shall run; see `from_pretrained`.
            dtype: Of its arithmetic; see `from_pretrained`.
            backend: What shall run it; see `from_pretrained`.

        Raises:
            InputError: The device, dtype or backend cannot be used.
        """
        self.info = info
        self._asked_dtype: str | torch.dtype = dtype
        self._asked_backend: Backend = backend
        self._source: Source = network  # as it is, to be saved; what runs is made for that
        if not isinstance(network, StoredModel):
            network.cpu().eval().requires_grad_(False)
        self.to(device)

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | os.PathLike[str] | None = None,
        *,
        device: "str | torch.device" = "auto",
        dtype: "str | torch.dtype" = "auto",
        backend: Backend = "auto",
        revision: str | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        local_files_only: bool = False,
        force_download: bool = False,
        token: str | bool | None = None,
    ) -> Self:
        """Load a model of the zoo, of a folder, or of a repository on the Hugging Face Hub.

        Args:
            name_or_path: A name from `list_models()`; a folder that `save_pretrained` wrote, or
                the `.safetensors` file in it; or `owner/name` of a repository on the Hub. None is
                the bundled default. `zoo:` or `hub:` before a name, and `./` before a path, settle
                which is meant where a name could mean two things.
            device: `"auto"` (the CPU for bundled models, which answer before a GPU is awake; else
                CUDA, else MPS, else the CPU), or a device as torch names it.
            dtype: Of the network's arithmetic: `"float32"` (`"auto"`), or, faster where the
                hardware is made for it and less exact, `"bfloat16"` or `"float16"`.
            backend: What runs the network: `"auto"` (OpenCV for bundled models on the CPU, for
                which torch need not be imported; else torch); `"torch"`; `"opencv"`; or, on the
                CPU, `"onnx"` (ONNX Runtime, the extra `onnx`) or `"openvino"` (OpenVINO, the extra
                `openvino`), which take seconds to load and answer faster on some processors.
            revision: Branch, tag or commit on the Hub. The zoo's own models are pinned.
            cache_dir: Where downloads are kept; None is what HF_HOME says.
            local_files_only: Never connect, as under HF_HUB_OFFLINE=1; use what is here already.
            force_download: Download again what is on this machine already.
            token: For private repositories of the Hub; None takes the one of `hf auth login`.

        Raises:
            UnknownModelError: No model has this name.
            WeightsUnavailableError: Its weights cannot be had; the message says why.
            WeightsCorruptedError: Its weights are not the ones that were promised.
            InputError: The name is ambiguous, or the device, dtype or backend cannot be used.
        """
        check_backend(backend)
        options = FetchOptions(
            cache_dir=None if cache_dir is None else as_path(cache_dir, "cache_dir"),
            local_files_only=local_files_only,
            force_download=force_download,
            token=token,
        )
        model = find_model(name_or_path, revision, options)
        # What lies where others may change it is read once, and kept.
        network = model if model.lasting else read(model)
        return cls(network, model.info, device=device, dtype=dtype, backend=backend)

    @property
    def device(self) -> "torch.device":
        """Where the network runs."""
        import torch

        return torch.device(self._running.device)

    @property
    def dtype(self) -> "torch.dtype":
        """The network's arithmetic."""
        import torch

        return getattr(torch, self._running.dtype)

    @property
    def backend(self) -> Backend:
        """What runs the network."""
        return self._running.backend

    @property
    def _network(self) -> "nn.Module":
        return read(self._source)

    def save_pretrained(self, save_directory: str | os.PathLike[str]) -> None:
        """Write the model as a folder that `from_pretrained` loads.

        Args:
            save_directory: Made if need be; its config, weights and `README.md` are replaced.

        Raises:
            OSError: A file cannot be written.
        """
        from harmonizer.zoo.publish import save_model

        save_model(self._network, self.info, as_path(save_directory, "save_directory"))

    def push_to_hub(
        self,
        repo_id: str,
        *,
        commit_message: str = "Upload a model with image-harmonizer",
        private: bool | None = None,
        token: str | bool | None = None,
        branch: str | None = None,
        create_pr: bool | None = None,
    ) -> str:
        """Upload the model to the Hugging Face Hub.

        Args:
            repo_id: `owner/name`; made if it does not exist.
            commit_message: Of the commit on the Hub.
            private: Whether a new repository is private; None is the owner's default.
            token: A token that may write; None takes the one of `hf auth login`.
            branch: Where to commit; None is the main branch.
            create_pr: Open a pull request in place of committing.

        Returns:
            The address of the commit.

        Raises:
            WeightsUnavailableError: The Hub refused, or cannot be reached.
            InputError: `repo_id` is not `owner/name`.
        """
        from harmonizer.zoo.publish import push_folder, save_model

        with tempfile.TemporaryDirectory() as folder:
            save_model(self._network, self.info, Path(folder), repo_id)
            commit = push_folder(
                Path(folder),
                repo_id,
                commit_message=commit_message,
                private=private,
                token=token,
                branch=branch,
                create_pr=create_pr,
            )
        return commit.commit_url

    def to(self, device: "str | torch.device") -> Self:
        """Move the network to a device, as `from_pretrained` takes it, and return this harmonizer.

        Raises:
            InputError: There is no such device, or the backend cannot work on it.
        """
        size = self.info.preprocessing.input_size
        self._running = start(self._source, size, device, self._asked_dtype, self._asked_backend)
        return self

    def fingerprint(self) -> str:
        """Return a hash of the weights, which tells this model from another one of its name."""
        import torch

        digest = hashlib.sha256()
        for name, tensor in self._network.state_dict().items():
            digest.update(name.encode())
            digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    def __reduce__(self) -> tuple[Any, ...]:
        """Say how a copy is made, here or in another process: what runs the network is set up anew.

        A copy runs on the same device, which the other process must have.
        """
        how: dict[str, Any] = {"dtype": self._asked_dtype, "backend": self._asked_backend}
        how["device"] = self._running.device
        if isinstance(self._source, StoredModel) and self._source.graph:
            return partial(type(self).from_pretrained, **how), (f"zoo:{self.info.name}",)
        return partial(type(self), **how), (self._network, self.info)

    def __repr__(self) -> str:
        """Name the model and the device."""
        return f"Harmonizer({self.info.name!r}, device={self._running.device!r})"

    @overload
    def __call__(
        self,
        image: Kind,
        mask: MaskLike,
        *,
        strength: float | Strength = ...,
        resize_mask: ResizeMask = ...,
    ) -> Kind: ...

    @overload
    def __call__(
        self,
        image: FileLike | Picture,
        mask: MaskLike,
        *,
        strength: float | Strength = ...,
        resize_mask: ResizeMask = ...,
    ) -> Any: ...  # noqa: ANN401 - a picture, or an array

    def __call__(
        self,
        image: ImageLike,
        mask: MaskLike,
        *,
        strength: float | Strength = 1.0,
        resize_mask: ResizeMask = False,
    ) -> Any:
        """Harmonize one picture, or a batch of tensors, at full resolution.

        Args:
            image: The composite: a `PIL.Image.Image`; an array (H, W, 3), RGB, uint8, uint16 or
                float in [0, 1] (also grey or with alpha); a tensor (C, H, W) or (B, C, H, W), uint8
                or float in [0, 1]; a path; or a file, as its bytes or open in binary mode. Its EXIF
                orientation is applied.
            mask: Its foreground, of the same size and of any of these kinds, one channel: bool,
                {0, 1}, {0, 255}, or soft. White (1) is the foreground to change.
            strength: How much of the change to apply, from 0 (none: the input bit for bit) to 1,
                linearly; or a `Strength`: shares of light and colour.
            resize_mask: True accepts a mask of another size but the same aspect, and resizes it;
                `"stretch"` one of any size.

        Returns:
            The harmonized picture: same kind, dtype, size, mode, ICC profile and alpha as `image`
            (a file gives a `PIL.Image.Image`, or an array for RGB of 16 bits or floats). Where the
            mask is 0 it equals the input bit for bit; soft mask values blend linearly.

        Raises:
            InputError: Something is not as described here; the message says what.
        """
        if is_tensor(image) and image.ndim == 4:
            import torch

            images, masks = list(image), split_masks(mask, len(image))
            options: dict[str, Any] = {"strength": strength, "resize_mask": resize_mask}
            results = self.harmonize_batch(images, masks, batch_size=len(images) or 1, **options)
            return torch.stack(list(results)) if images else image.clone()
        as_strength(strength)
        composite = self.prepare(image, mask, resize_mask=resize_mask)
        (answer,) = self.answer([composite])
        return self.finish(composite, answer, strength=strength)

    harmonize = __call__

    def harmonize_batch(
        self,
        images: Iterable[ImageLike],
        masks: Iterable[MaskLike],
        *,
        batch_size: int = 8,
        strength: float | Strength = 1.0,
        resize_mask: ResizeMask = False,
        on_error: Literal["raise", "return"] = "raise",
        workers: int | None = None,
    ) -> Iterator[Any]:
        """Harmonize many pictures, with one call of the network for each batch.

        Threads open the pictures ahead and finish them, while another one runs the network. They
        start with the first picture that is asked for, and end with the last one, or when the
        iterator is closed. At most `2 * batch_size + workers` pictures are in memory at a time,
        however many there are; so many are drawn from `images` before the first result.

        Args:
            images: Images of any kind that `harmonize` takes; sizes and kinds may differ. Paths are
                read when their turn comes. May be endless. Each array needs memory of its own.
            masks: As many masks, also in memory of their own: both are read later.
            batch_size: Pictures in one call of the network.
            strength: How much of the change to apply, from 0 to 1, or a `Strength`.
            resize_mask: True accepts masks of another size but the same aspect, and resizes them;
                `"stretch"` those of any size.
            on_error: What becomes of a picture that cannot be harmonized, such as a damaged file:
                `"raise"` raises its error when its turn comes, which ends the work; `"return"`
                hands the exception out in the place of the result, and goes on.
            workers: Threads that open and finish pictures; None takes one for each core, up to 8.

        Returns:
            An iterator over the harmonized pictures, in the order of `images`.

        Raises:
            InputError: Something is not as described here; the message says what.
        """
        as_strength(strength)
        return harmonize_many(
            *(images, masks),
            partial(self.prepare, resize_mask=resize_mask),
            self.answer,
            partial(self.finish, strength=strength),
            batch_size=batch_size,
            on_error=on_error,
            workers=workers,
        )

    def prepare(
        self,
        image: ImageLike,
        mask: MaskLike,
        *,
        resize_mask: ResizeMask = False,
        whole: bool = False,
    ) -> Composite:
        """Open a picture and its mask: the first of the three steps of `harmonize`.

        A program that arranges its work itself calls the steps one by one; any thread may. They
        take and raise what `harmonize` does. `whole` shows the network all of the picture as it
        is, as `predict` does.
        """
        like = self.info.preprocessing
        composite = open_composite(image, mask, like, resize_mask=resize_mask, whole=whole)
        return replace(composite, changes=not warn_if_nothing_to_do(composite.mask))

    def answer(self, composites: Sequence[Composite]) -> list[NDArray[np.float32] | None]:
        """Run the network once: the second of the three steps of `harmonize`.

        Args:
            composites: What `prepare` returned; any number.

        Returns:
            For each, the network's answer: a picture (3, h, w) or a map of colours (3, 10),
            normalised; None where nothing changes.
        """
        preprocessing = self.info.preprocessing
        changing = [one for one in composites if one.changes]
        if not changing:
            return [None for _ in composites]
        images = [one.seen(preprocessing.to_network(one.shown, 1)) for one in changing]
        masks = [one.seen(one.low_res_mask[None]) for one in changing]
        found = zip(changing, self._running.run(np.stack(images), np.stack(masks)), strict=True)
        answers = (answer if is_map(answer) else one.seen(answer) for one, answer in found)
        return [next(answers) if one.changes else None for one in composites]

    def finish(
        self,
        composite: Composite,
        answer: NDArray[np.float32] | None,
        *,
        strength: float | Strength = 1.0,
    ) -> Any:  # noqa: ANN401 - the kind that came in
        """Carry an answer to full resolution: the last of the three steps of `harmonize`.

        Args:
            composite: What `prepare` returned.
            answer: What `answer` returned for it.
            strength: How much of the change to apply, from 0 to 1, or a `Strength`.

        Returns:
            The harmonized picture, of the kind that came in.

        Raises:
            InputError: `strength` is not from 0 to 1.
            WeightsCorruptedError: The answer holds NaN or infinity.
        """
        pixels, mask = composite.picture.pixels, composite.mask
        if as_strength(strength).is_nothing or answer is None:
            return composite.picture.restore(pixels, np.zeros_like(mask))
        if is_map(answer):
            changed = self.change(composite, answer).at(strength).apply(pixels, mask)
            return composite.restored(changed)
        framed, its_mask = composite.frame.of(pixels), composite.frame.of(mask)
        low_res = composite.low_res.astype(np.float32)
        harmonized = lift(framed, its_mask, low_res, self.scaled(composite, answer))
        changed = apply_strength(framed, harmonized, strength)
        return composite.restored(composite.completed(changed))

    def color_transform(
        self, image: ImageLike, mask: MaskLike, *, resize_mask: ResizeMask = False
    ) -> ColorTransform:
        """Return the change of colour that a picture's foreground asks for, to be kept or exported.

        A network that answers with a map of colours gives it as it is, and `harmonize` applies just
        that. One that answers with a picture gives the quadratic map nearest to its answer;
        `harmonize` follows the answer more closely.

        It takes and raises what `harmonize` does, for one picture.

        Returns:
            The change at full strength; none where the mask is empty.
        """
        composite = self.prepare(image, mask, resize_mask=resize_mask)
        return self.change(composite, *self.answer([composite]))

    def change(self, composite: Composite, answer: NDArray[np.float32] | None) -> ColorTransform:
        """Return what `color_transform` does, of what `prepare` and `answer` returned.

        Raises:
            WeightsCorruptedError: The answer holds NaN or infinity.
        """
        if answer is None:
            return ColorTransform.identity()
        if is_map(answer):
            return composite.of_own_colors(self._mapped(answer))
        return fit_color_transform(
            composite.frame.of(composite.picture.pixels),
            composite.frame.of(composite.mask),
            composite.low_res.astype(np.float32),
            self.scaled(composite, answer),
        )

    def predict(
        self, image: ImageLike, mask: MaskLike, *, resize_mask: ResizeMask = False
    ) -> NDArray[np.float32]:
        """Return the network's own answer, at its own input size, without the way back.

        It takes and raises what `harmonize` does, for one picture.

        Returns:
            (h, w, 3), RGB, float32, not rounded, on the image's own scale: 0 to 255 for 8 bits, 0
            to 65535 for 16 bits, 0 to 1 for floats; what `harmonizer.lifting.lift` takes.
        """
        like = self.info.preprocessing
        composite = open_composite(image, mask, like, resize_mask=resize_mask, whole=True)
        (answer,) = self.answer([composite])
        return self.scaled(composite, cast(NDArray[np.float32], answer))

    def scaled(self, composite: Composite, answer: NDArray[np.float32]) -> NDArray[np.float32]:
        """Bring what `answer` returned for a composite to what `predict` returns.

        Raises:
            WeightsCorruptedError: The answer holds NaN or infinity.
        """
        if is_map(answer):
            after = self._mapped(answer).apply(composite.shown, composite.low_res_mask)
        else:
            check_finite(answer, self.info.name)
            after = self.info.preprocessing.from_network(answer, 1)
        return composite.in_own_space(after)

    def _mapped(self, answer: NDArray[np.float32]) -> ColorTransform:
        check_finite(answer, self.info.name)
        space = self.info.preprocessing
        return ColorTransform.of_normalised(answer, space.mean, space.std)
