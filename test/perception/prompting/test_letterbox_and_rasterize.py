# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from seem_ros.errors import FrameError
from seem_ros.model.codes import PriorKind
from seem_ros.perception.prompting.rasterize import draw_regions, prior, sample_points, thin
from seem_ros.perception.structures.letterbox import fit
from seem_ros.perception.structures.prompts import Box, Click, Mask, Polygon, Scribble

NET = (240, 320)


def test_a_wide_picture_is_padded_at_the_bottom_and_a_tall_one_at_the_right():
    assert fit((1080, 1920), NET).content_hw == (180, 320)
    assert fit((1920, 1080), NET).content_hw == (240, 135)
    assert fit((480, 640), NET).content_hw == NET
    assert fit((1080, 1920), NET, "stretch").content_hw == NET
    padded = fit((1080, 1920), NET).shrink(np.full((1080, 1920, 3), 200, np.uint8))
    assert padded.shape == (240, 320, 3) and padded.flags.c_contiguous
    assert (padded[:180] == 200).all() and not padded[180:].any()


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (7, 3), (333, 517), (2160, 3840)])
def test_coordinates_go_to_the_network_and_back_exactly(size):
    geometry = fit(size, NET)
    points = np.random.default_rng(0).uniform(0, 1, (50, 2)) * size[::-1]
    assert np.allclose(geometry.to_source(geometry.to_network(points)), points, atol=1e-9)
    assert np.allclose(geometry.to_network(np.array(size[::-1])), geometry.content_hw[::-1])


def test_a_picture_of_another_size_than_the_geometrys_is_refused():
    with pytest.raises(FrameError):
        fit((100, 100), NET).shrink(np.zeros((100, 101, 3), np.uint8))


def test_a_click_is_a_block_of_three_by_three_around_the_clicked_pixel():
    positive, negative = draw_regions((Click(10, 20),), fit(NET, NET))
    rows, columns = np.nonzero(positive)
    assert positive.sum() == 9 and set(rows) == {19, 20, 21} and set(columns) == {9, 10, 11}
    assert not negative.any()
    corner, _ = draw_regions((Click(319.9, 239.9),), fit(NET, NET))
    assert corner.sum() == 4 and corner[239, 319]


def test_a_click_lands_on_the_network_pixel_that_shows_the_clicked_pixel():
    # 640x480 halved: source columns 2c and 2c + 1 are network column c
    for x in (200, 201, 201.9):
        positive, _ = draw_regions((Click(x, 100),), fit((480, 640), NET))
        assert positive[50, 100] and np.nonzero(positive)[1].mean() == 100


def test_a_box_is_filled_to_its_edges_and_clipped_to_the_picture():
    positive, _ = draw_regions((Box(10, 20, 30, 25),), fit(NET, NET))
    rows, columns = np.nonzero(positive)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (20, 24, 10, 29) and positive.sum() == 100
    positive, _ = draw_regions((Box(-50, -50, 9999, 9999),), fit(NET, NET))
    assert positive.all()
    thin_box, _ = draw_regions((Box(100, 100, 101, 101),), fit((2160, 3840), NET))
    assert thin_box.sum() == 1


def test_scribbles_have_their_width_polygons_are_filled_and_masks_are_shrunk():
    geometry = fit((480, 640), NET)
    stroke, _ = draw_regions((Scribble([[100, 100], [300, 100]], width_px=12),), geometry)
    assert 4 <= stroke[:, 100].sum() <= 8 and stroke[50, 50:150].all()
    dot, _ = draw_regions((Scribble([[100, 100]], width_px=10),), geometry)
    assert dot[50, 50] and 9 <= dot.sum() <= 40
    polygon, _ = draw_regions((Polygon([[100, 100], [200, 100], [200, 200], [100, 200]]),), geometry)
    assert abs(int(polygon.sum()) - 50 * 50) <= 110 and polygon[75, 75] and not polygon[75, 110]
    mask = np.zeros((480, 640), np.uint8)
    mask[100:200, 300:400] = 255
    region, _ = draw_regions((Mask(mask),), geometry)
    assert region.sum() == 50 * 50 and region[50:100, 150:200].all()
    hair = np.zeros((2160, 3840), bool)
    hair[7, 9] = True
    region, _ = draw_regions((Mask(hair),), fit((2160, 3840), NET))
    assert region.sum() == 1


def test_where_both_signs_want_a_pixel_the_negative_one_has_it():
    positive, negative = draw_regions((Box(0, 0, 100, 100), Click(50, 50, negative=True)), fit(NET, NET))
    assert negative[50, 50] and not positive[50, 50] and positive.sum() == 100 * 100 - 9


def test_points_are_pixel_over_padded_size():
    positive = np.zeros((180, 320), bool)
    positive[90, 160] = True
    points, labels = sample_points(positive, np.zeros_like(positive), NET, 16)
    assert points.dtype == np.float32 and labels.tolist() == [1]
    assert np.allclose(points, [[160 / 320, 90 / 240]])


def test_thinning_is_repeatable_even_and_sorted():
    kept = thin(10_000, 100)
    assert len(set(kept)) == 100 and (np.diff(kept) > 0).all() and (kept == thin(10_000, 100)).all()
    assert np.diff(kept).max() < 300, "no large hole"
    _rows, columns = np.divmod(thin(100 * 100, 100), 100)
    assert len(set(columns)) > 50, "not in step with the rows"
    assert thin(5, 8).tolist() == [0, 1, 2, 3, 4] and thin(5, 0).size == 0


def test_each_sign_keeps_its_share_of_the_slots():
    many, few = np.ones((50, 50), bool), np.zeros((50, 50), bool)
    few[0, :3] = True
    _, labels = sample_points(many, few, NET, 20)
    assert (labels > 0).sum() == 17 and (labels < 0).sum() == 3
    _, labels = sample_points(many, many, NET, 20)
    assert (labels > 0).sum() == 10 and (labels < 0).sum() == 10
    _, labels = sample_points(few, many, NET, 20)
    assert (labels > 0).sum() == 3 and (labels < 0).sum() == 17


def test_the_prior_says_what_kind_of_prompt_it_was_and_where():
    geometry = fit(NET, NET)

    def ask(*shapes):
        return prior(shapes, draw_regions(shapes, geometry)[0], geometry)

    assert ask()[1] == PriorKind.NONE and ask(Click(3, 3, negative=True))[1] == PriorKind.NONE
    box, kind = ask(Click(160, 120))
    assert kind == PriorKind.CLICK and np.allclose(box[:2], [160.5 / 320, 120.5 / 240])
    box, kind = ask(Click(160, 120), Box(0, 0, 160, 120))
    assert kind == PriorKind.BOX and np.allclose(box, [0.25, 0.25, 0.5, 0.5])
    assert ask(Scribble([[10, 10], [50, 50]]))[1] == PriorKind.REGION
