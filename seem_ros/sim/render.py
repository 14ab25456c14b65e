# SPDX-License-Identifier: Apache-2.0
"""Offscreen pictures of a MuJoCo model: colour, instance ids and depth from one camera."""

from __future__ import annotations

import numpy as np

from seem_ros.sim.mujoco_import import GlContext, mujoco, new_gl_context, no_gl_error
from seem_ros.sim.scene.room import HIDDEN, SHOWN


class Camera:
    """Draws a model through its camera "camera" into numpy arrays. Use it from the thread that made it.

    Args:
        model: compiled model; its offscreen buffer fixes the picture size.
        id_of_geom: int [ngeom], the instance id (1..255) that each geom's pixels get; 0 for none.

    Raises:
        DataError: there is no OpenGL on this machine.
    """

    def __init__(self, model: mujoco.MjModel, id_of_geom: np.ndarray) -> None:
        view = model.vis.global_
        self.height_px, self.width_px = view.offheight, view.offwidth
        self._model = model
        self.id_of_geom = np.asarray(id_of_geom, np.int32)
        gl = new_gl_context(self.width_px, self.height_px)
        self._gl: GlContext | None = gl
        try:
            gl.make_current()
            self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100.value)
        except Exception as error:  # MuJoCo raises FatalError, the GL library its own kinds
            self.close()
            raise no_gl_error(str(error).strip().splitlines()[0] if str(error).strip() else "unknown") from error
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._context)
        self._context.readDepthMap = mujoco.mjtDepthMap.mjDEPTH_ZEROFAR
        self._scene = mujoco.MjvScene(model, maxgeom=500)
        self._option = mujoco.MjvOption()
        self._option.geomgroup[:] = 0
        self._option.geomgroup[SHOWN] = 1
        self._option.geomgroup[HIDDEN] = 0
        self._view = mujoco.MjvCamera()
        self._view.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._view.fixedcamid = 0
        self._perturb = mujoco.MjvPerturb()
        self._rect = mujoco.MjrRect(0, 0, self.width_px, self.height_px)
        self._bytes = np.empty((self.height_px, self.width_px, 3), np.uint8)
        self._depth = np.empty((self.height_px, self.width_px), np.float32)

    def close(self) -> None:
        """Frees the GL context."""
        if self._gl is not None:
            self._context = None
            self._gl.free()
            self._gl = None

    def __enter__(self) -> Camera:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def shoot(
        self, data: mujoco.MjData, *, shadows: bool = True, with_depth: bool = False
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Draws one frame.

        Args:
            data: state whose kinematics, camera and light poses are up to date.
            shadows: draw the shadows of lights that cast them.
            with_depth: also read the depth.

        Returns:
            rgb uint8 [H, W, 3]; ids uint8 [H, W]; depth_m float32 [H, W] along the optical axis (or None).
        """
        mujoco.mjv_updateScene(
            self._model, data, self._option, self._perturb, self._view, mujoco.mjtCatBit.mjCAT_ALL.value, self._scene
        )
        flags = self._scene.flags
        flags[mujoco.mjtRndFlag.mjRND_SHADOW] = shadows
        flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = False
        flags[mujoco.mjtRndFlag.mjRND_SKYBOX] = False
        flags[mujoco.mjtRndFlag.mjRND_SEGMENT] = flags[mujoco.mjtRndFlag.mjRND_IDCOLOR] = False
        assert self._gl is not None, "the camera is closed"
        self._gl.make_current()
        mujoco.mjr_render(self._rect, self._scene, self._context)
        mujoco.mjr_readPixels(self._bytes, None, self._rect, self._context)
        rgb = self._bytes[::-1].copy()
        for index in range(self._scene.ngeom):
            geom = self._scene.geoms[index]
            # MuJoCo paints segid + 1 into the colour channels, low byte in red: our instance id comes out there.
            geom.segid = int(self.id_of_geom[geom.objid]) - 1
        flags[mujoco.mjtRndFlag.mjRND_SEGMENT] = flags[mujoco.mjtRndFlag.mjRND_IDCOLOR] = True
        mujoco.mjr_render(self._rect, self._scene, self._context)
        mujoco.mjr_readPixels(self._bytes, self._depth if with_depth else None, self._rect, self._context)
        ids = self._bytes[::-1, :, 0].copy()
        return rgb, ids, self._metres(self._depth[::-1]) if with_depth else None

    def _metres(self, depth: np.ndarray) -> np.ndarray:
        """Turns MuJoCo's reversed depth buffer (1 near, 0 far) into metres along the optical axis."""
        extent = self._model.stat.extent
        near, far = self._model.vis.map.znear * extent, self._model.vis.map.zfar * extent
        reversed_z = depth.astype(np.float64)
        return (near * far / (near + reversed_z * (far - near))).astype(np.float32)
