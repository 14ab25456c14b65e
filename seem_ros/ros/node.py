# SPDX-License-Identifier: Apache-2.0
"""The lifecycle node `seem`: parameters, cameras and services around one model."""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup, ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from seem_ros.errors import SeemError
from seem_ros.perception.objects.memory import ObjectMemory
from seem_ros.perception.segmenter import Segmenter
from seem_ros.perception.tracking.target import IdAllocator
from seem_ros.ros.camera_set import CameraSet
from seem_ros.ros.executor import PatientExecutor, RCLError, spin
from seem_ros.ros.find.action_server import FindServer
from seem_ros.ros.inference_thread import InferenceThread
from seem_ros.ros.monitoring.diagnostics import node_status
from seem_ros.ros.parameters import Settings
from seem_ros.ros.parameters.live import LiveParameters
from seem_ros.ros.preparation import ModelPreparation
from seem_ros.ros.segmenter_loading import load_segmenter
from seem_ros.ros.services import Services, guard_parameter_services, guard_transitions
from seem_ros.ros.session import Running
from seem_ros.ros.transforms.listener import TransformListener, need_tf2_msgs

WATCH_PERIOD_S = 0.5
MAX_WRITTEN_OFF = 2  # hung models that are replaced; of more the machine is the cause, and the process ends
EXIT_HUNG = 3
SPARE_THREADS = 3  # lifecycle and parameters, watching, and one to say that the others are busy


class SeemNode(LifecycleNode):
    """Segments what is asked for and follows it.

    Args:
        load: Makes the segmenter from the settings.
        kwargs: Of rclpy's node.
    """

    def __init__(self, load: Callable[[Settings], Segmenter] = load_segmenter, **kwargs: Any) -> None:
        super().__init__("seem", **kwargs)
        self._load = load
        self._running: Running | None = None
        self._active = False
        # simulated time may stand still or never come; who publishes what is looked at all the same
        self._steady_clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._no_clock_told = False
        self._ids = IdAllocator()  # exchanged at configure, and goes on counting: an id means one target for good
        self._timers_of_ours: list[Any] = []
        self._thread_error = ""
        self._changing = threading.RLock()  # transitions, and the watchdog that goes through some of them by itself
        self._written_off: list[InferenceThread] = []
        self._hung = 0
        self.exit_status = 0
        # services wait for the model, images only store: neither may hold up the other, nor the housekeeping
        self._service_group = ReentrantCallbackGroup()
        self._house_group = MutuallyExclusiveCallbackGroup()
        self._live = LiveParameters(self, lambda: self._running, self._need_tf)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 1)
        # there from the start to the end, whatever the state: a caller is always told, and nothing is ever there twice
        self.preparation = ModelPreparation(self, self._diagnostics)
        self._seem_services = Services(self, self._serving, self._live.note_vocabulary, self._service_group)
        guard_parameter_services(self)
        guard_transitions(self)
        self._transforms = TransformListener(self, self._wake)
        self._cameras = CameraSet(self, self._transforms, self._serving, self._service_group)
        self._find = FindServer(self, self._serving, self._service_group)
        self.create_timer(WATCH_PERIOD_S, self._watch_model, self._house_group, self._steady_clock)

    @property
    def settings(self) -> Settings:
        """In force."""
        return self._live.settings

    # ------------------------------------------------------------------------------------------------- lifecycle

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the model; open publishers."""
        return self._transition("configure", self._configure)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Listen to the cameras and answer calls."""
        return self._transition("activate", self._activate, partial(super().on_activate, state))

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop listening; model and targets stay."""
        return self._transition("deactivate", self._deactivate, partial(super().on_deactivate, state))

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the model; close publishers; targets end."""
        return self._transition("clean up", self._cleanup)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """All of the above."""
        return self._transition("shut down", self.close)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Back to the unconfigured state."""
        return self._transition("recover", self.close)

    def _transition(
        self,
        name: str,
        work: Callable[[], None],
        inherited: Callable[[], TransitionCallbackReturn] | None = None,
    ) -> TransitionCallbackReturn:
        try:
            with self._changing:
                work()
            self._end_if_told()
            return inherited() if inherited is not None else TransitionCallbackReturn.SUCCESS
        except SeemError as error:
            self.get_logger().error(f"cannot {name}: {error}")
        except Exception:
            self._end_if_told()
            self.get_logger().error(f"cannot {name}: internal error\n{traceback.format_exc()}")
        if name == "configure":
            self._cleanup()
        elif name == "activate":
            self._deactivate()
        return TransitionCallbackReturn.FAILURE

    def _end_if_told(self) -> None:
        """End where the process was told to while a model was loaded: nothing can be published or logged any more, and
        rclpy would print a line about each.

        Raises:
            KeyboardInterrupt: It was.
        """
        if not self.context.ok():
            raise KeyboardInterrupt

    def _serving(self) -> Running | None:
        """The configured state while the node is active, else None.

        Raises:
            SeemError: Its model is being prepared, or could not be.
        """
        if not self._active and self.preparation.news:
            raise SeemError(f"the node is not active: {self.preparation.news}")
        return self._running if self._active else None

    def _wake(self) -> None:
        """A picture may have waited for this."""
        if self._running is not None:
            self._running.thread.wake()

    def _need_tf(self, settings: Settings) -> None:
        """Listen to tf where positions are wanted in a frame of the robot.

        Raises:
            PromptError: tf2_msgs is missing.
        """
        if settings.target_frame:
            self._transforms.listen()
        if settings.broadcast_tf:
            need_tf2_msgs()

    def _configure(self) -> None:
        self._thread_error = ""  # that of another model's thread
        self._need_tf(self.settings)
        self.preparation.run(self.settings)
        settings = self.settings
        ids = self._ids = IdAllocator(wide=settings.wide_labels, first_id=self._ids.next_id)
        self._running = Running(
            self._load,
            lambda name, segmenter: self._cameras.make(name, segmenter, ids, settings),
            settings,
            self._on_thread_error,
        )
        status = self._running.segmenter.backend.status
        self.get_logger().info(
            f"model {self._running.segmenter.spec.name} on {status.backend} ({status.device}, {status.precision}): "
            f"{status.message}"
        )
        self._live.show_in_force()
        self._say_objects(self._running.segmenter.objects)

    def _say_objects(self, memory: ObjectMemory | None) -> None:
        if memory is None:
            return
        for problem in memory.problems:
            self.get_logger().warning(f"taught objects: {problem}")
        if len(memory):
            names = ", ".join(repr(one.name) for one in memory.objects()[:20])
            self.get_logger().info(f"{len(memory)} taught objects: {names}")

    def _activate(self, enabled: bool = True) -> None:
        running = self._running
        assert running is not None, "only a configured node is activated"
        self._cameras.listen(running, self.settings)
        self._timers_of_ours = [
            self.create_timer(WATCH_PERIOD_S, self._watch, self._house_group, self._steady_clock),
            self.create_timer(
                1.0 / self.settings.diagnostics_rate_hz, self._diagnose, self._house_group, self._steady_clock
            ),
        ]
        running.enable(enabled)
        self._active = True

    def _deactivate(self, why: str = "the node was deactivated") -> None:
        self._active = False
        if self._running is not None:
            self._running.enable(False)
            self._running.end_searches(why)
            self._end_waits(why)
        for timer in self._timers_of_ours:
            self.destroy_timer(timer)
        self._timers_of_ours = []
        self._cameras.stop_listening()
        if self._running is not None:
            for pipeline in self._running.cameras.values():
                pipeline.forget_frames()

    def _end_waits(self, why: str) -> None:
        """Answer all who still wait with ~/find."""
        find = vars(self).get("_find")  # where the process ends, rclpy may have destroyed the node before it is closed
        if find is not None:
            find.end_all(why)

    def _cleanup(self) -> None:
        self._transforms.close()
        running, self._running = self._running, None
        try:
            if running is not None and not running.close():
                self._written_off.append(running.thread)
                if self.context.ok():  # a log of a process that ends would leave a line about itself
                    self.get_logger().warning("the model is busy still; it is freed when its work is done")
        finally:
            self._end_waits("the node was cleaned up")  # one may have come while the node was deactivated
            self._cameras.close()

    def close(self) -> None:
        """Take everything down, from whatever state."""
        self.preparation.stop()
        self._deactivate()
        self._cleanup()

    def destroy_node(self) -> None:
        """Free what DDS holds for the node, at once.

        rclpy's state machine would hold it until the interpreter's end, and then not always let go: DDS's shared memory
        port would stay behind, and whoever had opened it would not reach the next node.
        """
        find = vars(self).pop("_find", None)  # rclpy also destroys a node that was refused half-way, and one twice
        if find is not None:
            find.close()
        super().destroy_node()
        vars(self).pop("_state_machine", None)

    # --------------------------------------------------------------------------------------------------- timers

    def _watch(self) -> None:
        try:
            self._cameras.watch(self.settings.camera_timeout_s)
            if self._clock_problem() and not self._no_clock_told:
                self._no_clock_told = True
                self.get_logger().warning(self._clock_problem())
        except Exception:  # nothing escapes a callback
            if not self.context.ok():
                return  # the process is ending
            self.get_logger().error(f"internal error while looking at the cameras:\n{traceback.format_exc()}")

    def _watch_model(self) -> None:
        """A hung native call cannot be stopped: its thread is written off, and a fresh model takes over."""
        running, limit_s = self._running, self.settings.watchdog_s
        if running is None or not limit_s or running.thread.silent_s < limit_s:
            return
        with self._changing:
            if self._running is not running:
                return  # cleaned up meanwhile
            self._hung += 1
            silent_s, active, enabled = running.thread.silent_s, self._active, running.is_enabled
            if self._hung > MAX_WRITTEN_OFF:
                self.get_logger().fatal(
                    f"the model has shown no progress for {silent_s:.0f} s, after {MAX_WRITTEN_OFF} fresh ones: ending "
                    f"with exit status {EXIT_HUNG}"
                )
                self.exit_status = EXIT_HUNG
                self.context.try_shutdown()
                return
            self.get_logger().error(
                f"the model has shown no progress for {silent_s:.0f} s (watchdog_s is {limit_s:g}): it is written off, "
                f"targets end, and a fresh one is loaded ({self._hung} of {MAX_WRITTEN_OFF})"
            )
            try:
                self._deactivate("the model hung and was replaced; ask again")
                self._cleanup()
                self._configure()
                if active:
                    self._activate(enabled)
                self.get_logger().info("a fresh model serves")
            except Exception:
                self.get_logger().fatal(f"no fresh model can be loaded:\n{traceback.format_exc()}")
                self.exit_status = EXIT_HUNG
                self.context.try_shutdown()

    @property
    def is_stuck(self) -> bool:
        """Whether a thread that was written off still runs: Python would wait for what it calls."""
        return any(thread.is_alive for thread in self._written_off)

    def _clock_problem(self) -> str:
        """What is wrong with the clock; empty where nothing is."""
        simulated = self.get_parameter("use_sim_time").value
        if simulated and self.get_clock().now().nanoseconds == 0:
            return "use_sim_time is true, and no time has come on /clock; pictures are served all the same"
        return ""

    def _diagnose(self) -> None:
        try:
            running = self._running
            if running is None or self._diagnostics.get_subscription_count() == 0:
                return
            name = self.get_fully_qualified_name().lstrip("/")
            array = DiagnosticArray()
            array.header.stamp = self.get_clock().now().to_msg()
            segmenter = running.segmenter
            array.status.append(
                node_status(
                    name,
                    segmenter.backend.status,
                    segmenter.spec,
                    running.thread.waiting,
                    self._thread_error,
                    self._clock_problem(),
                    running.vocabulary(),
                )
            )
            array.status.extend(self._cameras.statuses(name, running))
            self._diagnostics.publish(array)
        except Exception:  # nothing escapes a callback
            if not self.context.ok():
                return  # the process is ending
            self.get_logger().error(f"internal error in diagnostics:\n{traceback.format_exc()}")

    def _on_thread_error(self, error: BaseException | None) -> None:
        if not self.context.ok():
            return  # the process is ending, and nothing can be published any more
        if error is None:
            self._thread_error = ""
            return
        self._thread_error = f"{type(error).__name__}: {error}"
        trace = "".join(traceback.format_exception(error))
        self.get_logger().error(f"internal error on the inference thread:\n{trace}", throttle_duration_sec=5.0)


def main(args: list[str] | None = None, load: Callable[[Settings], Segmenter] = load_segmenter) -> int:
    """Run the node until it is told to end.

    Args:
        args: Command line; default the process's.
        load: Makes the segmenter.

    Returns:
        The exit status: 0, or 2 when the parameters cannot be used.
    """
    try:
        rclpy.init(args=args)
    except RuntimeError as error:  # a parameter file that is missing or has another form
        print(f"seem: {str(error).splitlines()[0]}", file=sys.stderr)
        return 2
    try:
        node = SeemNode(load)
    except (
        SeemError,
        InvalidParameterTypeException,
        InvalidParameterValueException,
        RCLError,  # such as security that this DDS cannot give, or keys that it refuses
    ) as error:
        print(f"seem: {' '.join(str(error).split())}", file=sys.stderr)
        rclpy.try_shutdown()
        return 2
    executor = PatientExecutor(node.settings.max_waiting_calls + SPARE_THREADS)
    executor.add_node(node)
    try:
        if node.settings.autostart:
            preparing = node.preparation.start(node.settings)
            if preparing is not None:  # minutes, in which callers are told so
                spin(executor, node, until=lambda: not preparing.is_alive())
            ready = node.context.ok() and not node.preparation.news
            if ready and node.trigger_configure() == TransitionCallbackReturn.SUCCESS:
                node.trigger_activate()
        spin(executor, node)
    except KeyboardInterrupt:
        pass
    finally:
        try:
            node.close()
        except SeemError as error:
            print(f"seem: {error}", file=sys.stderr)
        executor.shutdown(timeout_sec=0.5)
        stuck = node.is_stuck
        node.destroy_node()
        rclpy.try_shutdown()
    if stuck:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(node.exit_status)  # a native call that hangs would be waited for at the interpreter's end
    return node.exit_status


if __name__ == "__main__":
    sys.exit(main())
