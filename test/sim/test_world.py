# SPDX-License-Identifier: Apache-2.0
"""The world: truth that agrees with geometry, physics that moves things, seeds that repeat."""

from dataclasses import replace

import numpy as np
import pytest

from seem_ros.errors import DataError
from seem_ros.sim.scene.spec import ObjectSpec, SceneSpec
from seem_ros.sim.world import World

pytestmark = pytest.mark.usefixtures("gl")
SCENE = SceneSpec(
    (
        ObjectSpec("box", "red", xy_m=(0.0, 0.0)),
        ObjectSpec("ball", "blue", xy_m=(-0.2, 0.1)),
        ObjectSpec("bowl", "green", "small", xy_m=(0.2, 0.0)),
        ObjectSpec("ring", "yellow", drop_height_m=1.5, xy_m=(0.0, -0.2), lying=False),
    ),
    seed=3,
)


@pytest.fixture
def world(gl):
    with World(SCENE) as opened:
        yield opened


def test_a_frame_names_everything_and_every_pixel_has_an_id(world):
    frame = world.render()
    assert [item.name for item in frame.instances] == [
        "red box",
        "blue ball",
        "green bowl",
        "yellow ring",
        "table",
        "floor",
        "wall",
        "robot arm",
    ]
    assert frame.rgb.shape == (240, 320, 3) and frame.ids.dtype == np.uint8
    assert frame.ids.min() >= 1 and set(np.unique(frame.ids)) <= set(range(1, 9))
    assert all(frame.mask(number).sum() > 100 for number in (1, 2, 3, 5))


def test_pixels_carry_the_colour_they_are_named_after(world):
    frame = world.render()
    assert frame.rgb[frame.mask(1)].mean(0).argmax() == 0
    assert frame.rgb[frame.mask(2)].mean(0).argmax() == 2
    assert frame.rgb[frame.mask(3)].mean(0).argmax() == 1


def test_depth_of_the_table_agrees_with_camera_pose_and_intrinsics(world):
    frame = world.render()
    rows, columns = np.nonzero(frame.mask(5))
    rays = np.linalg.inv(frame.intrinsics) @ np.stack([columns, rows, np.ones_like(rows)])
    points = frame.world_from_camera[:3, :3] @ (rays * frame.depth_m[rows, columns]) + frame.world_from_camera[:3, 3:]
    top = np.abs(points[2]) < 0.004
    assert top.mean() > 0.98  # the rest is the table's edge and legs


def test_a_poses_projection_falls_into_the_objects_mask(world):
    frame = world.render()
    for number in (1, 2):
        point = np.linalg.inv(frame.world_from_camera) @ np.array([*world.position_m(number), 1])
        column, row, depth = frame.intrinsics @ point[:3]
        assert frame.mask(number)[round(row / depth), round(column / depth)]
        assert np.allclose(frame.world_from_object[number][:3, 3][:2], SCENE.objects[number - 1].xy_m, atol=0.01)


def test_the_same_scene_gives_the_same_pictures(world):
    world.step(0.2, np.array([0.1, 0.0, 0.2]))
    first = world.render()
    with World(SCENE) as again:
        again.step(0.2, np.array([0.1, 0.0, 0.2]))
        second = again.render()
    assert np.array_equal(first.rgb, second.rgb) and np.array_equal(first.ids, second.ids)
    assert np.array_equal(first.depth_m, second.depth_m)


def test_the_hand_goes_where_it_is_sent_and_pushes_what_is_in_its_way(world):
    before = world.position_m(1)
    world.step(0.8, np.array([-0.15, 0.0, 0.2]))
    world.step(0.5, np.array([-0.15, 0.0, 0.03]))
    assert np.allclose(world.tip_m(), [-0.15, 0.0, 0.03], atol=0.02)
    world.step(1.0, np.array([0.05, 0.0, 0.03]))
    assert world.position_m(1)[0] > before[0] + 0.03
    assert world.time_s == pytest.approx(2.3)


def test_a_knocked_ball_rolls(world):
    before = world.position_m(2)
    world.push(2, np.array([0, -0.4, 0]))
    world.step(0.5)
    assert world.position_m(2)[1] < before[1] - 0.05


def test_an_object_with_a_drop_height_waits_until_it_is_released_and_then_falls_onto_the_table(world):
    world.step(0.5)
    assert world.position_m(4)[2] > 1.4 and world.render().mask(4).sum() == 0
    world.release(4)
    world.step(1.5)
    assert 0 < world.position_m(4)[2] < 0.06 and world.render().mask(4).sum() > 50


def test_frames_are_stamped_by_simulated_time(world):
    first = world.render()
    for _ in range(15):
        world.step(1 / 15)
    second = world.render()
    assert (first.index, second.index) == (0, 1)
    assert second.stamp_ns - first.stamp_ns == pytest.approx(1e9, abs=10)


def test_wrong_ids_places_durations_and_goals_are_refused(world):
    with pytest.raises(DataError, match="no object 9"):
        world.push(9, np.zeros(3))
    with pytest.raises(DataError, match="three finite numbers in m/s"):
        world.push(1, np.array([np.nan, 0, 0]))
    with pytest.raises(DataError, match="a step lasts"):
        world.step(0)
    with pytest.raises(DataError, match="a goal for the hand"):
        world.step(0.1, np.array([0, 0]))
    with pytest.raises(DataError, match="dropped on the table"):
        world.drop(1, (5, 0))


def test_a_world_without_an_arm_has_no_arm_pixels_and_no_hand():
    with World(replace(SCENE, with_arm=False)) as world:
        frame = world.render()
        assert frame.mask(8).sum() == 0
        with pytest.raises(DataError, match="no arm"):
            world.step(0.1, np.zeros(3))


def test_more_objects_than_fit_are_refused():
    with pytest.raises(DataError, match="no room for 40 objects"):
        World(SceneSpec(tuple(ObjectSpec("plate", "red", "large") for _ in range(40))))


def test_an_object_off_the_table_is_refused():
    with pytest.raises(DataError, match="off the table"):
        World(SceneSpec((ObjectSpec("mug", "red", xy_m=(3.0, 0.0)),)))


def test_a_mesh_stands_on_the_table_like_a_solid():
    scene = SceneSpec((ObjectSpec("teapot", "blue"), ObjectSpec("mug", "red")), height_px=120, width_px=160)
    with World(scene) as world:
        frame = world.render()
        assert frame.find("blue teapot") and frame.mask(1).sum() > 100
        assert abs(world.position_m(1)[2]) < 0.12


def test_a_thing_without_a_mesh_is_refused_by_name():
    with pytest.raises(DataError, match="no mesh of a 'flute'"):
        World(SceneSpec((ObjectSpec("flute", "blue"),)))
