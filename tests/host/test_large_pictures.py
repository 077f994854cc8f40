"""Files of kilobytes that unfold to odd pictures of millions of pixels hold nobody up."""

from programs import program


def test_a_mask_of_very_many_parts_takes_no_time() -> None:
    """A page works on one picture at a time, for everybody."""
    program(
        """
        image = np.full((10, 1_500_000, 3), 120, np.uint8)
        mask = np.zeros(image.shape[:2], bool)
        mask[:, ::2] = True
        load(backend="opencv").harmonize(image, mask)
        """,
        timeout=100,
    )
